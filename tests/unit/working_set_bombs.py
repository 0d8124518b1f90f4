"""Working sets that are small as a file, and large once all of it is understood."""

from collections.abc import Sequence

from tests import forge
from tests.forge import leb, text

ROOM = 16 << 20
"""Bytes of the largest section."""
_MANY = 1 << 20
"""As many files and processes as there may be."""
_RANGES = 1 << 21


def _of_systems(systems: bytes, count: int) -> bytes:
    head = forge.working_set(file_counts=())[:20]
    return head + count.to_bytes(4, "little") + systems + bytes(16)


def _of_files(
    ranges: bytes, names: bytes = bytes(2 * _MANY), counts: Sequence[int] = (_MANY,)
) -> bytes:
    checks = bytes(4 * sum(counts))
    return forge.working_set(
        file_counts=counts, names=names, checks=checks, ranges=ranges, processes=b""
    )


def _of_processes(processes: bytes) -> bytes:
    return forge.working_set(file_counts=(), names=b"", checks=b"", ranges=b"", processes=processes)


def bombs() -> dict[str, tuple[int, bytes]]:
    """Return sections of at most ROOM bytes, and the exit code for each."""
    wide = "x\N{GRINNING FACE}".encode().ljust(65535, b"x")
    long = b"\0\x3c" + b"n" * 60 + b"\x3c\0" * (_MANY - 1)
    many = b"\1\0" * _RANGES
    return {
        "zeros": (4, bytes(ROOM)),
        "no end": (4, b"\xff" * ROOM),
        "file systems": (4, _of_systems(bytes(10) * 1_600_000, 1_600_000)),
        "names of file systems": (4, _of_systems((bytes(4) + text(wide) * 3) * 84, 84)),
        "files": (0, _of_files(bytes(_MANY))),
        "files with long names": (0, _of_files(bytes(_MANY), long)),
        "files of many file systems": (0, _of_files(bytes(_MANY), counts=(256,) * 4096)),
        "files with a range": (0, _of_files(b"\3\0\0" * _MANY)),
        "a file": (0, _of_files(leb(_RANGES << 1) + many, b"\0\1n", (1,))),
        "a file with more": (4, _of_files(leb(7 << 21) + b"\1\0" * (7 << 20), b"\0\1n", (1,))),
        "a process": (0, _of_processes(leb(1, 1, _RANGES) + many)),
        "processes": (0, _of_processes(b"\1\1\0" * _MANY)),
        "more processes": (4, _of_processes(b"\1\1\0" * (5 << 20))),
        "processes with ranges": (0, _of_processes(b"\1\1\2\1\0\1\0" * _MANY)),
    }
