"""Numbers of one byte for each seven bits, the low ones first (LEB128; DWARF 5, section 7.6)."""

from collections.abc import Iterable

from errors import DamagedError

MAX_BYTES = 10
"""Of a number of 64 bits."""


def encode(numbers: Iterable[int]) -> bytes:
    """Return the numbers, which are not negative, one behind the other."""
    out = bytearray()
    for number in numbers:
        rest = number
        while rest > 0x7F:
            out.append(rest & 0x7F | 0x80)
            rest >>= 7
        out.append(rest)
    return bytes(out)


def decode(data: bytes) -> list[int]:
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
            if shift >= MAX_BYTES * 7:
                raise DamagedError("a number in the working set has no end")
    if shift:
        raise DamagedError("the working set ends within a number")
    return numbers
