"""The two programs to freeze, and what their folders may hold."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
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
    *("asyncio", "multiprocessing", "concurrent.futures.process"),
    *("http.cookiejar", "http.cookies", "http.server", "ftplib", "urllib.request"),
    *("xml", "xmlrpc", "html", "csv", "configparser"),
    *("zipfile", "tarfile", "tempfile", "py_compile", "importlib.resources", "pkgutil", "runpy"),
    *("unittest", "pydoc", "doctest", "lib2to3", "setuptools", "pkg_resources", "tkinter"),
    *("statistics", "timeit", "tracemalloc", "_strptime", "_pydecimal", "_pydatetime"),
    "typing_extensions",
    *("readline", "getpass", "getopt", "pty"),
    *("stringprep", "unicodedata"),  # for names in other scripts: a server's is given as bytes
    *("_uuid", "ctypes._aix", "ctypes.macholib", "ctypes.wintypes"),
    *("_codecs_cn", "_codecs_hk", "_codecs_iso2022", "_codecs_jp", "_codecs_kr", "_codecs_tw"),
    "_multibytecodec",
    *("zstandard._cffi", "zstandard.backend_cffi", "cffi"),  # its C part is there
    *("aeg", "botocore", "cryptography"),  # for tests; construct would decrypt fields by the last
    *("crcmod._crcfunpy", "lz4.frame"),
    *("pygments", "markdown_it", "rich.markdown", "rich.syntax", "rich.traceback"),
)
UNUSED_IN_INITRAMFS = (
    *("rich", "fractions", "decimal", "resource", "grp"),
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
    groups: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """By the name of a group, the modules and packages that some machines' boots alone import.

    A library that nothing else is linked to belongs to them.
    """


_OF_FILE_SYSTEMS = tuple(kind.name for kind in KINDS.values() if isinstance(kind, ByNeed))

_OF_SEALING = ("_cffi_backend", "format.sodium", "hmac")
"""The first is imported by nacl._sodium, in C."""

_OF_SERVERS = ("http.client", "ssl")

_S3 = (
    *("client", "connection", "credentials", "failures", "listing", "ranged", "signing", "url"),
    *("wire", "xml"),
)
"""All of s3/ but `scheme`, by which each boot tells a server from a device."""

_HIDDEN = (*_OF_FILE_SYSTEMS, *_OF_SEALING, *_OF_SERVERS)

PROGRAMS = (
    Program(
        "torpor",
        HERE / "entry/command.py",
        "/usr/lib/torpor/torpor",
        UNUSED,
        (*_HIDDEN, *(f"torpor.commands.{name}" for name in COMMANDS)),
    ),
    Program(
        "torpor-resume",
        HERE / "entry/resumer.py",
        "/usr/lib/torpor/resume",
        UNUSED + UNUSED_IN_INITRAMFS,
        _HIDDEN,
        {
            "sealing": (
                *("format.sealing", "format.sealed_layout", "seal", "resume.unsealing"),
                *("nacl", *_OF_SEALING),
            ),
            # What is sent to a server is sealed, and so is the machine: nothing of the above is
            # here. hashlib imports _hashlib, whose sums take a ninth of the time of Python's own.
            "server": (
                *("store.server", "resume.server", "state.server"),
                *(f"s3.{name}" for name in _S3),
                *("ssl", "_ssl", "_hashlib", "socket", "_socket", "http", "email"),
                *("base64", "quopri", "calendar", "random", "_random", "urllib"),
            ),
        },
    ),
)
