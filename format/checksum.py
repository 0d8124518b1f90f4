"""CRC-32C, the one checksum of the format.

`definition` says what it is (crcmod, any polynomial, slow); `crc32c` computes it with the
processor's instruction. `self_test` holds the two equal at run time, before either program
trusts a checksum with somebody's memory; a unit test does so for random data.
"""

from collections.abc import Callable
from uuid import UUID

import crcmod
from crc32c import crc32c as _hardware

from errors import TorporError

Buffer = bytes | bytearray | memoryview

CHECKSUM_SIZE = 4

definition: Callable[[bytes], int] = crcmod.mkCrcFun(
    0x11EDC6F41, initCrc=0, rev=True, xorOut=0xFFFFFFFF
)
"""CRC-32C (Castagnoli) as RFC 3720 appendix B.4 defines it."""


def crc32c(data: Buffer, crc: int = 0) -> int:
    """Return the CRC-32C of `data`, continuing from `crc`, the value of the bytes before."""
    return _hardware(data, crc)


def seed(image_uuid: UUID) -> int:
    """Return the CRC that every checksum of this image continues from."""
    return crc32c(image_uuid.bytes)


def with_checksum(crc: int, bare: bytes) -> bytes:
    """Return the record with the checksum, continued from `crc`, behind it."""
    return bare + crc32c(bare, crc).to_bytes(CHECKSUM_SIZE, "little")


def is_summed(crc: int, data: Buffer) -> bool:
    """Return whether the last four bytes of `data` are the checksum of those before."""
    bare, checksum = data[:-CHECKSUM_SIZE], data[-CHECKSUM_SIZE:]
    return crc32c(bare, crc) == int.from_bytes(checksum, "little")


def self_test() -> None:
    """Raise TorporError if the computed checksum is not the defined one on this machine."""
    pattern = bytes(range(256)) * 4
    if crc32c(pattern) != definition(pattern):
        raise TorporError("this machine computes CRC-32C wrongly: nothing it checks can be trusted")
