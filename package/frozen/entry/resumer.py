"""Starts the resumer: what PyInstaller takes as the program; entry/command.py says why.

It does not look for garbage in cycles: to read an image leaves none, and to look while modules are
imported takes 6 ms. Where there is an image, construct imports pickle and, as uuid does, platform,
whose patterns take 3 ms to compile. Neither is needed, but to say that this is Linux, and CPython
(zstandard).
"""

import gc
import sys

from resume.__main__ import main

_platform, _pickle = map(type(sys), ("platform", "pickle"))
vars(_platform).update(system=lambda: "Linux", python_implementation=lambda: "CPython")
sys.modules |= {"platform": _platform, "pickle": _pickle}

gc.disable()
sys.exit(main())
