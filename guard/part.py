"""A device, or what a loop device shows of one: no boot sets that up, but the bytes are there."""

import re
from typing import NamedTuple, Self

from format.pipeline import PageBuffer
from guard.device import Device
from guard.layers import describe
from linux import stack
from linux.root import Root
from store.locate import node_of_number

_LINE = r"loop offset (\d{1,19}) size (\d{1,19})\n"


class Shown(NamedTuple):
    """A device, and the byte of it at which what is shown of it begins."""

    node: str
    offset: int


def shown_by(node: str, root: Root) -> Shown:
    """Return what a loop device of a block device shows; any other device shows itself."""
    offset = 0
    while held := stack.loop_device(name := _name(node, root), root):
        if (below := node_of_number(held.device, root)) is None:
            break
        start = root.line(f"/sys/class/block/{name}/start")  # of a partition of it
        offset += int(start or 0) * stack.SECTOR + held.offset
        node = below
    return Shown(node, offset)


def _name(node: str, root: Root) -> str:
    return root.device_name(root.device_number(node) or "") or ""


class Part(NamedTuple):
    """These bytes of a device that is open."""

    device: Device
    offset: int
    size: int

    @classmethod
    def recorded(cls, device: Device, layers: str) -> Self:
        """Return that of a device of which an entry with these layers was."""
        found = re.match(_LINE, layers)
        offset, size = map(int, found.groups()) if found else (0, device.size)
        return cls(device, offset, size)

    def read(self, offset: int, size: int) -> bytes:
        """See guard.device.Read."""
        return self.device.read(self.offset + offset, max(0, min(size, self.size - offset)))

    def layers(self, root: Root, buffer: PageBuffer) -> str:
        """Return what guard.layers.describe says, below a line for a loop device."""
        below = describe(self.device.number, root, buffer)
        if (self.offset, self.size) == (0, self.device.size):
            return below
        return f"loop offset {self.offset} size {self.size}\n{below}"
