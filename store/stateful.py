"""Layers of block devices that remember more than their table: what becomes of that over an image.

The kernel in an image goes on with what each layer remembers, and the disk has to agree. Two things
may change the disk meanwhile. A boot sets the layer up before it looks for an image; some write
then, or go on with work of their own: no machine can hibernate with one of these. And the image
itself, which is written after the snapshot: no store may lie where a layer notes that. One table
for stores, file systems and whatever else is set up; docs/RELIABILITY.md, "Stacks", says why.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

from errors import command
from linux.device_mapper import Target
from linux.root import Root

_CLASS = "/sys/class/block"

_CHANGES = "which a boot changes when it sets it up: a restored kernel does not know that"
_NOTES = "which notes where the image goes: a restored kernel does not know that"
_UNKNOWN = "of which Torpor does not know what a boot does to it"
_IN_MEMORY = "whose contents are in memory alone"
_RESHAPED = "which is being reshaped, and goes on with that at a boot"
_MANAGED = "which takes writes only while mdmon runs, and that is frozen"
_LACKING = "which lacks a disk: after a write before the power-off, no boot starts it"

_SPLIT = "or do without the cache: lvconvert --splitcache"
_WAIT = "or wait until that is done"


class Stateful(NamedTuple):
    """A layer, and what is to be said of it."""

    path: str
    """/dev/mapper/vg-root."""
    kind: str
    """dm-cache."""
    remedy: str
    """How to do without it, where no machine can hibernate with it."""
    no_store: str
    """Why no image can lie on it, "" if one can."""
    no_use: str
    """Why no machine can hibernate with it, "" if one can."""

    def __str__(self) -> str:
        return f"{self.path} ({self.kind})"


class _Rule(NamedTuple):
    """The last two, and what else helps."""

    no_store: str = ""
    no_use: str = ""
    remedy: str = ""


_SAFE = _Rule()
_NO_STORE = _Rule(_NOTES)
_NEVER = _Rule(_CHANGES, _CHANGES)
_UNKNOWN_KIND = _Rule(_UNKNOWN, _UNKNOWN)

_TARGETS: dict[str, _Rule] = {
    # All that they remember is in their table, or equal wherever it is kept (raid, mirror).
    **dict.fromkeys(("linear", "striped", "unstriped", "crypt", "multipath", "verity"), _SAFE),
    **dict.fromkeys(("error", "zero", "flakey", "delay", "dust", "mirror", "raid"), _SAFE),
    **dict.fromkeys(("thin", "thin-pool", "snapshot", "snapshot-origin", "integrity"), _NO_STORE),
    **dict.fromkeys(("era", "clone", "snapshot-merge", "vdo", "zoned"), _NEVER),
    **dict.fromkeys(("cache", "writecache"), _Rule(_CHANGES, _CHANGES, _SPLIT)),
}
"""By the names that device-mapper has for them."""


def stateful(name: str, root: Root) -> Iterator[Stateful]:
    """Yield what is to be said of the block device, of what is below it nothing.

    Raises OSError.
    """
    if root.exists(f"{_CLASS}/{name}/partition"):  # of an array, say: the whole has its state
        name = os.path.basename(os.path.realpath(root.path(f"{_CLASS}/{name}/..")))
    folder = f"{_CLASS}/{name}"
    if root.exists(f"{folder}/dm"):
        dm_name = root.line(f"{folder}/dm/name")
        down = f"take it down, with all that is on it: {command('dmsetup', 'remove', dm_name)}"
        for target in root.dm_table(root.line(f"{folder}/dev")):
            kind = f"dm-{target.kind}"
            yield _stateful(f"/dev/mapper/{dm_name}", kind, down, _of_target(target))
    elif root.exists(f"{folder}/md"):
        kind = f"md {root.line(f'{folder}/md/level')}".rstrip()
        down = f"stop it, with all that is on it: {command('mdadm', '--stop', f'/dev/{name}')}"
        yield _stateful(f"/dev/{name}", kind, down, _of_array(f"{folder}/md", root))
    elif name.startswith("bcache"):  # /sys/block/sda/bcache is there, too, for what it lies on
        is_plain = root.line(f"{folder}/bcache/state") == "no cache"
        without = f"do without its cache: echo 1 > /sys/block/{name}/bcache/detach"
        yield _stateful(f"/dev/{name}", "bcache", without, _SAFE if is_plain else _NEVER)
    elif root.names(f"{folder}/slaves"):
        without = "do without it, as long as you hibernate"
        yield _stateful(f"/dev/{name}", "of an unknown kind", without, _UNKNOWN_KIND)


def _stateful(path: str, kind: str, remedy: str, rule: _Rule) -> Stateful:
    remedy = "; ".join(filter(None, (remedy, rule.remedy)))
    return Stateful(path, kind, remedy, rule.no_store, rule.no_use)


def _of_target(target: Target) -> _Rule:
    words = target.parameters.split()
    if target.kind == "integrity" and words[3:4] not in (["J"], ["D"]):
        return _NEVER  # with a bitmap, a boot takes out of it what a restored kernel has in it
    if target.kind == "snapshot" and words[2:3] not in (["P"], ["PO"]):
        return _Rule(_IN_MEMORY, _IN_MEMORY)
    if target.kind == "raid" and "journal_dev" in words:
        return _NEVER
    if target.kind == "raid" and "delta_disks" in words:
        return _Rule(_RESHAPED, _RESHAPED, _WAIT)
    return _TARGETS.get(target.kind, _UNKNOWN_KIND)


def _of_array(folder: str, root: Root) -> _Rule:
    """See Documentation/admin-guide/md.rst."""
    level = root.line(f"{folder}/level")
    has_parity = level in ("raid4", "raid5", "raid6")
    if root.line(f"{folder}/consistency_policy") in ("journal", "ppl"):
        return _NEVER
    if root.line(f"{folder}/reshape_position") not in ("", "none"):
        return _Rule(_RESHAPED, _RESHAPED, _WAIT)
    is_external = root.line(f"{folder}/metadata_version").startswith("external:")
    if is_external and (has_parity or level in ("raid1", "raid10")):
        return _Rule(_MANAGED, _MANAGED)
    if has_parity and root.line(f"{folder}/degraded") not in ("", "0"):
        return _Rule(_LACKING)
    return _SAFE
