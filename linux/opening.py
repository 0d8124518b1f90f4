"""Opens files without following anything: openat2(2), open_by_handle_at(2)."""

import ctypes
import os
import struct
from functools import cache

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_CACHED = 0x20
"""Linux 5.12: EAGAIN where a name is not in the kernel's cache, nothing is read from a disk."""

BELOW = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
"""What is opened is on the file system of the folder and below it; no link is followed."""

_SYS_OPENAT2 = 437
_SYS_NAME_TO_HANDLE_AT = 303
_SYS_OPEN_BY_HANDLE_AT = 304
_AT_EMPTY_PATH = 0x1000
_MAX_HANDLE = 128
_HOW = struct.Struct("=QQQ")
_HANDLE = struct.Struct("=Ii")

_quick = ctypes.PyDLL(None, use_errno=True)
_slow = ctypes.CDLL(None, use_errno=True)


def open_below(folder: int, path: bytes, flags: int, resolve: int = BELOW) -> int:
    """Open `path` below the open folder. Raises OSError: ELOOP for a link, EXDEV for a mount."""
    # What may wait for a disk lets other threads run; what may not is quicker without.
    syscall = _quick.syscall if resolve & RESOLVE_CACHED else _slow.syscall
    fd: int = syscall(_SYS_OPENAT2, folder, path, _how(flags, resolve), _HOW.size)
    return fd if fd >= 0 else _checked(fd)


@cache
def _how(flags: int, resolve: int) -> "ctypes.Array[ctypes.c_char]":
    return ctypes.create_string_buffer(_HOW.pack(flags | os.O_CLOEXEC, 0, resolve), _HOW.size)


def handle_of(fd: int) -> bytes:
    """Return the handle of the open file: its type (4 bytes), then what the file system gives.

    Raises OSError: EOPNOTSUPP where the file system has none.
    """
    room = ctypes.create_string_buffer(_HANDLE.pack(_MAX_HANDLE, 0), _HANDLE.size + _MAX_HANDLE)
    mount_id = ctypes.c_int()
    arguments = (fd, b"", room, ctypes.byref(mount_id), _AT_EMPTY_PATH)
    _checked(_quick.syscall(_SYS_NAME_TO_HANDLE_AT, *arguments))
    size, _ = _HANDLE.unpack_from(room)
    return room.raw[4 : _HANDLE.size + size]


def open_handle(mount: int, handle: bytes, flags: int) -> int:
    """Open the file with this handle on the file system of the open folder `mount`.

    Raises OSError: ESTALE where there is no such file any more.
    """
    kind, rest = handle[:4], handle[4:]
    room = ctypes.create_string_buffer(
        _HANDLE.pack(len(rest), int.from_bytes(kind, "little", signed=True)) + rest
    )
    return _checked(_slow.syscall(_SYS_OPEN_BY_HANDLE_AT, mount, room, flags | os.O_CLOEXEC))


def reopen(fd: int, flags: int) -> int:
    """Open the file behind an O_PATH descriptor once more, for reading or writing."""
    return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
