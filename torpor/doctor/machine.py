"""The machine as the files below a directory show it: /proc, /sys, /dev, /etc and so on."""

import os
from collections.abc import Callable, Iterator

from linux.memory import parse_memory
from linux.root import Root
from store.place import Place, place_of

_TAGS = {
    "UUID": "by-uuid",
    "LABEL": "by-label",
    "PARTUUID": "by-partuuid",
    "PARTLABEL": "by-partlabel",
}
_PLAIN = "#+-.:=@_"
"""What udev does not encode in names of links, besides letters and digits."""


class Machine(Root):
    """Reads files of the machine; `root` is / but for a prepared directory of a test."""

    def __init__(
        self,
        root: str = "/",
        place: Callable[[str], Place] = place_of,
        can_hibernate: Callable[[], str] = str,
    ) -> None:
        super().__init__(root)
        self.place = place
        """Finds the place of a file: the system calls for this need the real machine."""
        self.can_hibernate = can_hibernate
        """Asks logind, and returns its answer, "" for none: what it makes of all is in no file."""

    def device(self, spec: str) -> str | None:
        """Return the name in /sys/class/block of what resume= would name so, None for nothing.

        By udev's links, as a boot finds it.
        """
        tag, _, value = spec.partition("=")
        value = value.strip("\"'")
        if tag in _TAGS and value:
            value = value.lower() if tag in ("UUID", "PARTUUID") else _encoded(value)
            return self._node(f"/dev/disk/{_TAGS[tag]}/{value}")
        if spec.startswith("/dev/"):
            return self._node(spec)
        if spec.replace(":", "", 1).isdecimal() and ":" in spec:
            for name in self.names("/sys/class/block"):
                if self.line(f"/sys/class/block/{name}/dev") == spec:
                    return name
        return None

    def _node(self, path: str) -> str | None:
        if not self.exists(path):
            return None
        real = os.path.realpath(self.path(path))
        name = os.path.relpath(real, os.path.realpath(self.path("/dev"))).replace("/", "!")
        return name if self.exists(f"/sys/class/block/{name}") else self._mapped(path)

    def _mapped(self, path: str) -> str | None:
        """Return the device-mapper device of a node that is no link."""
        for name in self.names("/sys/class/block"):
            if self.line(f"/sys/class/block/{name}/dm/name") == os.path.basename(path):
                return name
        return None

    def layers(self, device: str) -> Iterator[str]:
        """Yield the name of a block device and of all that lies below it."""
        yield device
        for below in self.names(f"/sys/class/block/{device}/slaves"):
            yield from self.layers(below)

    def dm(self, device: str) -> tuple[str, str]:
        """Return name and uuid of a device-mapper device, "" and "" for any other."""
        folder = f"/sys/class/block/{device}/dm"
        return self.line(f"{folder}/name"), self.line(f"{folder}/uuid")

    def memory(self) -> dict[str, int]:
        """Return the sizes of /proc/meminfo, in bytes."""
        return parse_memory(self.text("/proc/meminfo") or "")


def _encoded(text: str) -> str:
    r"""Encode as udev does, \xNN for each byte that may not stand in a name."""
    return "".join(
        letter
        if letter.isalnum() or letter in _PLAIN or not letter.isascii()
        else f"\\x{ord(letter):02x}"
        for letter in text
    )
