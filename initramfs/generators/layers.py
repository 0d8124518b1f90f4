"""What has to be opened for a device: encryption, logical volumes, and what is not known."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from initramfs.generators.joined import Array, Joined, joined
from linux.proc import unescaped
from linux.root import HOST, Root
from linux.stack import ENCRYPTED, Layer
from store.crypttab import Line

_CRYPTS_PART = r"CRYPT-(SUBDEV-|INTEGRITY-.*_dif$|TCRYPT-.*_\d$)"
"""What it calls a part of one of these, which comes with it: before 2.8 the latter two."""
_COMPONENT = (
    "pvmove|snapshot|.*_(cdata|cmeta|corig|cpool|cvol|wcorig|mimage|mlog|rimage|rmeta|tdata|tmeta|"
    "vdata|imeta|iorig|pmspare|vorigin)"
)
"""What names of LVM's own parts have in them, and no other's (lib/misc/lvm-string.c)."""
_KNOWN = r"CRYPT-(?!INTEGRITY-(?!.*_dif$))|LVM-|(part\d+-)?mpath-|DMRAID-"
"""How the uuids of these begin, and of what joined.py knows; not dm-integrity without LUKS."""


class Crypt(NamedTuple):
    """An encrypted device."""

    name: str
    """In crypttab."""
    uuid: str
    """Of LUKS, with hyphens; "" for any other kind."""
    below: str
    """What it is on, as in /sys/class/block; "" if that is not known."""

    @property
    def verb(self) -> str:
        """See Joined."""
        return "open"

    def line_in(self, lines: Mapping[str, Line]) -> tuple[str, Line | None]:
        """Return the name and the line in a crypttab that opens it, "" and None if none does.

        One that has the UUID of another device opens that.
        """
        names = (self.name, f"luks-{self.uuid}")
        for name, line in lines.items():
            if line.uuid == self.uuid if line.uuid and self.uuid else name in names:
                return name, line
        return "", None


class Volume(NamedTuple):
    """A logical volume."""

    name: str
    """In /dev/mapper."""
    path: str
    """VG/LV."""

    @property
    def verb(self) -> str:
        """See Joined."""
        return "activate"


class Other(NamedTuple):
    """A device that something else makes: Stratis, say, or a unit that calls dmsetup."""

    name: str
    """In /dev/mapper."""


Known = Crypt | Volume | Array | Joined
"""What is known to open it."""
Opened = Known | Other


def to_open(layers: Sequence[Layer], root: Root = HOST) -> list[Opened]:
    """Return what has to be opened for a device, of which these are the layers, from the top."""
    below = [one for layer in layers if (one := joined(layer, root))]
    return list(dict.fromkeys([*_to_open(layers), *below]))


def _to_open(layers: Sequence[Layer]) -> Iterator[Opened]:
    # What makes one makes those below it, too.
    others = (one for one in layers if one.dm_name and not re.match(_KNOWN, one.dm_uuid))
    if other := next(others, None):
        yield Other(other.dm_name)
    for at, layer in enumerate(layers):
        if not layer.dm_uuid or (at and re.match(_CRYPTS_PART, layer.dm_uuid)):
            continue
        if found := ENCRYPTED.match(layer.dm_uuid):
            lower = layers[at + 1 :]
            below = (one.name for one in lower if not re.match(_CRYPTS_PART, one.dm_uuid))
            uuid = str(UUID(found[1])) if found[1] else ""
            yield Crypt(unescaped(layer.dm_name, r"\x", 16), uuid, next(below, ""))
        elif layer.dm_uuid.startswith("LVM-") and not _is_part(layer, is_top=at == 0):
            yield Volume(layer.dm_name, "/".join(_names(layer.dm_name)))


def _is_part(layer: Layer, *, is_top: bool) -> bool:
    """Return whether LVM alone uses a device: it comes with the volume above it.

    Its uuid has a layer behind those of group and volume, and so has its name; the legs of RAID are
    told by their names only before LVM 2.03.37 (lib/misc/lvm-string.c, build_dm_uuid).
    """
    if "-" in layer.dm_uuid.removeprefix("LVM-"):
        return True
    _, volume, *others = [*_names(layer.dm_name), ""]
    return bool(others[:-1]) or (not is_top and re.match(_COMPONENT, volume) is not None)


def _names(dm_name: str) -> list[str]:
    """Return group, volume and layer; a hyphen inside one is doubled (dm_split_lvm_name)."""
    return [name.replace("--", "-") for name in re.findall("(?:--|[^-])+", dm_name)]
