"""Starts the command: what PyInstaller takes as the program.

In a folder by itself, because PyInstaller searches the folder of its script first and a module
such as torpor/hibernate.py must not hide the package hibernate.
"""

import sys

from torpor.__main__ import main

sys.exit(main())
