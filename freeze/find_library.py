"""PyInstaller runtime hook: answer ctypes.util.find_library without the tools it asks.

It looks for ldconfig, gcc and ld, none of which an initramfs has, and so `import pyudev` fails
there. The two libraries pyudev asks for have had these names for over ten years.
"""

import ctypes.util

NAMES = {"udev": "libudev.so.1", "c": "libc.so.6"}


def find_library(name: str) -> str | None:
    """Return what to open for the library `name`, None if it is not one of ours."""
    return NAMES.get(name)


ctypes.util.find_library = find_library
