"""Names of devices that the kernel gives anew at each boot, as its drivers find the devices.

What has such a name today another device may have at the next boot.
"""

import re
from collections.abc import Iterator
from contextlib import suppress

from errors import ConfigurationError, DeviceNotFoundError
from linux.root import HOST, Root
from state.conf import PATH as CONF
from state.location import PATH as LOCATION
from store.choose import Doubt, Settings
from store.locate import find_device, name_of

_KEPT = re.compile(r"/dev/(xvd[a-z]+\d*|(nbd\d+|drbd\d+|md\d{1,2}|md_d\d+)(p\d+)?)")
"""The kernel's names that a configuration fixes: of Xen, network block devices, and md but for the
numbers from 127 down, which mdadm gives to arrays without one (mdopen.c, find_free_devnm)."""
_BY_NUMBER = re.compile(r"/dev/(block|disk/by-diskseq)/")


def passing_names(settings: Settings, root: Root = HOST) -> Iterator[Doubt]:
    """Yield which of the names that say where the store is last for this boot only."""
    named = None
    with suppress(ConfigurationError):  # which store.choose.doubts yields
        named = settings.named
    if store := settings.conf.store:
        yield from why_passing(f"store = {store} in {CONF}", store, "say store = {} there", root)
    if named:
        said = f"resume={named.resume} on the kernel command line"
        remedy = "say resume={} in the boot loader's configuration"
        yield from why_passing(said, named.resume, remedy, root)
    elif kept := settings.location:
        said = f"resume={kept.resume} in {LOCATION}"
        yield from why_passing(said, kept.resume, "run torpor enable, which writes {}", root)


def why_passing(said: str, name: str, remedy: str, root: Root = HOST) -> Iterator[Doubt]:
    """Yield that a name, which `said` shows where it stands, may be another device's soon.

    `remedy` has {} for the name that lasts.
    """
    if device := _device(name, root):
        last = name_of(device, root)
        if _device(last, root):
            remedy = "use a partition or logical volume: it has a name that lasts"
        yield Doubt(
            f"{said} is a name of this boot: at the next one another device may have it",
            remedy.format(last),
        )


def _device(name: str, root: Root) -> str | None:
    """Return the path of the device that has this name for this boot only, None for any other name.

    That is so of a device's number and of the kernel's own name, not of a link that udev makes, or
    of what device-mapper calls a device.
    """
    try:
        device = None if "=" in name else find_device(name, root)
    except DeviceNotFoundError:
        return None
    if device is None or not name.startswith("/") or _BY_NUMBER.match(name):
        return device
    number = root.device_number(device) or ""
    kernels = f"/dev/{(root.device_name(number) or '').replace('!', '/')}"
    return device if name == kernels and not _KEPT.fullmatch(name) else None
