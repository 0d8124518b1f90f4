"""Fingerprints that are superblocks, or begin at one: which bytes count."""

import struct
from pathlib import Path

import pytest

from format.tables import Method
from guard.kinds import OF_TYPE
from tests.premises.volumes import make_volume
from tests.unit.fake_volumes import changes, make_image
from vm.disks import blank_disk
from vm.host import run


@pytest.mark.parametrize(
    ("fs_type", "start", "inside", "end"),
    [("ext4", 1024, 0x2C, 2048), ("btrfs", 64 << 10, 72, 68 << 10), ("nilfs2", 1024, 112, 2048)],
)
def test_some_are_their_first_superblock(
    fs_type: str, start: int, inside: int, end: int, tmp_path: Path
) -> None:
    data, _ = make_image(tmp_path, fs_type)
    seen = [
        at
        for at in (start - 1, start, start + inside, end - 1, end)
        if changes(OF_TYPE[fs_type], data, at)
    ]
    assert seen == [start, start + inside, end - 1]


def test_nilfs2_is_its_second_superblock_too(tmp_path: Path) -> None:
    """At its end, where 4096 bytes fit whole."""
    path = blank_disk(tmp_path / "disk", 16)
    with path.open("r+b") as disk:
        disk.truncate((16 << 20) + 1536)
    run("mkfs.nilfs2", "-q", "-B", "128", path)
    data = path.read_bytes()
    spare = (16 << 20) - 4096
    assert data[spare + 6 : spare + 8] == b"\x34\x34"
    seen = [at for at in (-1, 0, 112, 1023, 1024) if changes(Method.NILFS2, data, spare + at)]
    assert seen == [0, 112, 1023]


def test_f2fs_is_its_checkpoints_and_what_comes_next(tmp_path: Path) -> None:
    data = make_volume(tmp_path / "disk", "f2fs").path.read_bytes()
    first, main = struct.unpack_from("<I12xI", data, 1024 + 76)
    blocks = [first << 12, first + 512 << 12]
    for at in (1024, 4095, *blocks, *(at + 4095 for at in blocks)):
        assert changes(Method.F2FS, data, at), at
    nodes = struct.unpack_from("<36x3I20x3H", data, blocks[0])
    for segment, block in zip(nodes[:3], nodes[3:], strict=True):
        at = main + segment * 512 + block << 12
        seen = [at + more for more in (-1, 0, 4095, 4096) if changes(Method.F2FS, data, at + more)]
        assert seen == [at, at + 4095]
