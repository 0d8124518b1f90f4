"""What a frozen program runs first, in place of PyInstaller's own bootstrap.

Its modules lie in _internal as files, where Python's own machinery finds them, so there is nothing
to install: PyInstaller's importers, its hook for ctypes, and the hooks for inspect and pkgutil cost
each start 60 ms (docs/PERFORMANCE.md). What remains is to keep out of the programs what libraries
import and never use, or only to be told what is known here:

- crc32c asks for its own version (importlib.metadata brings email and zipfile) and imports its own
  command (argparse), construct its debugger (pdb, inspect) and pickle, and crcmod every checksum
  that has a name, and its types. For fields that are no whole bytes, which no record of ours has,
  construct fills tables: a twentieth of all that a boot with an image imports.
- pyudev asks where its two libraries are: ctypes.util would look for ldconfig, gcc and ld, none of
  which an initramfs has. They have had these names for years.
- argparse has its messages translated, for which nobody has a catalogue: gettext looks for it at
  each of them. subprocess takes the encoding from locale, but not in Python's UTF-8 mode.
- uuid and zstandard ask on what they run; platform compiles ten patterns before it says so.

Nor is garbage in cycles looked for: no command leaves much of it, and to look for it while modules
are imported takes a tenth of that time.
"""

import gc
import sys

_STANDS_IN: dict[str, dict[str, object]] = {
    "importlib.metadata": {"version": lambda _package: ""},
    "ctypes.util": {"find_library": {"udev": "libudev.so.1", "c": "libc.so.6"}.get},
    "crc32c._cli": {"main": None},
    "construct.debug": {},
    "construct.lib.binary": dict.fromkeys(
        (
            *("bits2bytes", "bits2integer", "bytes2bits", "bytes2integer", "integer2bits"),
            *("integer2bytes", "swapbitsinbytes", "swapbytes", "swapbytesinbits"),
            *("hexlify", "unhexlify"),
        )
    ),
    "crcmod.predefined": {},
    "crcmod.types": dict.fromkeys(("Buffer", "CrcFun", "CrcFunNoDefaultArgs")),
    "gettext": {
        "gettext": lambda text: text,
        "ngettext": lambda one, more, count: one if count == 1 else more,
    },
    "locale": {},
    "pickle": dict.fromkeys(("dumps", "loads")),
    "platform": {"system": lambda: "Linux", "python_implementation": lambda: "CPython"},
}

gc.disable()
for _name, _contents in _STANDS_IN.items():
    _module = type(sys)(_name)
    vars(_module).update(_contents)
    sys.modules[_name] = _module
