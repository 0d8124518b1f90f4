"""What torpor mkstore spares unless it is forced: what a device holds, known to blkid or not."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from store import place
from tests.forge import PAGE
from tests.premises.volumes import loop_device, make_volume, skip_unless_mountable
from tests.sources import opened
from tests.unit.conftest import Torpor
from tests.vectors.images import noise
from vm.host import SEARCH_PATH, run

MIB = 1 << 20
PAGES = 512


@pytest.fixture
def backing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file below a loop device that is taken for a disk."""
    monkeypatch.delitem(place.VOLATILE, "loop")
    monkeypatch.setenv("PATH", SEARCH_PATH)
    skip_unless_mountable("ext4")
    return tmp_path / "disk"


@pytest.fixture
def device(backing: Path) -> Iterator[str]:
    backing.write_bytes(bytes(PAGES * PAGE))
    with loop_device(backing) as device:
        yield device


@pytest.mark.parametrize(
    ("at", "data", "found"),
    [
        (0, b"", "UUID="),
        (0, noise(PAGE), "bytes that are not zero"),
        (PAGES * PAGE - PAGE, b"1".rjust(PAGE, b"\0"), "bytes that are not zero"),
    ],
    ids=["swap", "encrypted", "at the end"],
)
def test_mkstore_spares_what_holds_something(
    at: int, data: bytes, found: str, device: str, torpor: Torpor
) -> None:
    """Known to blkid or not, unless it is forced."""
    if data:
        with opened(device) as fd:
            os.pwrite(fd, data, at)
    else:
        run("mkswap", device)
    before = Path(device).read_bytes()
    made = torpor("mkstore", device)
    assert made.code == 8
    assert re.search(f"holds something already: .*{found}", made.err)
    assert f"if that can go: torpor mkstore --force {device}" in made.err
    assert Path(device).read_bytes() == before
    assert torpor("mkstore", "--force", device).code == 0
    assert "is empty" in torpor("verify", device).err
    assert 'TYPE="swap"' not in run("blkid", "--probe", "-o", "export", device)


@pytest.mark.parametrize(
    ("at", "kind"),
    [
        *((MIB, kind) for kind in ("xfs", "btrfs", "vfat", "ntfs", "f2fs")),
        *((at, "ext4") for at in (63 * 512, MIB, 4 * MIB, 16 * MIB)),
    ],
)
def test_partitions_whose_table_is_lost(
    at: int, kind: str, backing: Path, tmp_path: Path, torpor: Torpor
) -> None:
    """Where fdisk once began the first one, where it does now, and where memory cards have it."""
    volume = make_volume(tmp_path / "volume", kind).path
    run(
        "dd",
        f"if={volume}",
        f"of={backing}",
        "bs=1M",
        "conv=sparse",
        "oflag=seek_bytes",
        f"seek={at}",
    )
    os.truncate(backing, backing.stat().st_size // PAGE * PAGE + 99 * MIB)
    with loop_device(backing) as device:
        made = torpor("mkstore", device)
        assert (made.code, "holds something already: " in made.err) == (8, True)


def test_files_in_the_middle_of_a_disk(backing: Path, torpor: Torpor) -> None:
    """All that is left of a disk whose beginning was overwritten with zeros."""
    with backing.open("wb") as disk:
        disk.truncate(9 << 30)
    with loop_device(backing) as device, opened(device) as fd:
        assert torpor("mkstore", device).code == 0
        os.pwrite(fd, bytes(PAGE), 0)
        for at in range(5 << 30, 6 << 30, 16 * MIB):
            os.pwrite(fd, b"x" * PAGE, at)
        os.fsync(fd)
        made = torpor("mkstore", device)
        assert (made.code, "bytes that are not zero, at 5" in made.err) == (8, True)


def test_the_look_is_short(backing: Path, torpor: Torpor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk takes some ten milliseconds for each place that is far from the last one."""
    with backing.open("wb") as disk:
        disk.truncate(9 << 30)
    reads = list[tuple[int, int]]()

    def preadv(fd: int, buffers: list[memoryview], at: int) -> int:
        reads.append((at, len(buffers[0])))
        return read(fd, buffers, at)

    read = os.preadv
    monkeypatch.setattr(os, "preadv", preadv)
    with loop_device(backing) as device:
        assert torpor("mkstore", device).code == 0
    assert sum(size for _, size in reads) < 20 * MIB
    assert sum(at > 64 * MIB for at, _ in reads) < 70
