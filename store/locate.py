"""Finds a block device by what `resume=` says: a path, a tag, or a device number.

Every boot that looks for an image does this, so it imports little: what udev knows is read from
its database (systemd's sd-device, device_read_db), as libudev does.
"""

import os

from errors import DeviceNotFoundError
from format import PAGE_SIZE
from format.first_page import KERNEL_IMAGE, SWAP, USER_IMAGE, FirstPage
from linux import block
from linux.attached import folders_of
from linux.cmdline import decimal
from linux.proc import lines, unescaped
from linux.root import HOST, Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

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
_DIGITS = "0123456789"
_HEX = "0123456789abcdef"
_EXTERNAL = ("usb", "fw", "session", "nbd", "rbd", "drbd", "nvme-fabrics", "ublkb", "loop")
"""Parts of a device's place in sysfs, without numbers: buses that anybody may plug into (USB,
FireWire), and devices that others serve (iSCSI: session)."""


def find_device(spec: str, root: Root = HOST) -> str | None:
    """Return the path of the block device that `spec` names, None while there is none.

    Raises DeviceNotFoundError as find_devices, and where it names several: they may be copies, and
    which one is meant nobody knows.
    """
    found = find_devices(spec, root)
    if len(found) > 1:
        raise DeviceNotFoundError(names_several(spec, found), "unplug what is not meant")
    return found[0] if found else None


def names_several(spec: str, found: list[str]) -> str:
    """Return the message for a name that several devices have."""
    return f"{spec} names {' and '.join(found)}: which one is meant cannot be told"


def find_devices(spec: str, root: Root = HOST) -> list[str]:
    """Return the paths of the block devices that `spec` names now.

    `spec` is /dev/…, UUID=, LABEL=, PARTUUID=, PARTLABEL=, MAJOR:MINOR, or the number in
    hexadecimal, as the kernel takes it for resume= (block/early-lookup.c, devt_from_devnum).
    Raises DeviceNotFoundError for anything else. What another one of them lies on, such as a path
    of multipath or a leg of md, is left out.
    """
    tag, _, value = spec.partition("=")
    value = value.strip("\"'")
    if value and tag in _PROPERTIES:
        return _uppermost(_find_by_tag(tag, value, root), root)
    if spec.startswith("/"):
        return _uppermost(_find_by_path(spec, root), root)
    if number := _number_in(spec):
        node = node_of_number(number, root)
        return [node] if node else []
    raise DeviceNotFoundError(
        f"'{spec}' does not name a device",
        "use /dev/NAME, UUID=, LABEL=, PARTUUID=, PARTLABEL= or MAJOR:MINOR",
    )


def _number_in(spec: str) -> str:
    """Return the MAJOR:MINOR that a device number says in either form, "" if it is none."""
    major, colon, minor = spec.partition(":")
    if colon:
        numbers = [decimal(part) for part in (major, minor)]
        return "" if None in numbers else "{}:{}".format(*numbers)
    digits = spec.lower().removeprefix("0x")
    if not 0 < len(digits) <= 8 or digits.strip(_HEX):
        return ""
    return block.decode_device(int(digits, 16))


def whole_devices(root: Root = HOST) -> list[str]:
    """Return the paths of all block devices that nothing lies on: no layer of dm or md has them.

    Without those that are memory, files, or drives that may have no medium.
    """
    return [
        _node(name)
        for name in root.names(_CLASS)
        if not name.startswith(_NO_STORE)
        and not root.names(f"{_CLASS}/{name}/holders")
        and root.device_number(_node(name))
    ]


def is_external(path: str, root: Root = HOST) -> bool:
    """Return whether the device, or what it lies on, is removable, on USB, or on another machine.

    Anybody may plug one in, or serve it: also one that is gone by now.
    """
    if (number := root.device_number(path)) is None:
        return True
    names = _stack(root.device_name(number) or "", root)
    return any(_is_external(place, root) for name in names for place in folders_of(name, root))


def _stack(name: str, root: Root) -> "Iterator[str]":
    yield name
    for each in block.slaves(name, root):
        yield from _stack(each, root)


def _is_external(place: str, root: Root) -> bool:
    """See Documentation/ABI: `removable` of disks (1), of USB and PCI devices (removable)."""
    while place.count("/") > 2:
        said = (root.line(f"{place}/removable"), root.line(f"{place}/type"))
        place, _, part = place.rpartition("/")
        if part.rstrip(_DIGITS) in _EXTERNAL or said[0] in ("1", "removable") or said[1] == "SD":
            return True
    return False


def _node(name: str) -> str:
    return f"/dev/{name.replace('!', '/')}"


def name_of(device: str, root: Root = HOST) -> str:
    """Return the name of a device that the next boot finds it by, as `resume=` takes it.

    UUID= where the device has one of its own, else PARTUUID=, its name in /dev/mapper, or `device`.
    """
    for name in _names(device, root):
        if [root.is_same_device(found, device) for found in find_devices(name, root)] == [True]:
            return name
    return device


def _names(device: str, root: Root) -> list[str]:
    """Return what may name the device, the best first."""
    known = _properties(root.device_number(device) or "", root)
    names = []
    if uuid := _header_tag(device, "UUID", root) or known.get("ID_FS_UUID"):
        names.append(f"UUID={uuid}")
    if partuuid := known.get("ID_PART_ENTRY_UUID"):
        names.append(f"PARTUUID={partuuid}")
    if dm_name := known.get("DM_NAME"):
        names.append(f"/dev/mapper/{dm_name}")
    return names


def node_of_number(number: str, root: Root = HOST) -> str | None:
    """Return the node of the block device MAJOR:MINOR, if there is one."""
    name = root.device_name(number)
    return _node(name) if name and root.device_number(_node(name)) else None


def _uppermost(found: list[str], root: Root) -> list[str]:
    """Return those that none of the others lies on."""
    if len(found) < 2:
        return found
    names = {path: root.device_name(root.device_number(path) or "") or "" for path in found}
    under = {below for name in names.values() for below in [*_stack(name, root)][1:]}
    return [path for path in found if names[path] not in under]


def _find_by_path(path: str, root: Root) -> list[str]:
    """Return a device by its node; for a link all that udev would have it lead to.

    Of several that want a link one gets it (systemd's udev-node.c): a copy as likely as any.
    """
    number = root.device_number(path)
    if number is None:
        return []
    if path == node_of_number(number, root):
        return [path]
    link = f"S:{os.path.normpath(path).removeprefix('/dev/')}"
    others = [
        node
        for name in root.names(_CLASS)
        if (other := root.device_number(node := _node(name))) not in (None, number)
        and link in lines(_read(f"/run/udev/data/b{other}", root))
    ]
    return [path, *others]


def _find_by_tag(tag: str, value: str, root: Root) -> list[str]:
    return [
        node
        for name in root.names(_CLASS)
        if (number := root.device_number(node := _node(name)))
        and _same(tag, _tag_of(number, node, tag, root), value)
    ]


def _same(tag: str, found: str, wanted: str) -> bool:
    """Compare as the kernel does: a UUID may be written in capitals, a label is what it is."""
    if tag in ("UUID", "PARTUUID"):
        return found.lower() == wanted.lower()
    return found == wanted


def _tag_of(number: str, node: str, tag: str, root: Root) -> str:
    """Return the device's tag: what udev knows, else what the device itself says."""
    properties = _properties(number, root)
    if known := properties.get(_PROPERTIES[tag]):
        return unescaped(known, r"\x", 16)
    if tag in _KERNEL_PROPERTIES:
        return properties.get(_KERNEL_PROPERTIES[tag], "")
    return "" if "ID_FS_TYPE" in properties else _header_tag(node, tag, root)


def _properties(number: str, root: Root) -> dict[str, str]:
    """Return what the kernel and udev know of the block device MAJOR:MINOR, by name."""
    properties = {}
    for line in lines(_read(f"/sys/dev/block/{number}/uevent", root)):
        name, _, value = line.partition("=")
        properties[name] = value
    for line in lines(_read(f"/run/udev/data/b{number}", root)):
        if line.startswith("E:"):
            name, _, value = line[2:].partition("=")
            properties[name] = value
    return properties


def _read(path: str, root: Root) -> str:
    """Return the contents, "" where there is nothing: a device may go at any time."""
    try:
        return root.text(path) or ""
    except OSError:
        return ""


def _header_tag(node: str, tag: str, root: Root) -> str:
    """Return UUID or LABEL from a swap header (a store's is one too), "" if there is none."""
    try:
        page = FirstPage(root.data(node, PAGE_SIZE) or b"")
    except OSError:
        return ""
    if len(page.data) < PAGE_SIZE or page.signature not in (SWAP, USER_IMAGE, KERNEL_IMAGE):
        return ""
    if tag == "UUID":
        return page.uuid if page.uuid.strip("-0") else ""
    return page.label
