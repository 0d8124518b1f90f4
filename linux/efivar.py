"""EFI variables as files (Documentation/filesystems/efivarfs.rst)."""

import codecs
import fcntl
import os

from linux import programs
from linux.open_file import OpenFile

EFI = "/sys/firmware/efi"
FOLDER = f"{EFI}/efivars"

_SYSTEMD = "8cf2644b-4b0b-428f-9387-6d876050dc67"
"""The GUID of systemd's own (src/basic/efivars.h)."""
HIBERNATE_LOCATION = f"HibernateLocation-{_SYSTEMD}"
SYSTEMD_OPTIONS = f"SystemdOptions-{_SYSTEMD}"
"""What systemd reads in front of the kernel command line, where Secure Boot is off."""

ATTRIBUTES_SIZE = 4
_ATTRIBUTES = (7).to_bytes(ATTRIBUTES_SIZE, "little")
"""In front of each value: kept without power, at boot and in a running system (UEFI, 8.2)."""
_LONGEST = 1 << 16
_FS_IOC_GETFLAGS = 0x80086601
_FS_IOC_SETFLAGS = 0x40086602
_IMMUTABLE = 0x10


def is_there() -> bool:
    """Return whether the firmware's variables can be seen: it is EFI, and efivarfs is mounted."""
    try:
        return bool(os.listdir(FOLDER))
    except OSError:
        return False


def mount() -> None:
    """Mount efivarfs, if the firmware is EFI and nobody has; without a word if that fails."""
    if os.path.isdir(FOLDER) and not is_there():
        options = "nosuid,nodev,noexec"
        programs.call(["mount", "-t", "efivarfs", "-o", options, "efivarfs", FOLDER], quiet=True)


def read(name: str) -> bytes | None:
    """Return a variable's value, its first 64 KiB at most; None where there is none.

    `name` ends in the GUID of its vendor. A file without a byte is no variable: efivarfs shows it
    while one is made, and in a restored kernel for one that was removed since. Raises OSError.
    """
    try:
        variable = OpenFile(os.open(_path(name), os.O_RDONLY | os.O_CLOEXEC))
    except FileNotFoundError:
        return None
    with variable:
        data = os.read(variable.fd, ATTRIBUTES_SIZE + _LONGEST)
        return data[ATTRIBUTES_SIZE:] if data else None


def write(name: str, value: bytes) -> None:
    """Set a variable. Raises OSError."""
    _make_mutable(name)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    with OpenFile(os.open(_path(name), flags, 0o644)) as variable:
        os.write(variable.fd, _ATTRIBUTES + value)  # a variable is written in one piece


def remove(name: str) -> None:
    """Remove a variable, if it is there. Raises OSError."""
    _make_mutable(name)
    if os.path.exists(_path(name)):
        os.unlink(_path(name))


def text_of(value: bytes) -> str:
    """Return the text that a value is, up to the NUL that ends it. Raises UnicodeDecodeError."""
    return codecs.utf_16_le_decode(value, "strict", True)[0].rstrip("\0")


def value_of(text: str) -> bytes:
    """Return a text as a value."""
    # By name, this codec would have to be in the initramfs.
    return codecs.utf_16_le_encode(f"{text}\0")[0]


def _path(name: str) -> str:
    return f"{FOLDER}/{name}"


def _make_mutable(name: str) -> None:
    """Let a variable be changed: efivarfs makes files immutable that it does not know.

    A file system without such flags has none that forbid it.
    """
    try:
        fd = os.open(_path(name), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        flags = bytearray(8)
        fcntl.ioctl(fd, _FS_IOC_GETFLAGS, flags)
        plain = int.from_bytes(flags, "little") & ~_IMMUTABLE
        fcntl.ioctl(fd, _FS_IOC_SETFLAGS, plain.to_bytes(8, "little"))
    except OSError:
        return
    finally:
        os.close(fd)
