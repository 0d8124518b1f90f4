"""Finds out whether the next hibernation will work, and the resume after it.

Checks are functions from `Facts`, what the files below a root directory show, to findings;
`examine` has their table. A check opens nothing for writing and runs no program, so
that a prepared directory is a machine to the tests. One daemon is asked, logind, by a function that
the caller gives: without one, checks say what follows from the files.

`facts` is what several checks want to know, `rebuilt` looks for enable and disable. Nothing here
prints.
"""
