"""Finds a block device by what `resume=` says: a path, a tag, or a device number."""

import os
import stat
from collections.abc import Iterator

import pyudev

from kernel import swap
from store.errors import DeviceNotFoundError

_PROPERTIES = {
    "UUID": "ID_FS_UUID",
    "LABEL": "ID_FS_LABEL_ENC",
    "PARTUUID": "ID_PART_ENTRY_UUID",
    "PARTLABEL": "ID_PART_ENTRY_NAME",
}
_CLASS = "/sys/class/block"
_NO_STORE = ("zram", "ram", "loop", "fd", "sr")
_KERNEL_PROPERTIES = {"PARTUUID": "PARTUUID", "PARTLABEL": "PARTNAME"}
"""What the kernel itself says in a partition's uevent, for an initramfs without udevd."""


def find_device(spec: str) -> str | None:
    """Return the path of the block device that `spec` names, None while there is none.

    `spec` is /dev/…, UUID=, LABEL=, PARTUUID=, PARTLABEL= or MAJOR:MINOR. Raises
    DeviceNotFoundError for anything else.
    """
    tag, _, value = spec.partition("=")
    value = value.strip("\"'")
    if value and tag in _PROPERTIES:
        return _find_by_tag(tag, value)
    if spec.startswith("/"):
        return spec if _is_block(spec) else None
    major, colon, minor = spec.partition(":")
    if colon and major.isdecimal() and minor.isdecimal():
        return node_of_number(int(major), int(minor))
    raise DeviceNotFoundError(
        f"{spec!r} does not name a device",
        "use /dev/NAME, UUID=, LABEL=, PARTUUID=, PARTLABEL= or MAJOR:MINOR",
    )


def whole_devices() -> Iterator[str]:
    """Yield the paths of all block devices that nothing lies on: no layer of dm or md has them.

    Without those that are memory, files, or drives that may have no medium.
    """
    for name in sorted(os.listdir(_CLASS)):
        holders = f"{_CLASS}/{name}/holders"
        busy = os.path.isdir(holders) and os.listdir(holders)
        node = f"/dev/{name.replace('!', '/')}"
        if not (busy or name.startswith(_NO_STORE) or not _is_block(node)):
            yield node


def _is_block(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False


def name_of(device: str) -> str:
    """Return the name of a device that the next boot finds it by, as `resume=` takes it.

    UUID= where the device has one of its own, else PARTUUID=, its name in /dev/mapper, or `device`.
    """
    for name in _names(device):
        found = find_device(name)
        if found is not None and os.path.samefile(found, device):
            return name
    return device


def _names(device: str) -> Iterator[str]:
    try:
        known = pyudev.Devices.from_device_number(pyudev.Context(), "block", _number(device))
        properties = dict(known.properties)
    except pyudev.DeviceNotFoundError:
        properties = {}
    uuid = _header_tag(device, "UUID") or properties.get("ID_FS_UUID")
    if uuid:
        yield f"UUID={uuid}"
    if partuuid := properties.get("ID_PART_ENTRY_UUID"):
        yield f"PARTUUID={partuuid}"
    if dm_name := properties.get("DM_NAME"):
        yield f"/dev/mapper/{dm_name}"


def _number(device: str) -> int:
    return os.stat(device).st_rdev


def node_of_number(major: int, minor: int) -> str | None:
    """Return the node of the block device with that number, if there is one."""
    sys_path = f"/sys/dev/block/{major}:{minor}"
    if not os.path.exists(sys_path):
        return None
    node = f"/dev/{os.path.basename(os.path.realpath(sys_path)).replace('!', '/')}"
    return node if _is_block(node) else None


def _find_by_tag(tag: str, value: str) -> str | None:
    for device in pyudev.Context().list_devices(subsystem="block"):
        node = device.device_node
        if node and _is_block(node) and _same(tag, _tag_of(device, node, tag), value):
            return str(node)
    return None


def _same(tag: str, found: str, wanted: str) -> bool:
    """Compare as the kernel does: a UUID may be written in capitals, a label is what it is."""
    if tag in ("UUID", "PARTUUID"):
        return found.lower() == wanted.lower()
    return found == wanted


def _tag_of(device: pyudev.Device, node: str, tag: str) -> str:
    """Return the device's tag: what udev knows, else what the device itself says."""
    properties = device.properties
    if known := properties.get(_PROPERTIES[tag]):
        return _decode(known)
    if tag in _KERNEL_PROPERTIES:
        return str(properties.get(_KERNEL_PROPERTIES[tag], ""))
    return "" if "ID_FS_TYPE" in properties else _header_tag(node, tag)


def _decode(text: str) -> str:
    r"""Undo udev's encoding, \xNN for each byte that may not stand in a name."""
    return text.encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")


def _header_tag(node: str, tag: str) -> str:
    """Return UUID or LABEL from a swap header (a store's is one too), "" if there is none."""
    try:
        with open(node, "rb") as file:
            page = file.read(swap.PAGE_SIZE)
    except OSError:
        return ""
    if len(page) < swap.PAGE_SIZE:
        return ""
    header = swap.SwapHeader.parse(page)
    if not header.uuid.int and tag == "UUID":
        return ""
    if header.signature not in (swap.SWAP, swap.USER_IMAGE, swap.KERNEL_IMAGE):
        return ""
    return str(header.uuid) if tag == "UUID" else header.label
