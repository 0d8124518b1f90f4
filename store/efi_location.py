"""HibernateLocation, the EFI variable in which systemd says where an image is (src/sleep/sleep.c).

Written before a hibernation and removed by whoever looks there for the image. From systemd 254 on
its initramfs finds an image by it, where nothing on the kernel command line names a device.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple, Self
from uuid import UUID

from errors import Attempt, DeviceNotFoundError, StateError, StoreRefusedError
from linux import efivar
from linux.efivar import HIBERNATE_LOCATION
from store.header import StoreHeader
from store.locate import find_device
from store.place import place_of

_LONGEST = 4096
_MOST_PAGES = 10**15
_SYSTEM = {
    "ID": "osReleaseId",
    "IMAGE_ID": "osReleaseImageId",
    "VERSION_ID": "osReleaseVersionId",
    "IMAGE_VERSION": "osReleaseImageVersion",
}
"""What os-release(5) calls it, and what the variable does; systemd looks at the first two."""


class EfiLocation(NamedTuple):
    """A device by the UUID of what is on it, and a page of it."""

    uuid: UUID
    page: int
    kernel_release: str
    """Release of the kernel that was hibernated."""

    @classmethod
    def parse(cls, value: bytes) -> Self:
        """Return what the variable's value says. Raises StateError."""
        if len(value) > _LONGEST:
            raise _damaged("it is too long")
        try:
            # A NUL ends it, which some firmware pads.
            fields = json.loads(efivar.text_of(value))
            uuid, page = UUID(fields["uuid"]), fields["offset"]
            release = fields.get("kernelVersion", "")
        except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
            raise _damaged(str(error)) from error
        if type(page) is not int or not 0 <= page < _MOST_PAGES or not isinstance(release, str):
            raise _damaged("no page or no kernel")
        return cls(uuid, page, release)

    def build(self, os_release: Mapping[str, str]) -> bytes:
        """Return the variable's value; `os_release` has what os-release(5) says of the system."""
        system = {name: os_release[key] for key, name in _SYSTEM.items() if key in os_release}
        fields = {"uuid": str(self.uuid), "offset": self.page, "kernelVersion": self.kernel_release}
        text = json.dumps(fields | system, separators=(",", ":"))
        return efivar.value_of(text)

    @property
    def spec(self) -> str:
        """The device as `resume=` names it."""
        return f"UUID={self.uuid}"


def _damaged(why: str) -> StateError:
    return StateError(f"the EFI variable HibernateLocation is not what systemd writes: {why}")


def read_efi_location() -> EfiLocation | None:
    """Return the location for the running kernel; None if there is none, or only for another one.

    Another kernel's may be another system's. Raises StateError, UnreadableError.
    """
    found = _read()
    return found if found and found.kernel_release == os.uname().release else None


def is_efi_location_set() -> bool:
    """Return whether the firmware names a place, for any system. Raises OSError."""
    return efivar.read(HIBERNATE_LOCATION) is not None


def write_efi_location(location: EfiLocation, os_release: Mapping[str, str]) -> None:
    """Keep the location in the firmware. Raises UnreadableError."""
    with Attempt("write", "the EFI variable HibernateLocation"):
        efivar.write(HIBERNATE_LOCATION, location.build(os_release))


def clear_efi_location() -> bool:
    """Remove the location if it is for the running kernel; return whether it was.

    Raises StateError, UnreadableError.
    """
    if read_efi_location() is None:
        return False
    _remove()
    return True


def clear_efi_location_of(header: StoreHeader) -> None:
    """Remove the location if it is this store's, whatever kernel it is for.

    One that cannot be understood stays. Raises UnreadableError.
    """
    with suppress(StateError, StoreRefusedError, DeviceNotFoundError, FileNotFoundError):
        found = _read()
        place = find_device(found.spec) if found and found.page == header.page else None
        if place and os.path.samefile(place, place_of(header.name).device):
            _remove()


def _read() -> EfiLocation | None:
    with Attempt("read", "the EFI variable HibernateLocation"):
        value = efivar.read(HIBERNATE_LOCATION)
    return None if value is None else EfiLocation.parse(value)


def _remove() -> None:
    with Attempt("remove", "the EFI variable HibernateLocation"):
        efivar.remove(HIBERNATE_LOCATION)
