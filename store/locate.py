"""Finds a block device by what `resume=` says: a path, a tag, or a device number.

Every boot that looks for an image does this, so it imports little: what udev knows is read from
its database (systemd's sd-device, device_read_db), as libudev does.
"""

import os
import stat

from errors import DeviceNotFoundError
from format import PAGE_SIZE
from format.first_page import KERNEL_IMAGE, SWAP, USER_IMAGE, FirstPage

_PROPERTIES = {
    "UUID": "ID_FS_UUID",
    "LABEL": "ID_FS_LABEL_ENC",
    "PARTUUID": "ID_PART_ENTRY_UUID",
    "PARTLABEL": "ID_PART_ENTRY_NAME",
}
_CLASS = "/sys/class/block"
_NUMBERS = "/sys/dev/block"
_UDEV = "/run/udev/data"
_DEV = "/dev"
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


def whole_devices() -> list[str]:
    """Return the paths of all block devices that nothing lies on: no layer of dm or md has them.

    Without those that are memory, files, or drives that may have no medium.
    """
    nodes = []
    for name in sorted(os.listdir(_CLASS)):
        holders = f"{_CLASS}/{name}/holders"
        busy = os.path.isdir(holders) and os.listdir(holders)
        node = _node(name)
        if not (busy or name.startswith(_NO_STORE) or not _is_block(node)):
            nodes.append(node)
    return nodes


def _node(name: str) -> str:
    return f"{_DEV}/{name.replace('!', '/')}"


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


def _names(device: str) -> list[str]:
    """Return what may name the device, the best first."""
    known = _properties(_number_of(device))
    names = []
    if uuid := _header_tag(device, "UUID") or known.get("ID_FS_UUID"):
        names.append(f"UUID={uuid}")
    if partuuid := known.get("ID_PART_ENTRY_UUID"):
        names.append(f"PARTUUID={partuuid}")
    if dm_name := known.get("DM_NAME"):
        names.append(f"/dev/mapper/{dm_name}")
    return names


def _number_of(device: str) -> str:
    number = os.stat(device).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def node_of_number(major: int, minor: int) -> str | None:
    """Return the node of the block device with that number, if there is one."""
    sys_path = f"{_NUMBERS}/{major}:{minor}"
    if not os.path.exists(sys_path):
        return None
    node = _node(os.path.basename(os.path.realpath(sys_path)))
    return node if _is_block(node) else None


def _find_by_tag(tag: str, value: str) -> str | None:
    for name in sorted(os.listdir(_CLASS)):
        node = _node(name)
        if _is_block(node) and _same(tag, _tag_of(name, node, tag), value):
            return node
    return None


def _same(tag: str, found: str, wanted: str) -> bool:
    """Compare as the kernel does: a UUID may be written in capitals, a label is what it is."""
    if tag in ("UUID", "PARTUUID"):
        return found.lower() == wanted.lower()
    return found == wanted


def _tag_of(name: str, node: str, tag: str) -> str:
    """Return the device's tag: what udev knows, else what the device itself says."""
    properties = _properties(_read(f"{_CLASS}/{name}/dev").strip())
    if known := properties.get(_PROPERTIES[tag]):
        return _decode(known)
    if tag in _KERNEL_PROPERTIES:
        return properties.get(_KERNEL_PROPERTIES[tag], "")
    return "" if "ID_FS_TYPE" in properties else _header_tag(node, tag)


def _properties(number: str) -> dict[str, str]:
    """Return what the kernel and udev know of the block device MAJOR:MINOR, by name."""
    properties = {}
    for line in _read(f"{_NUMBERS}/{number}/uevent").splitlines():
        name, _, value = line.partition("=")
        properties[name] = value
    for line in _read(f"{_UDEV}/b{number}").splitlines():
        if line.startswith("E:"):
            name, _, value = line[2:].partition("=")
            properties[name] = value
    return properties


def _read(path: str) -> str:
    """Return the contents, "" where there is nothing: a device may go at any time."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _decode(text: str) -> str:
    r"""Undo udev's encoding, \xNN for each byte that may not stand in a name."""
    return text.encode().decode("unicode_escape").encode("latin-1").decode("utf-8", "replace")


def _header_tag(node: str, tag: str) -> str:
    """Return UUID or LABEL from a swap header (a store's is one too), "" if there is none."""
    try:
        with open(node, "rb") as file:
            page = FirstPage(file.read(PAGE_SIZE))
    except OSError:
        return ""
    if len(page.data) < PAGE_SIZE or page.signature not in (SWAP, USER_IMAGE, KERNEL_IMAGE):
        return ""
    if tag == "UUID":
        return page.uuid if page.uuid.strip("-0") else ""
    return page.label
