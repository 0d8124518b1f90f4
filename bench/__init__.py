"""Measurements: `python3 build.py bench`.

`stream` gets a real snapshot stream of 1.5 GiB out of a virtual machine, `measure` runs whole
commands and keeps their time and memory, `__main__` runs the comparisons and prints them.

Every figure is a median of several runs, compared only with figures of the same run: the
machines it runs on are shared. Nothing here is a test.
"""
