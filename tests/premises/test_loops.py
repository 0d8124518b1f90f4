"""What holds the file of a loop device, as the kernel tells it, in another mount namespace, too."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hibernate.filesystems import every_mount, to_freeze
from hibernate.served import LoopFiles, refuse_served
from linux.mounts import Mount, MountTable
from tests.premises.volumes import Volume, make_volume, skip_unless_mountable

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
