"""The two programs to freeze, and what their folders may hold."""

from pathlib import Path
from typing import NamedTuple

from guard.kinds import KINDS, ByNeed
from torpor.commands import COMMANDS

HERE = Path(__file__).resolve().parent

# Libraries import these for cases that our programs do not have. A test lists what remains: a new
# module there is either needed, or named here.
UNUSED = (
    # What bootstrap.py has in place of these:
    *("importlib.metadata", "ctypes.util", "gettext", "locale", "pickle", "platform"),
    *("crc32c._cli", "construct.debug", "construct.lib.binary", "crcmod.predefined"),
    *("crcmod.types", "pdb"),
    *("_hashlib", "_ssl", "ssl"),  # OpenSSL, 5 MB: hashlib has the sums that we use without it
    *("asyncio", "multiprocessing", "concurrent.futures.process", "socket"),
    *("http", "ftplib", "urllib.request", "xml", "xmlrpc", "html", "email", "csv", "configparser"),
    *("zipfile", "tarfile", "tempfile", "py_compile", "importlib.resources", "pkgutil", "runpy"),
    *("unittest", "pydoc", "doctest", "lib2to3", "setuptools", "pkg_resources", "tkinter"),
    *("statistics", "timeit", "tracemalloc", "_strptime", "_pydecimal", "_pydatetime"),
    "typing_extensions",
    *("readline", "getpass", "getopt", "pty", "base64", "quopri", "stringprep", "unicodedata"),
    *("_uuid", "ctypes._aix", "ctypes.macholib", "ctypes.wintypes"),
    *("_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp", "_codecs_kr", "_codecs_tw"),
    "_multibytecodec",
    *("zstandard._cffi", "zstandard.backend_cffi", "cffi"),  # its C part is there
    *("cryptography", "aeg"),  # for tests; construct would import the first to decrypt fields
    *("crcmod._crcfunpy", "lz4.frame"),
    *("pygments", "markdown_it", "rich.markdown", "rich.syntax", "rich.traceback"),
)
UNUSED_IN_INITRAMFS = (
    *("rich", "random", "fractions", "decimal", "calendar", "resource", "grp"),
    *("bz2", "lzma", "gzip"),
)

ENCODINGS = ("__init__", "aliases", "ascii", "latin_1", "unicode_escape", "utf_8")
"""Modules of `encodings` that the programs hold, which run in Python's UTF-8 mode."""


class Program(NamedTuple):
    """A program to freeze, and the modules it must not hold."""

    name: str
    entry: Path
    installed: str
    """Where its folder lies on a system."""
    excluded: tuple[str, ...]
    hidden: tuple[str, ...]
    """Modules that are imported by name, which PyInstaller does not see."""
    sealing: tuple[str, ...] = ()
    """Modules and packages that are not imported unless images are sealed."""


_OF_FILE_SYSTEMS = tuple(kind.name for kind in KINDS.values() if isinstance(kind, ByNeed))

_OF_SEALING = ("_cffi_backend", "format.sodium", "hmac")
"""The first is imported by nacl._sodium, in C."""

PROGRAMS = (
    Program(
        "torpor",
        HERE / "entry/command.py",
        "/usr/lib/torpor/torpor",
        UNUSED,
        (*_OF_FILE_SYSTEMS, *_OF_SEALING, *(f"torpor.commands.{name}" for name in COMMANDS)),
    ),
    Program(
        "torpor-resume",
        HERE / "entry/resumer.py",
        "/usr/lib/torpor/resume",
        UNUSED + UNUSED_IN_INITRAMFS,
        (*_OF_FILE_SYSTEMS, *_OF_SEALING),
        (
            "format.sealing",
            "format.sealed_layout",
            "seal",
            "resume.unsealing",
            "nacl",
            *_OF_SEALING,
        ),
    ),
)
