"""The codecs of chunks, from memory of ours into memory of ours.

LZ4's C functions are called as they are: the lz4 wheel's own compress and decompress give each
result in new memory, and copy it once more under Python's lock. The wheel exports them (or is
linked with the liblz4 that does), so they are the library that requirements.lock pins. zstandard
exports none, and is imported by the first that needs it. All run outside Python's lock.
"""

import ctypes
from collections.abc import Callable

from lz4.block import _block

NONE, LZ4, FILL, ZSTD = range(4)
"""What the codec field of a chunk says."""

NAMES = ("lz4", "lz4hc", "zstd", "none")
"""What a writer may be told to use."""
DEFAULT = NAMES[0]

ACCELERATION = 2
_HC_LEVEL = 3
_ZSTD_LEVEL = 1
"""docs/PERFORMANCE.md has what the levels take and give."""

_HEAD = 64
"""Bytes of a chunk that are looked at before all of them."""

_lz4 = ctypes.CDLL(_block.__file__)
_P, _I = ctypes.c_void_p, ctypes.c_int
_COMPRESS = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, _I, _I)
"""State, source, destination, their sizes, level; 0 where the destination is too small."""
_fast = _COMPRESS(("LZ4_compress_fast_extState", _lz4))
_hc = _COMPRESS(("LZ4_compress_HC_extStateHC", _lz4))
_decompress = ctypes.CFUNCTYPE(_I, _P, _P, _I, _I)(("LZ4_decompress_safe", _lz4))
_compare = ctypes.CFUNCTYPE(_I, _P, _P, ctypes.c_size_t)(("memcmp", ctypes.CDLL(None)))


Compress = Callable[[memoryview, memoryview], int]
"""Compresses the first into the second, returns the size; 0 where the room does not suffice.

One thing at a time, with memory of its own that was got when it was made."""


def compressor(name: str, largest: int) -> tuple[int, Compress]:
    """Return what compresses up to `largest` bytes as `name`, one of NAMES, says.

    And before it what the codec field has to say of the result.
    """
    if name == "lz4":
        return LZ4, lz4_fast(ACCELERATION)
    if name == "lz4hc":
        return LZ4, lz4_hc(_HC_LEVEL)
    return (ZSTD, zstd(largest, _ZSTD_LEVEL)) if name == "zstd" else (NONE, lambda _raw, _room: 0)


def lz4_fast(acceleration: int) -> Compress:
    """Return what compresses by LZ4; 2 looks at half as many places as 1, which is LZ4's own."""
    return _by_lz4(_fast, _lz4.LZ4_sizeofState(), acceleration)


def lz4_hc(level: int) -> Compress:
    """Return what compresses by LZ4 HC, of the same format, slower and smaller."""
    return _by_lz4(_hc, _lz4.LZ4_sizeofStateHC(), level)


def _by_lz4(function: Callable[..., int], state_size: int, level: int) -> Compress:
    state = ctypes.create_string_buffer(state_size)

    def compress(raw: memoryview, room: memoryview) -> int:
        return function(state, address(raw), address(room), len(raw), len(room), level)

    return compress


def zstd(largest: int, level: int) -> Compress:
    """Return what compresses up to `largest` bytes by Zstandard."""
    import zstandard

    compressor = zstandard.ZstdCompressor(level=level)
    # What it needs for a chunk it gets with the first, and keeps.
    compressor.compress(bytes(largest))

    def compress(raw: memoryview, room: memoryview) -> int:
        stored = compressor.compress(raw)
        if len(stored) > len(room):
            return 0
        room[: len(stored)] = stored
        return len(stored)

    return compress


def address(view: memoryview) -> int:
    """Return where the bytes of `view`, which can be written to, lie."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


def is_fill(raw: memoryview) -> bool:
    """Return whether all bytes of `raw`, at least one, are equal: zeros, nearly always.

    Most begin with others, which is seen without letting Python's lock go: to have that back costs
    ten times as much as to look.
    """
    head = bytes(raw[:_HEAD])
    if head.count(head[0]) < len(head):
        return False
    start = address(raw)
    return bool(_compare(start, start + 1, len(raw) - 1) == 0)


def decompress(codec: int, payload: memoryview, room: memoryview) -> bool:
    """Fill `room` with what `payload` holds in LZ4, FILL or ZSTD. Return whether it fits.

    Exactly: neither a byte more nor a byte less.
    """
    if codec == FILL:
        return _spread(payload, room)
    if codec == ZSTD:
        return _unpack_zstd(payload, room)
    done = _decompress(address(payload), address(room), len(payload), len(room))
    return bool(done == len(room))


def _spread(payload: memoryview, room: memoryview) -> bool:
    if len(payload) != 1:
        return False
    ctypes.memset(address(room), payload[0], len(room))
    return True


def _unpack_zstd(payload: memoryview, room: memoryview) -> bool:
    import zstandard

    try:
        # The library gets memory for what the frame says it holds.
        if zstandard.frame_content_size(payload) != len(room):
            return False
        raw = zstandard.ZstdDecompressor().decompress(payload, allow_extra_data=False)
    except zstandard.ZstdError:
        return False
    room[:] = raw
    return True
