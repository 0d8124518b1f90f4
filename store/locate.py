"""Finds a block device by what `resume=` says: a path, a tag, or a device number.

Every boot that looks for an image does this, so it imports little: what udev knows is read from
its database (systemd's sd-device, device_read_db), as libudev does.
"""

from errors import DeviceNotFoundError
from format import PAGE_SIZE
from format.first_page import KERNEL_IMAGE, SWAP, USER_IMAGE, FirstPage
from linux import block
from linux.cmdline import decimal
from linux.proc import lines, unescaped
from linux.root import HOST, Root

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
_EXTERNAL = ("usb", "fw", "session", "nbd", "rbd", "drbd", "nvme-fabrics", "ublkb")
"""Parts of a device's place in sysfs, without numbers: buses that anybody may plug into (USB,
FireWire), and devices that others serve (iSCSI: session)."""


def find_device(spec: str, root: Root = HOST) -> str | None:
    """Return the path of the block device that `spec` names, None while there is none.

    `spec` is /dev/…, UUID=, LABEL=, PARTUUID=, PARTLABEL=, MAJOR:MINOR, or the number in
    hexadecimal, as the kernel takes it for resume= (block/early-lookup.c, devt_from_devnum).
    Raises DeviceNotFoundError for anything else.
    """
    tag, _, value = spec.partition("=")
    value = value.strip("\"'")
    if value and tag in _PROPERTIES:
        return _find_by_tag(tag, value, root)
    if spec.startswith("/"):
        return spec if root.device_number(spec) else None
    if number := _number_in(spec):
        return node_of_number(number, root)
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

    Anybody may plug one in, or serve it.
    """
    from linux import attached, stack  # re and dataclasses, for images that nothing names

    names = [layer.name for layer in stack.layers(path, root)]
    places = (place for name in names for place in attached.folders_of(name, root))
    return any(_is_external(place, root) for place in places)


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
        found = find_device(name, root)
        if found is not None and root.is_same_device(found, device):
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


def _find_by_tag(tag: str, value: str, root: Root) -> str | None:
    for name in root.names(_CLASS):
        node = _node(name)
        if (number := root.device_number(node)) and _same(
            tag, _tag_of(number, node, tag, root), value
        ):
            return node
    return None


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
