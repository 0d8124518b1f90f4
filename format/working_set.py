"""The working set: what was in memory that can be brought back from disk.

docs/FORMAT.md, "Working set". Pages of files and processes are named, none of their bytes is kept.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple, Self
from uuid import UUID

from errors import DamagedError, NoImageError, UnsupportedError
from format import layout
from format.checksum import crc32c, is_summed
from format.packed import Unpacked, encode_numbers, number_at, ranges_at
from format.records import MAX_TABLE_SIZE, MAX_WORKING_SET_SIZE

if TYPE_CHECKING:
    from array import array

MAX_FILES = 1 << 20
MAX_FILE_SYSTEMS = 4096
MAX_PROCESSES = 1 << 20
MAX_RANGES = 1 << 21
"""Of all files and processes together."""

MAX_PATH = 4096
"""Bytes of a path, and so of a front-coded one when it is put together."""

MAX_NAMES = 64 << 20
"""Bytes of all paths together, put together."""

MAX_FILE_SIZE = MAX_WORKING_SET_SIZE + 64
"""Bytes of a whole file with a working set, and a few more."""

_COUNT = slice(20, 24)
"""Where the number of file systems stands in the section."""

_NAME_BYTES = 3
"""The most of a number within a name."""

PAGES_IN_MIB = 256

_WORD = (1 << 64) - 1

Ranges = Sequence[tuple[int, int]]
"""Runs of pages: first page, pages; in order and apart from each other."""


class CachedFile(NamedTuple):
    """A regular file, and the pages of it that were in the page cache."""

    name: bytes
    """The path below the mount; without paths, the type (4 bytes) and the bytes of the handle
    that name_to_handle_at(2) gave."""
    check: int
    """file_check of the file as it was."""
    in_use: bool
    """Whether a process had it open or mapped."""
    ranges: Ranges


class FileSystem(NamedTuple):
    """A file system and its files, in the order of their names."""

    device: str
    """What finds its device, as `resume=` takes it."""
    root: str
    """The folder of the file system that is mounted (proc(5), mountinfo); "" without paths."""
    mount_point: str
    """"" without paths."""
    files: Collection[CachedFile]


class ProcessMemory(NamedTuple):
    """A process, and the pages of its own that were in memory: anonymous or shared memory."""

    pid: int
    started: int
    """Field `starttime` of /proc/PID/stat, clock ticks: tells it from a later one of that id."""
    ranges: Ranges
    """Of its address space."""


class _Parts(NamedTuple):
    boot_id: UUID
    """The boot that the processes belong to."""
    with_paths: bool
    complete: bool
    """Whether neither time nor room ran out."""
    file_systems: tuple[FileSystem, ...]
    processes: Collection[ProcessMemory]


class WorkingSet(_Parts):
    """All of it; what takes long to count is counted once."""

    @property
    def files(self) -> int:
        """How many files there are."""
        return sum(len(system.files) for system in self.file_systems)

    @cached_property
    def file_pages(self) -> int:
        """Pages of page cache."""
        files = (file for system in self.file_systems for file in system.files)
        return sum(pages_in(file.ranges) for file in files)

    @cached_property
    def process_pages(self) -> int:
        """Pages of processes; one that several share counts for each."""
        return sum(pages_in(process.ranges) for process in self.processes)

    def counts(self) -> dict[str, int | bool]:
        """Return how much it is, for a script."""
        return {
            "files": self.files,
            "file_pages": self.file_pages,
            "processes": len(self.processes),
            "process_pages": self.process_pages,
            "with_paths": self.with_paths,
            "complete": self.complete,
        }

    def __str__(self) -> str:
        return (
            f"{self.files} files with {self.file_pages // PAGES_IN_MIB} MiB, "
            f"{len(self.processes)} processes with {self.process_pages // PAGES_IN_MIB} MiB"
            f"{'' if self.complete else ', not all'}"
        )

    @property
    def head_size(self) -> int:
        """Bytes of the section up to the names: at most MAX_TABLE_SIZE."""
        return len(layout.build(layout.WorkingSetHead, self, flags=0))

    def build(self) -> bytes:
        """Return the section's bytes."""
        files = [file for system in self.file_systems for file in system.files]
        flags = 0 if self.with_paths else layout.WITHOUT_PATHS
        flags |= 0 if self.complete else layout.INCOMPLETE
        return layout.build(
            layout.WorkingSet,
            self,
            flags=flags,
            names=b"".join(_front_coded(system.files) for system in self.file_systems),
            checks=b"".join(file.check.to_bytes(4, "little") for file in files),
            ranges=encode_numbers(_numbers_of_files(files)),
            processes=encode_numbers(_numbers_of_processes(self.processes)),
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Return the working set in a section. Raises DamagedError, UnsupportedError.

        All of it is checked, and stays packed: as objects it would take a gigabyte.
        """
        if int.from_bytes(data[_COUNT], "little") > MAX_FILE_SYSTEMS:
            raise DamagedError("the working set claims more file systems than there can be")
        head, refusal = data[:MAX_TABLE_SIZE], "the working set cannot be read"
        layout.parse(layout.WorkingSetHead, head, refusal)
        fields = layout.parse(layout.WorkingSet, data, refusal)
        if fields.flags & ~(layout.WITHOUT_PATHS | layout.INCOMPLETE):
            raise UnsupportedError(f"the working set has unknown flags {fields.flags:#x}")
        files = sum(system.file_count for system in fields.file_systems)
        if files > MAX_FILES:
            raise DamagedError(f"the working set claims {files} files")
        if len(fields.checks) != 4 * files:
            raise DamagedError("the working set has another number of checks than of files")
        columns = _Columns(fields.names, layout.column("I", fields.checks), fields.ranges)
        sums = _Sums()
        systems = tuple(_systems(fields.file_systems, columns, sums))
        unpack = partial(_processes, fields.processes)
        for process in unpack():
            sums.add(process.ranges, processes=1)
        return layout.filled(
            cls,
            fields,
            with_paths=not fields.flags & layout.WITHOUT_PATHS,
            complete=not fields.flags & layout.INCOMPLETE,
            file_systems=systems,
            processes=Unpacked(sums.processes, unpack),
        )


def build_file(section: bytes) -> bytes:
    """Return the contents of a file with this working set."""
    return layout.summed(0, layout.WorkingSetFile, working_set=section)


def parse_file(data: bytes) -> bytes:
    """Return the working set in a file. Raises NoImageError, UnsupportedError, DamagedError."""
    magic, version = data[:8], int.from_bytes(data[8:12], "little")
    if magic != layout.WORKING_SET_MAGIC:
        raise NoImageError("no working set: the first bytes are not one's")
    if version != layout.VERSION:
        raise UnsupportedError(f"working set of version {version} is not known")
    fields = layout.parse(layout.WorkingSetFile, data, "the working set is cut off, or longer")
    if not is_summed(0, data):
        raise DamagedError("the working set has a wrong checksum")
    section: bytes = fields.working_set
    return section


def file_check(inode: int, size: int, mtime_ns: int) -> int:
    """Return what tells a file from what it becomes when it is changed or replaced."""
    # 64 bits of each: a time after 2262 has more.
    parts = (part & _WORD for part in (inode, size, mtime_ns))
    return crc32c(b"".join(part.to_bytes(8, "little") for part in parts))


def pages_in(ranges: Iterable[tuple[int, int]]) -> int:
    """Return the pages of all runs."""
    return sum(count for _, count in ranges)


def _front_coded(files: Iterable[CachedFile]) -> bytes:
    """Return the names: of each, how much it shares with the one before, and the rest of it."""
    out = bytearray()
    before = b""
    for file in files:
        shared = _shared(before, file.name)
        rest = file.name[shared:]
        out += encode_numbers((shared, len(rest))) + rest
        before = file.name
    return bytes(out)


def _shared(one: bytes, other: bytes) -> int:
    """Return how many bytes at the beginning are the same."""
    size = min(len(one), len(other))
    differing = int.from_bytes(one[:size], "big") ^ int.from_bytes(other[:size], "big")
    return size - (differing.bit_length() + 7) // 8


def _numbers_of_files(files: Sequence[CachedFile]) -> Iterator[int]:
    for file in files:
        yield len(file.ranges) << 1 | file.in_use
        yield from _gaps(file.ranges)


def _numbers_of_processes(processes: Iterable[ProcessMemory]) -> Iterator[int]:
    for process in processes:
        yield process.pid
        yield process.started
        yield len(process.ranges)
        yield from _gaps(process.ranges)


def _gaps(ranges: Ranges) -> Iterator[int]:
    """Yield for each run the pages since the end of the one before, and its own less one."""
    end = 0
    for first, count in ranges:
        yield first - end
        yield count - 1
        end = first + count


class _Columns(NamedTuple):
    """What is known of all files: one value behind the other."""

    names: bytes
    checks: "array[int]"
    ranges: bytes


class _Place(NamedTuple):
    """Where in each column a file begins."""

    name: int = 0
    check: int = 0
    ranges: int = 0


class _Sums:
    """How much there is of what has a limit."""

    def __init__(self) -> None:
        self.names = 0
        """Bytes."""
        self.ranges = 0
        self.processes = 0

    def add(self, ranges: Ranges, name: bytes = b"", processes: int = 0) -> None:
        """Count these. Raises DamagedError if it is too much in all."""
        self.names += len(name)
        self.ranges += len(ranges)
        self.processes += processes
        if self.names > MAX_NAMES:
            raise DamagedError("the names of the working set are too long")
        if self.ranges > MAX_RANGES or self.processes > MAX_PROCESSES:
            raise DamagedError("the working set has more ranges or processes than there can be")


def _systems(
    found: Iterable[layout.Fields], columns: _Columns, sums: _Sums
) -> Iterator[FileSystem]:
    """Yield the file systems, each once its files were checked."""
    place = _Place()
    for system in found:
        walk = partial(_walk, columns, place, system.file_count)
        for file, end in walk():
            sums.add(file.ranges, file.name)
            place = end
        files = Unpacked(system.file_count, partial(_files, walk))
        yield layout.filled(FileSystem, system, files=files)
    if place.name != len(columns.names):
        raise DamagedError("the working set has more names than files")
    if place.ranges != len(columns.ranges):
        raise DamagedError("the working set has ranges of no file")


def _files(walk: Callable[[], Iterator[tuple[CachedFile, _Place]]]) -> Iterator[CachedFile]:
    return (file for file, _ in walk())


def _walk(columns: _Columns, place: _Place, count: int) -> Iterator[tuple[CachedFile, _Place]]:
    """Yield so many files from a place on, each with the place of the next."""
    name = b""
    name_at, check_at, at = place
    for nth in range(check_at, check_at + count):
        name, name_at = _name_at(columns.names, name_at, name)
        head, at = number_at(columns.ranges, at)
        ranges, at = _ranges_at(columns.ranges, at, head >> 1)
        file = CachedFile(name, columns.checks[nth], bool(head & 1), ranges)
        yield file, _Place(name_at, nth + 1, at)


def _name_at(data: bytes, at: int, before: bytes) -> tuple[bytes, int]:
    """Return the name that begins there, and where it ends."""
    shared, at = number_at(data, at, _NAME_BYTES)
    size, at = number_at(data, at, _NAME_BYTES)
    name = before[:shared] + data[at : at + size]
    if shared > len(before) or len(name) != shared + size or len(name) > MAX_PATH:
        raise DamagedError("the working set has a name that does not fit")
    return name, at + size


def _processes(data: bytes) -> Iterator[ProcessMemory]:
    at = 0
    while at < len(data):
        pid, at = number_at(data, at)
        started, at = number_at(data, at)
        count, at = number_at(data, at)
        ranges, at = _ranges_at(data, at, count)
        if not 0 < pid < 1 << 31:
            raise DamagedError(f"the working set has an impossible process {pid}")
        yield ProcessMemory(pid, started, ranges)


def _ranges_at(data: bytes, at: int, count: int) -> tuple[Ranges, int]:
    """Return the runs whose gaps and sizes begin there, and where they end."""
    if 2 * count > len(data) - at:
        raise DamagedError("the working set ends before its ranges do")
    if count > MAX_RANGES:
        raise DamagedError(f"the working set claims {count} ranges")
    return ranges_at(data, at, count) if count else ((), at)
