"""What the boot loader left in EFI variables (systemd.io, BOOT_LOADER_INTERFACE)."""

import codecs

from state.root import Root

_FOLDER = "/sys/firmware/efi/efivars"
_VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_ATTRIBUTES = 4
"""Bytes before the value (Documentation/filesystems/efivarfs.rst)."""


def loader_variable(root: Root, name: str) -> str:
    """Return a text variable of the boot loader or the stub, "" if there is none."""
    data = (root.data(f"{_FOLDER}/{name}-{_VENDOR}") or b"")[_ATTRIBUTES:]
    return codecs.utf_16_le_decode(data[: len(data) & ~1], "replace")[0].rstrip("\0")
