"""Numbers of any size one behind the other, and what is unpacked of them in little memory.

A number takes a byte for each seven bits, the low ones first: LEB128 (DWARF 5, section 7.6).
"""

from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from operator import eq
from typing import TypeVar, overload

from errors import DamagedError

T_co = TypeVar("T_co", covariant=True)

_MOST_BYTES = 10
"""Of a number of 64 bits."""

_MOST_PAGES = 1 << 51
"""No file and no address space has more: a byte of a file has a number of 63 bits."""


def encode_numbers(numbers: Iterable[int]) -> bytes:
    """Return the numbers, which are not negative, one behind the other."""
    out = bytearray()
    for number in numbers:
        rest = number
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def number_at(data: bytes, at: int, most: int = _MOST_BYTES) -> tuple[int, int]:
    """Return the number of at most so many bytes that begins there, and where it ends.

    Raises DamagedError where there is none.
    """
    if at < len(data) and data[at] < 0x80:  # nearly all of them
        return data[at], at + 1
    value = shift = 0
    for end in range(at, min(at + most, len(data))):
        byte = data[end]
        if byte < 0x80:
            return value | byte << shift, end + 1
        value |= (byte & 0x7F) << shift
        shift += 7
    if at + most <= len(data):
        raise DamagedError("a number in the working set has no end")
    if shift:
        raise DamagedError("the working set ends within a number")
    raise DamagedError("the working set ends before its ranges do")


def ranges_at(data: bytes, at: int, count: int) -> tuple["PackedRanges", int]:
    """Return the runs whose gaps and sizes begin there, and where they end. Raises DamagedError."""
    firsts, counts = array("Q", [0]) * count, array("Q", [0]) * count
    end = 0
    for nth in range(count):
        gap, at = number_at(data, at)
        more, at = number_at(data, at)
        first = end + gap
        end = first + more + 1
        if end > _MOST_PAGES or (nth and not gap):
            raise DamagedError("the working set has an impossible range")
        firsts[nth], counts[nth] = first, more + 1
    return PackedRanges(firsts, counts), at


class PackedRanges(Sequence[tuple[int, int]]):
    """Runs of pages, 16 bytes each: first page, pages; in order and apart from each other."""

    __slots__ = ("_counts", "_firsts")

    def __init__(self, firsts: "array[int]", counts: "array[int]") -> None:
        self._firsts = firsts
        self._counts = counts

    def __len__(self) -> int:
        return len(self._firsts)

    @overload
    def __getitem__(self, at: int) -> tuple[int, int]: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[tuple[int, int]]: ...
    def __getitem__(self, at: int | slice) -> tuple[int, int] | Sequence[tuple[int, int]]:
        if isinstance(at, slice):
            return [*zip(self._firsts[at], self._counts[at], strict=True)]
        return self._firsts[at], self._counts[at]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._firsts, self._counts, strict=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and _are_equal(self, other)

    __hash__ = None  # type: ignore[assignment]


class Unpacked(Collection[T_co]):
    """What is unpacked anew each time that somebody goes through it: all at once takes memory."""

    def __init__(self, count: int, unpack: Callable[[], Iterator[T_co]]) -> None:
        self._count = count
        self._unpack = unpack

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T_co]:
        return self._unpack()

    def __contains__(self, wanted: object) -> bool:
        return any(each == wanted for each in self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Collection) and _are_equal(self, other)

    __hash__ = None  # type: ignore[assignment]


def _are_equal(one: Collection[object], other: Collection[object]) -> bool:
    return len(one) == len(other) and all(map(eq, one, other))
