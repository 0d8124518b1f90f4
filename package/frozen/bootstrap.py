"""What a frozen program runs first, in place of PyInstaller's own bootstrap.

Its modules lie in _internal as files, where Python's own machinery finds them, so there is nothing
to install: PyInstaller's importers, its hook for ctypes, and the hooks for inspect and pkgutil cost
each start 60 ms (docs/PERFORMANCE.md). What remains is to keep out of the programs what libraries
import and never use.

crc32c asks for its own version (importlib.metadata brings email and zipfile) and imports its own
command (argparse), construct its debugger (pdb, inspect), and pyudev asks where its two libraries
are: ctypes.util would look for ldconfig, gcc and ld, none of which an initramfs has. They have had
these names for years.
"""

import sys

_Module = type(sys)


_metadata = _Module("importlib.metadata")
_metadata.version = lambda _package: ""  # type: ignore[attr-defined]
_util = _Module("ctypes.util")
_util.find_library = {"udev": "libudev.so.1", "c": "libc.so.6"}.get  # type: ignore[attr-defined]
_command = _Module("crc32c._cli")
_command.main = None  # type: ignore[attr-defined]
_debug = _Module("construct.debug")
sys.modules |= {each.__name__: each for each in (_metadata, _util, _command, _debug)}
