"""What FAT and exFAT share: clusters, the table that chains them, the tree of directories.

A corrupt table may chain in circles, or all over the device: the table is read up to MAX_TABLE,
directories up to MAX_DIRECTORIES in all, and no chain further than to its MAX_JUMPS.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import NamedTuple, Protocol

from guard.device import PIECE, Read, pieces

MAX_TABLE = 64 << 20
MAX_DIRECTORIES = 16 << 20
MAX_JUMPS = 4096
"""Clusters of a chain that do not lie behind the one before: each costs a read or two."""
ENTRY_SIZE = 32
"""Of an entry of a directory."""

_MAX_COUNT = 1 << 16
_FIRST_CLUSTER = 2
_PIECE = 16 << 10
_BLOCK = 4096
_BLOCKS_KEPT = 256


class Digest(Protocol):
    """What hashlib has."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""


class Geometry(NamedTuple):
    """Where things are, in bytes."""

    table: int
    table_size: int
    entry_bits: int
    """Significant bits of an entry of the table: 12, 16, 28 or 32."""
    heap: int
    """Where the first cluster begins."""
    cluster_size: int
    clusters: int


class _ReadAhead:
    """Reads, and where one read follows another, further and further ahead."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._start = 0
        self._data = b""

    def __call__(self, offset: int, size: int) -> bytes:
        """See Read."""
        end = self._start + len(self._data)
        if not self._start <= offset <= offset + size <= end:
            twice = 2 * len(self._data) if self._start < offset <= end else 0
            self._start, self._data = offset, self._read(offset, min(max(size, twice), PIECE))
        return self._data[offset - self._start :][:size]


class Run(NamedTuple):
    """Clusters that hold a directory or something else."""

    first: int
    contiguous: int = 0
    """How many follow each other; 0: as the table says."""


class Volume:
    """Reads what lies in clusters; those beyond the device's end do not count."""

    def __init__(self, read: Read, size: int, geometry: Geometry) -> None:
        self._read = read
        self._read_ahead = _ReadAhead(read)
        self._geometry = geometry
        fitting = max(0, size - geometry.heap) // geometry.cluster_size
        self._end = _FIRST_CLUSTER + min(geometry.clusters, fitting)
        self._table_block = lru_cache(_BLOCKS_KEPT)(self._read_table_block)

    def table(self) -> Iterator[bytes]:
        """Yield the table, up to MAX_TABLE bytes."""
        size = min(self._geometry.table_size, MAX_TABLE)
        return pieces(self._read, self._geometry.table, size)

    def contents(self, run: Run, size: int, most: int = PIECE) -> Iterator[bytes]:
        """Yield up to `size` bytes of a run, at most `most` at a time."""
        cluster_size = self._geometry.cluster_size
        for cluster in self._chain(run):
            if size <= 0:
                break
            offset = self._geometry.heap + (cluster - _FIRST_CLUSTER) * cluster_size
            yield from pieces(self._read_ahead, offset, min(size, cluster_size), most)
            size -= cluster_size

    def _chain(self, run: Run) -> Iterator[int]:
        if run.contiguous:
            yield from range(
                max(run.first, _FIRST_CLUSTER), min(run.first + run.contiguous, self._end)
            )
            return
        cluster, jumps = run.first, 0
        while _FIRST_CLUSTER <= cluster < self._end and jumps < MAX_JUMPS:
            yield cluster
            before, cluster = cluster, self._next(cluster)
            jumps += cluster != before + 1

    def _next(self, cluster: int) -> int:
        bits = self._geometry.entry_bits
        byte, shift = divmod(cluster * (32 if bits == 28 else bits), 8)
        block, at = divmod(byte, _BLOCK)
        entry = self._table_block(block)[at : at + 4]
        return int.from_bytes(entry, "little") >> shift & ((1 << bits) - 1)

    def _read_table_block(self, number: int) -> bytes:
        """Return a block of the table and, for an entry across its end, what follows."""
        return self._read(self._geometry.table + number * _BLOCK, _BLOCK + 4)


class DirectoryTree:
    """Adds directories to a digest, from the root downwards."""

    def __init__(
        self,
        volume: Volume,
        digest: Digest,
        directories: Callable[[Iterator[bytes]], Iterator[Run]],
    ) -> None:
        """`directories` yields those that the entries of a directory name."""
        self._volume = volume
        self._digest = digest
        self._directories = directories
        self._left = MAX_DIRECTORIES

    def add_below(self, level: set[Run]) -> None:
        """Add these directories and all below them, each once, in the order of their places."""
        seen: set[Run] = set()
        while level:
            seen |= level
            below: set[Run] = set()
            for run in sorted(level):
                below |= self.add(self._volume.contents(run, self._left, _PIECE))
                if len(below) > _MAX_COUNT:
                    break
            level = below - seen

    def add(self, contents: Iterator[bytes]) -> set[Run]:
        """Add one directory, return those in it."""
        return set(islice(self._directories(self.entries(contents)), _MAX_COUNT))

    def entries(self, contents: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the entries of a directory, up to the first that was never used."""
        for piece in contents:
            self._left -= len(piece)
            self._digest.update(piece)
            for at in range(0, len(piece) - ENTRY_SIZE + 1, ENTRY_SIZE):
                entry = piece[at : at + ENTRY_SIZE]
                if not entry[0]:
                    return
                yield entry
