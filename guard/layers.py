"""What a file system lies on, down to the disks: the maps and keys that its machine remembers.

The contents of a device may be as they were and yet lie elsewhere, or behind another key: a
partition was moved, a logical volume too, LUKS got a new key. A restored kernel goes on with the
maps of then, and writes to the disk in the place of then. docs/RELIABILITY.md, "Layers", says what
counts of each layer, and why.
"""

import hashlib
import re
from collections.abc import Iterator

from errors import Attempt
from format.pipeline import PageBuffer
from guard.device import Device
from guard.place import place_of
from linux.device_mapper import Target
from linux.root import Root
from store.locate import node_of_number

_CLASS = "/sys/class/block"
_NUMBER = r"\d+:\d+"

_LUKS = b"LUKS\xba\xbe"
_METADATA_SIZE = 4096
"""Bytes of a LUKS header that tell it from any other (the whole of LUKS1's, and of LUKS2 the part
with its sequence number and the checksum of the rest), and of a thin pool's superblock."""
_CRYPT_OPTIONS = ("sector_size:", "integrity:", "iv_large_sectors")
"""Those that change what is read; others, such as allow_discards, may be another boot's."""

_ARRAY = ("level", "raid_disks", "layout", "chunk_size", "component_size", "degraded")
_MEMBER = ("slot", "state", "offset", "size")
"""Of drivers/md/md.c. Event counts are not among them: to assemble the array counts one more."""


def describe(number: str, root: Root, buffer: PageBuffer) -> str:
    """Return a line for each layer of the device MAJOR:MINOR, from the top.

    The same at each boot unless the layer has changed: without the names and numbers that devices
    have by chance. Raises UnreadableError.
    """
    with Attempt("look at what is below", f"device {number}"):
        return "\n".join(_lines(number, root, buffer))


def _lines(number: str, root: Root, buffer: PageBuffer) -> Iterator[str]:
    name = root.device_name(number) or ""
    folder = f"{_CLASS}/{name}"
    if targets := root.dm_table(number):
        yield from _mapped(targets, root, buffer)
    elif root.exists(f"{folder}/md"):
        yield from _array(folder, root, buffer)
    elif start := root.line(f"{folder}/start"):
        yield f"partition from sector {start}, of {root.line(f'{folder}/size')}"
        yield from _lines(root.line(f"{folder}/../dev"), root, buffer)
    elif slaves := root.names(f"{folder}/slaves"):  # bcache
        yield name.rstrip("0123456789")
        for slave in slaves:
            yield from _lines(root.line(f"{_CLASS}/{slave}/dev"), root, buffer)
    else:
        yield f"disk {place_of(name, root)}".rstrip()


def _mapped(targets: list[Target], root: Root, buffer: PageBuffer) -> Iterator[str]:
    below: list[str] = []
    for target in targets:
        numbers = [word for word in target.parameters.split() if re.fullmatch(_NUMBER, word)]
        if target.kind == "multipath":
            yield target.kind  # its paths may come in any number and order
            continue
        below += (number for number in numbers if number not in below)
        said = " ".join(_number_below(word, below) for word in _lasting(target))
        where = f"{target.kind} {target.start}+{target.length}"
        yield f"{where} {said}{_metadata(target, numbers, root, buffer)}"
    for number in below:
        yield from _lines(number, root, buffer)


def _number_below(word: str, below: list[str]) -> str:
    return f"#{below.index(word)}" if word in below else word


def _lasting(target: Target) -> list[str]:
    """Return the parameters that are the same at each boot."""
    words = target.parameters.split()
    if target.kind == "crypt":  # cipher, key, offset of the IV, device, offset, count, options
        cipher, _, *place = words[:5]
        return [cipher, *place, *(word for word in words[6:] if word.startswith(_CRYPT_OPTIONS))]
    if target.kind == "thin-pool":  # metadata, data, block size; then when it warns, and options
        return words[:3]
    # Of name:algorithm:key the key is nobody's to read (dm-integrity).
    return [":".join(word.split(":")[:2]) for word in words]


def _metadata(target: Target, numbers: list[str], root: Root, buffer: PageBuffer) -> str:
    """Return a digest of what the layer keeps on the device, where that tells of its map or key."""
    if target.kind not in ("crypt", "thin-pool"):
        return ""
    if (node := node_of_number(numbers[0], root)) is None:
        return ""
    with Device(node, buffer, root) as device:
        data = device.read(0, _METADATA_SIZE)
    if target.kind == "crypt" and not data.startswith(_LUKS):
        return ""
    return f" {hashlib.sha256(data).hexdigest()}"


def _array(folder: str, root: Root, buffer: PageBuffer) -> Iterator[str]:
    said = " ".join(root.line(f"{folder}/md/{name}") for name in _ARRAY)
    yield f"md {root.line(f'{folder}/md/uuid')} {said}"
    members = [name for name in root.names(f"{folder}/md") if name.startswith("dev-")]
    members.sort(key=lambda name: (root.line(f"{folder}/md/{name}/slot"), name))
    for name in members:
        yield " ".join(root.line(f"{folder}/md/{name}/{file}") for file in _MEMBER)
        yield from _lines(root.line(f"{folder}/md/{name}/block/dev"), root, buffer)
