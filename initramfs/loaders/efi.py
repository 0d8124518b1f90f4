"""What the boot loader left in EFI variables (systemd.io, BOOT_LOADER_INTERFACE)."""

from contextlib import suppress

from linux.efivar import ATTRIBUTES_SIZE, FOLDER, text_of
from linux.root import Root

_VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"


def loader_variable(root: Root, name: str) -> str:
    """Return a text variable of the boot loader or the stub, "" if there is none."""
    data = root.data(f"{FOLDER}/{name}-{_VENDOR}") or b""
    with suppress(UnicodeDecodeError):
        return text_of(data[ATTRIBUTES_SIZE:])
    return ""
