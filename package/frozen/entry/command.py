"""Starts the command: what PyInstaller takes as the program.

In a folder by itself: PyInstaller searches the folder of its script first, where a module must
not hide a package of the same name.
"""

import sys

from torpor.__main__ import main

sys.exit(main())
