"""Whose key opens a sealed image: the keys of this machine, and the ways to them at a boot.

`age` wraps the key of an image for a recipient, and brings keys to text and back.
"""
