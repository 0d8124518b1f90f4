"""Starts the resumer: what PyInstaller takes as the program; entry/command.py says why."""

import sys

from resume.__main__ import main

sys.exit(main())
