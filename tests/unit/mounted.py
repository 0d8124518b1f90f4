"""Files on file systems that are mounted, each on a loop device taken for a disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.forge import PAGE
from tests.premises.volumes import loop_device, make_volume, own_mounts, skip_unless_mountable
from tests.vectors.images import noise
from vm.host import run

MIB = 1 << 20
_BLOCKS = {"ext4": ("-b", "4096")}


@dataclass(frozen=True, slots=True)
class Mounted:
    kind: str
    folder: Path
    device: str


def on(*kinds: str) -> pytest.MarkDecorator:
    """Run a test on each of these file systems, as its fixture `mounted`."""
    return pytest.mark.parametrize("mounted", kinds, indirect=True)


@contextmanager
def fresh(kind: str, folder: Path) -> Iterator[Mounted]:
    """Mount a new file system in the folder."""
    skip_unless_mountable(kind)
    volume = make_volume(folder / "device.img", kind, *_BLOCKS.get(kind, ()))
    place = folder / "mounted"
    place.mkdir()
    with own_mounts(), loop_device(volume.path) as device:
        run("mount", device, place)
        try:
            yield Mounted(kind, place, device)
        finally:
            run("umount", place)


def new_swap_file(mounted: Mounted) -> Path:
    """A swap file as mkswap(8) and btrfs(5) want it, behind another file."""
    path = mounted.folder / "swapfile"
    (mounted.folder / "other").write_bytes(noise(5 * PAGE))
    path.touch()
    if mounted.kind == "btrfs":
        run("chattr", "+C", path)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 20 * MIB)
    path.chmod(0o600)
    run("mkswap", path)
    return path
