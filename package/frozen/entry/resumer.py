"""Starts the resumer: what PyInstaller takes as the program; entry/command.py says why."""

import sys

from resume.start import main

sys.exit(main())
