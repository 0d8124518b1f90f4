"""The working set: what was in memory that can be brought back from disk.

docs/FORMAT.md, "Working set". Pages of files and processes are named, none of their bytes is kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import ClassVar, Self
from uuid import UUID

from errors import DamagedError, NoImageError, UnsupportedError
from format import layout
from format.checksum import crc32c
from format.records import MAX_WORKING_SET_SIZE, WORKING_SET

MAX_FILES = 1 << 20
MAX_FILE_SYSTEMS = 4096
MAX_PATH = 4096
"""Bytes of a path, and so of a front-coded one when it is put together."""

MAX_NAMES = 64 << 20
"""Bytes of all paths together, put together."""

MAX_FILE_SIZE = MAX_WORKING_SET_SIZE + 64
"""Bytes of a whole file with a working set, and a few more."""

_MAX_BYTES = 10
"""Of a number of 64 bits."""

_MOST_PAGES = 1 << 51
"""No file and no address space has more: a byte of a file has a number of 63 bits."""

PAGES_IN_MIB = 256

_WORD = (1 << 64) - 1

Ranges = tuple[tuple[int, int], ...]
"""Runs of pages: first page, pages; in order and apart from each other."""


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A regular file, and the pages of it that were in the page cache."""

    name: bytes
    """The path below the mount; without paths, the type (4 bytes) and the bytes of the handle
    that name_to_handle_at(2) gave."""
    check: int
    """file_check of the file as it was."""
    in_use: bool
    """Whether a process had it open or mapped."""
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A file system and its files, in the order of their names."""

    device: str
    """What finds its device, as `resume=` takes it."""
    root: str
    """The folder of the file system that is mounted (proc(5), mountinfo); "" without paths."""
    mount_point: str
    """"" without paths."""
    files: tuple[CachedFile, ...]


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """A process, and the pages of its own that were in memory: anonymous or shared memory."""

    pid: int
    started: int
    """Field `starttime` of /proc/PID/stat, clock ticks: tells it from a later one of that id."""
    ranges: Ranges
    """Of its address space."""


@dataclass(frozen=True, slots=True)
class WorkingSet:
    """All of it."""

    boot_id: UUID
    """The boot that the processes belong to."""
    with_paths: bool
    complete: bool
    """Whether neither time nor room ran out."""
    file_systems: tuple[FileSystem, ...]
    processes: tuple[ProcessMemory, ...]

    kind: ClassVar[int] = WORKING_SET

    @property
    def files(self) -> int:
        """How many files there are."""
        return sum(len(system.files) for system in self.file_systems)

    @property
    def file_pages(self) -> int:
        """Pages of page cache."""
        files = (file for system in self.file_systems for file in system.files)
        return sum(pages_in(file.ranges) for file in files)

    @property
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
        """Return the working set in a section. Raises DamagedError, UnsupportedError."""
        fields = layout.parse(layout.WorkingSet, data, "the working set cannot be read")
        if fields.flags & ~(layout.WITHOUT_PATHS | layout.INCOMPLETE):
            raise UnsupportedError(f"the working set has unknown flags {fields.flags:#x}")
        counts = [system.file_count for system in fields.file_systems]
        if len(counts) > MAX_FILE_SYSTEMS or sum(counts) > MAX_FILES:
            raise DamagedError(f"the working set claims {sum(counts)} files")
        if len(fields.checks) != 4 * sum(counts):
            raise DamagedError("the working set has another number of checks than of files")
        columns = zip(
            _names(fields.names, counts),
            layout.column("I", fields.checks),
            _file_ranges(decode_numbers(fields.ranges), sum(counts)),
            strict=True,
        )
        # A list: what is left over in a column is noticed at its end only.
        files = iter([CachedFile(name, check, used, runs) for name, check, (used, runs) in columns])
        systems = (
            layout.filled(FileSystem, system, files=tuple(islice(files, system.file_count)))
            for system in fields.file_systems
        )
        return layout.filled(
            cls,
            fields,
            with_paths=not fields.flags & layout.WITHOUT_PATHS,
            complete=not fields.flags & layout.INCOMPLETE,
            file_systems=tuple(systems),
            processes=tuple(_processes(decode_numbers(fields.processes))),
        )


def build_file(section: bytes) -> bytes:
    """Return the contents of a file with this working set."""
    return layout.seal(0, layout.WorkingSetFile, working_set=section)


def parse_file(data: bytes) -> bytes:
    """Return the working set in a file. Raises NoImageError, UnsupportedError, DamagedError."""
    magic, version = data[:8], int.from_bytes(data[8:12], "little")
    if magic != layout.WORKING_SET_MAGIC:
        raise NoImageError("no working set: the first bytes are not one's")
    if version != layout.VERSION:
        raise UnsupportedError(f"working set of version {version} is not known")
    fields = layout.parse(layout.WorkingSetFile, data, "the working set is cut off, or longer")
    if not layout.is_sealed(0, data):
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


def _front_coded(files: Sequence[CachedFile]) -> bytes:
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


def _numbers_of_processes(processes: Sequence[ProcessMemory]) -> Iterator[int]:
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


def _names(data: bytes, counts: Sequence[int]) -> Iterator[bytes]:
    at = total = 0
    for count in counts:
        before = b""
        for _ in range(count):
            shared, at = _number_at(data, at)
            size, at = _number_at(data, at)
            name = before[:shared] + data[at : at + size]
            total += len(name)
            if shared > len(before) or len(name) != shared + size or len(name) > MAX_PATH:
                raise DamagedError("the working set has a name that does not fit")
            if total > MAX_NAMES:
                raise DamagedError("the names of the working set are too long")
            at += size
            yield name
            before = name
    if at != len(data):
        raise DamagedError("the working set has more names than files")


def _number_at(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins there, and where it ends; at most 16 bits."""
    value = shift = 0
    for end in range(at, min(at + 3, len(data))):
        value |= (data[end] & 0x7F) << shift
        if data[end] < 0x80:
            return value, end + 1
        shift += 7
    raise DamagedError("the working set has a name without a length")


def _file_ranges(numbers: list[int], files: int) -> Iterator[tuple[bool, Ranges]]:
    at = 0
    for _ in range(files):
        head = _number(numbers, at)
        ranges, at = _ranges_at(numbers, at + 1, head >> 1)
        yield bool(head & 1), ranges
    if at != len(numbers):
        raise DamagedError("the working set has ranges of no file")


def _processes(numbers: list[int]) -> Iterator[ProcessMemory]:
    at = 0
    while at < len(numbers):
        pid, started = _number(numbers, at), _number(numbers, at + 1)
        ranges, at = _ranges_at(numbers, at + 3, _number(numbers, at + 2))
        if not 0 < pid < 1 << 31:
            raise DamagedError(f"the working set has an impossible process {pid}")
        yield ProcessMemory(pid, started, ranges)


def _number(numbers: list[int], at: int) -> int:
    if at >= len(numbers):
        raise DamagedError("the working set ends before its ranges do")
    return numbers[at]


def _ranges_at(numbers: list[int], at: int, count: int) -> tuple[Ranges, int]:
    """Return the `count` runs whose gaps and sizes begin there, and where they end."""
    end = at + 2 * count
    if end > len(numbers):
        raise DamagedError("the working set ends before its ranges do")
    ranges = []
    page = 0
    for gap, more in zip(numbers[at:end:2], numbers[at + 1 : end : 2], strict=True):
        first = page + gap
        page = first + more + 1
        ranges.append((first, more + 1))
    if page > _MOST_PAGES or any(a[0] + a[1] == b[0] for a, b in pairwise(ranges)):
        raise DamagedError("the working set has an impossible range")
    return tuple(ranges), end


def encode_numbers(numbers: Iterable[int]) -> bytes:
    """Return the numbers, which are not negative, one behind the other: LEB128.

    A byte for each seven bits, the low ones first (DWARF 5, section 7.6).
    """
    out = bytearray()
    for number in numbers:
        rest = number
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def decode_numbers(data: bytes) -> list[int]:
    """Return all the numbers in `data`. Raises DamagedError for half a one, or one of > 64 bits."""
    numbers = []
    value = shift = 0
    for byte in data:
        if byte < 0x80:
            numbers.append(value | byte << shift)
            value = shift = 0
        else:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift >= _MAX_BYTES * 7:
                raise DamagedError("a number in the working set has no end")
    if shift:
        raise DamagedError("the working set ends within a number")
    return numbers
