"""Opens files without following anything: openat2(2), open_by_handle_at(2)."""

import ctypes
import os
import struct
from functools import cache

from linux.libc import checked, libc, number_of, quick

# include/uapi/linux/openat2.h
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_CACHED = 0x20
"""Linux 5.12: EAGAIN where a name is not in the kernel's cache, nothing is read from a disk."""

BELOW = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH
"""What is opened is on the file system of the folder and below it; no link is followed."""

_OPENAT2 = number_of("openat2")
_AT_EMPTY_PATH = 0x1000
"""include/uapi/linux/fcntl.h."""
_MAX_HANDLE = 128
"""Bytes: MAX_HANDLE_SZ, include/linux/exportfs.h."""
_HOW = struct.Struct("=QQQ")
_HANDLE = struct.Struct("=Ii")
"""struct file_handle without its bytes: how many, and of what type (include/linux/fs.h)."""


def open_below(folder: int, path: bytes, flags: int, resolve: int = BELOW) -> int:
    """Open `path` below the open folder. Raises OSError: ELOOP for a link, EXDEV for a mount."""
    # What may wait for a disk lets other threads run; what may not is quicker without.
    syscall = quick.syscall if resolve & RESOLVE_CACHED else libc.syscall
    return checked(syscall(_OPENAT2, folder, path, _how(flags, resolve), _HOW.size))


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
    checked(quick.name_to_handle_at(*arguments))
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
    return checked(libc.open_by_handle_at(mount, room, flags | os.O_CLOEXEC))


def reopen(fd: int, flags: int) -> int:
    """Open the file behind an O_PATH descriptor once more, for reading or writing."""
    return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)
