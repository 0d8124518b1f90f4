"""What holds the file of a loop device, as the kernel tells it, in another mount namespace, too."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guard.device import Device, new_buffer
from guard.part import Part, Shown, shown_by
from hibernate.filesystems import every_mount, to_freeze
from hibernate.served import LoopFiles, refuse_served
from linux import stack
from linux.mounts import Mount, MountTable
from linux.root import HOST
from tests.premises.volumes import Volume, loop_device, make_volume, skip_unless_mountable
from vm.disks import MIB

_NEST = """
mount --make-rprivate /
mount -o loop "$1" "$2"
if [ "$3" = btrfs ]; then btrfs --quiet subvolume create "$2/images"; else mkdir "$2/images"; fi
cp --sparse=always "$4" "$2/images/inner"
mount -o loop "$2/images/inner" "$5"
echo ready
read -r end
umount "$5" "$2"
"""


@contextmanager
def nested(outer: Volume, folder: Path) -> Iterator[tuple[Path, Path]]:
    """Mount it, and ext4 in a file on it, where only another process sees both."""
    inner = make_volume(folder / "inner", "ext4")
    places = folder / "outer.mounted", folder / "inner.mounted"
    for place in places:
        place.mkdir()
    words = [outer.path, places[0], outer.fs_type, inner.path, places[1]]
    command = ["unshare", "--mount", "sh", "-euc", _NEST, "sh", *map(str, words)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as their:
        assert their.stdin
        assert their.stdout
        try:
            assert their.stdout.readline() == "ready\n"
            yield places
        finally:
            their.stdin.write("\n")
            their.stdin.close()
            their.wait(60)


@pytest.mark.parametrize("fs_type", ["ext4", "xfs", "btrfs"])
def test_a_loop_device_s_file_is_found_by_numbers(fs_type: str, tmp_path: Path) -> None:
    """On btrfs it lies in a subvolume of its own, whose number no mount has."""
    skip_unless_mountable(fs_type)
    with nested(make_volume(tmp_path / "outer", fs_type), tmp_path) as (outer, inner):
        mounts = [each for each in every_mount() if str(tmp_path) in each.mount_point]
        table = MountTable(mounts)

        def at(place: Path) -> Mount:
            (mount,) = (each for each in table.mounts if each.mount_point.endswith(str(place)))
            return mount

        loops = LoopFiles(table)
        (layer,) = table.layers_below(at(inner))
        assert loops.holder(layer) == at(outer)
        order = [each[0] for each in to_freeze(table)]
        assert order.index(at(inner)) < order.index(at(outer))
        refuse_served([[at(inner)]], table)


def test_a_loop_device_of_a_block_device(tmp_path: Path) -> None:
    """Which one it is, and which part of it: also of one of a loop device, and of a partition."""
    skip_unless_mountable("ext4")
    (tmp_path / "disk").write_bytes(bytes(16384) + b"x" * MIB)
    with loop_device(tmp_path / "disk") as disk, loop_device(disk, "--offset", "8192") as loop:
        assert stack.loop_device(loop.removeprefix("/dev/"), HOST) is not None
        assert shown_by(loop, HOST) == Shown(disk, 8192)
        assert shown_by(disk, HOST) == Shown(disk, 0)
        number = HOST.device_number(loop) or ""
        names = [layer.name for layer in stack.layers_of(number)]
        assert names == [path.removeprefix("/dev/") for path in (loop, disk)]
        assert not stack.is_lasting(number)  # at the end there is a file
        with loop_device(loop, "--offset", "4096", "--sizelimit", "65536") as upper:
            assert shown_by(upper, HOST) == Shown(disk, 12288)
            size = HOST.device_size(upper)
            assert size == 65536
            with Device(disk, new_buffer()) as device:
                part = Part(device, 12288, size)
                assert part.read(3584, 1024) == bytes(512) + b"x" * 512
                assert part.read(size - 10, 100) == b"x" * 10
                assert part.read(size, 1) == b""
