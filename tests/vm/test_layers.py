"""An image is refused once what its file systems lie on has changed, though not their contents."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ENDED
from tests.vm.conftest import SWAP_MIB, Boot, Nest, Nursery, Recorder
from tests.vm.cuts import check_continues, refusals, words
from vm.disks import (
    MIB,
    blank_disk,
    check_disk,
    file_system_disk,
    swap_disk,
    write_partition,
)

pytestmark = pytest.mark.vm

CHANGED = 19
SIZE = 64 * MIB
SECTORS = SIZE // 512
LUKS = b"LUKS\xba\xbe\0\2"
EXT3 = "^extent,^64bit,^flex_bg,^huge_file,^dir_nlink,^extra_isize,^metadata_csum"
"""What an ext4 has to do without to be mounted as an ext3, too."""
PARTITION_SIZE = 2 * SIZE + 2 * MIB


def table(start: int) -> str:
    """Return the table of a device of dm-crypt that begins there: what it shows is not encrypted.

    For dm.sh.
    """
    return f"dm=0,{SECTORS},crypt,cipher_null-ecb,-,0,/dev/vdc1,{start // 512} dm-name=ext4"


@pytest.fixture(scope="module")
def layered(nursery: Nursery) -> Nest:
    """A machine that hibernated with an ext4 on dm-crypt, on a partition with a header of LUKS."""
    folder = nursery.folder("layered")
    append = f"resume=UUID={swap_disk(folder / 'swap.img', SWAP_MIB)} kinds=ext4"
    disk = blank_disk(folder / "layers.img", 4 * SIZE // MIB)
    inner = file_system_disk(folder / "ext4.img", "ext4")
    write_partition(disk, MIB, PARTITION_SIZE)
    with disk.open("r+b") as file:
        file.seek(MIB)
        file.write(LUKS)
        file.seek(2 * MIB)
        file.write(inner.read_bytes())
    disks, modules = (folder / "swap.img", disk), ("dm_crypt", "crypto_null")
    machine = nursery.machine(
        folder.name, "6.1", f"{append} {table(MIB)}", *disks, modules=modules, early=("dm.sh",)
    )
    nest = nursery.first_life(machine, "mounted")
    assert not any("failed" in line for line in nest.first.report), nest.first.report
    return nest


def copy_within(disk: Path, start: int, size: int, to: int) -> None:
    with disk.open("r+b") as file:
        file.seek(start)
        data = file.read(size)
        file.seek(to)
        file.write(data)


def move(disk: Path) -> str:
    """Move it within its partition; return its table."""
    copy_within(disk, 2 * MIB, SIZE, 2 * MIB + SIZE)
    return table(MIB + SIZE)


def move_partition(disk: Path) -> str:
    """Do what `sfdisk --move-data` does."""
    copy_within(disk, MIB, MIB + SIZE, 3 * MIB)
    write_partition(disk, 3 * MIB, PARTITION_SIZE)
    return table(MIB)


def encrypt_anew(disk: Path) -> str:
    """Do to the header what `cryptsetup reencrypt` does: a later sequence number."""
    with disk.open("r+b") as file:
        file.seek(MIB + 16)
        file.write(b"\1")
    return table(MIB)


def leave(disk: Path) -> str:
    del disk
    return table(MIB)


@pytest.mark.long
def test_disks_that_changed_slots(nursery: Nursery, boot: Boot, tmp_path: Path) -> None:
    """Each is unchanged, and would be destroyed by what the restored kernel has of the other."""
    folder = nursery.folder("exchanged")
    append = f"resume=UUID={swap_disk(folder / 'swap.img', SWAP_MIB)} kinds=ext4,ext3"
    visited = [
        file_system_disk(folder / f"{kind}.img", "ext4", "-O", EXT3, mib=320)
        for kind in ("ext4", "ext3")
    ]
    machine = nursery.machine(folder.name, "6.1", append, folder / "swap.img", *visited)
    nest = nursery.first_life(machine, "mounted")
    copy = nest.copy(tmp_path / "machine", "look")
    root, swap, *two = copy.disks
    result = boot(replace(copy, disks=[root, swap, *two[::-1]]))
    assert words(result.report, "resumer-exit ")["code"] == str(CHANGED)
    (refusal,) = refusals(result)
    assert "lies elsewhere than when the image was made: disk pci0000:00/" in refusal
    assert not any("failed" in line for line in result.report), result.report
    for path in (root, *two):
        check_disk(path, "ext4")


@pytest.mark.long
def test_swap_that_changed_slots(nursery: Nursery, boot: Boot, tmp_path: Path) -> None:
    """With a disk that nothing has mounted: the restored kernel would swap to that."""
    folder = nursery.folder("swapped")
    append = f"resume=UUID={swap_disk(folder / 'swap.img', SWAP_MIB)}"
    other = file_system_disk(folder / "other.img", "ext4", mib=SWAP_MIB)
    machine = nursery.machine(folder.name, "6.1", append, folder / "swap.img", other)
    nest = nursery.first_life(machine, "mounted")
    copy = nest.copy(tmp_path / "machine", "look")
    root, swap, other = copy.disks
    before = other.read_bytes()
    result = boot(replace(copy, disks=[root, other, swap]))
    assert words(result.report, "resumer-exit ")["code"] == str(CHANGED)
    (refusal,) = refusals(result)
    assert "the swap of /dev/vdb lies elsewhere than when the image was made: disk pci" in refusal
    assert other.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "differs"),
    [(move, "crypt"), (move_partition, "partition"), (encrypt_anew, "crypt"), (leave, None)],
)
def test_what_lies_below(
    change: Callable[[Path], str],
    differs: str | None,
    layered: Nest,
    boot: Boot,
    tmp_path: Path,
    record_property: Recorder,
) -> None:
    machine = layered.copy(tmp_path / "machine", "look")
    append = machine.append.replace(table(MIB), change(machine.disks[2]))
    result = boot(replace(machine, append=append))
    assert result.status == 0
    assert not any("failed" in line for line in result.report), result.report
    assert result.told("sums") == layered.first.told("sums") is not None
    if differs is None:
        check_continues(layered.first, result)
        ended = "resumed, with nonce"
    else:
        assert words(result.report, "resumer-exit ")["code"] == str(CHANGED)
        (refusal,) = refusals(result)
        assert f"lies elsewhere than when the image was made: {differs}" in refusal
        ended = "refused"
    check_disk(machine.disks[0], "ext4")
    record_property(ENDED, (f"layers: {change.__name__}", "swap", "-", ended))
