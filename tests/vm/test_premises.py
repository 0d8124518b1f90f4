"""What Torpor takes for granted about Linux, shown of the kernel: what freezing does, what changes
a FAT, where an image is looked for; and what a file system in user space rests on.
"""

import errno
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.premises.volumes import make_volume
from tests.vm.conftest import LIMIT_SECONDS, SWAP_MIB, Boot, Nursery
from tests.vm.cuts import check_continues, words
from tests.vm.test_stale_images import MODULES
from torpor.enable.announce import NOWHERE
from vm.disks import (
    blank_disk,
    check_disk,
    copy_disks,
    ext4_complaints,
    file_system_disk,
    swap_disk,
)
from vm.host import SEARCH_PATH, HostError
from vm.machine import Result

FATS, LOGS = ("vfat", "exfat"), ("f2fs", "nilfs2")
NO_BCACHEFS = pytest.mark.skipif(
    shutil.which("mkfs.bcachefs", path=SEARCH_PATH) is None, reason="mkfs.bcachefs is not here"
)
"""Debian has it in experimental only."""
NAMES = ("base", "alone", "byte", "new", "synced", "reading", "crashed", "replayed")
"""What was done to each, as in vm/guest/mounts.sh."""


@pytest.mark.parametrize(
    ("series", "types", "modules"),
    [
        ("6.1", FATS, ("nls_cp437", "nls_ascii")),
        pytest.param("6.12", ("ntfs3", *LOGS), ("crc32_generic",), marks=pytest.mark.long),
        pytest.param("6.1", LOGS, ("crc32_generic",), marks=pytest.mark.long),
        pytest.param("7.3", ("ntfs", *LOGS), (), marks=pytest.mark.long),
        pytest.param("6.12", ("bcachefs",), (), marks=[pytest.mark.long, NO_BCACHEFS]),
    ],
)
def test_what_changes_a_file_system(
    tmp_path: Path,
    nursery: Nursery,
    boot: Boot,
    series: str,
    types: Sequence[str],
    modules: Sequence[str],
) -> None:
    """As tests/premises does for the file systems of most machines; `modules` are further ones."""
    made = [make_volume(tmp_path / fs_type, fs_type) for fs_type in types]
    volumes = {
        (each.fs_type, name): each.copy(f"{each.fs_type}-{name}") for each in made for name in NAMES
    }
    disks = [volume.path for volume in volumes.values()]
    machine = nursery.machine(
        f"mounts-{series}-{types[0]}",
        series,
        f"scenario=mounts kinds={','.join(types)}",
        *disks,
        modules=(*modules, *types),
    )
    result = boot(machine)
    assert result.status == 0, result.console[-2000:]
    for fs_type in types:
        assert result.told(f"read-{fs_type}") == "new"
        assert result.told(f"replayed-{fs_type}") == "more"
        found = [volumes[fs_type, name] for name in NAMES]
        base, alone, byte, new, synced, reading, crashed, replayed = (
            volume.fingerprint() for volume in found
        )
        assert base not in (byte, new, synced)
        assert alone != base or found[1].digest() == found[0].digest()
        assert reading == synced
        assert crashed != synced
        assert replayed != crashed or found[7].digest() == found[6].digest()


@pytest.mark.parametrize(
    ("series", "in_use", "takes_none"),
    [
        ("6.1", errno.EINVAL, False),
        ("6.12", errno.EBUSY, True),
        pytest.param("7.2", errno.EBUSY, True, marks=pytest.mark.long),
        pytest.param("7.3", errno.EBUSY, True, marks=pytest.mark.long),
    ],
)
def test_where_the_kernel_looks_for_an_image_of_its_own(
    nursery: Nursery, boot: Boot, series: str, in_use: int, *, takes_none: bool
) -> None:
    """What enable's announce.py names: the kernel finds no image there, and the machine goes on."""
    folder = nursery.folder(f"named-{series}")
    swap_disk(folder / "swap.img", SWAP_MIB)
    result = boot(nursery.machine(folder.name, series, "scenario=named", folder / "swap.img"))
    assert result.status == 0, result.console[-2000:]
    number, _ = NOWHERE
    assert result.told("nowhere-named") == f"{os.major(number)}:{os.minor(number)}"
    assert result.told("nowhere-code") == str(-errno.ENXIO)
    assert result.told("in-use-code") == str(-in_use)
    there = result.told("in-use-named")
    assert result.told("none-named") == ("0:0" if takes_none else there)
    assert result.told("swapped-on-again") == "0"


pytestmark = [pytest.mark.vm, pytest.mark.long]

FROZEN_KINDS = ("ext4", "xfs", "btrfs", "vfat", "exfat")


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a machine told, and copies of its disks from while the file systems were frozen."""

    result: Result
    disks: dict[str, Path]


@pytest.fixture(scope="module", params=["6.1", pytest.param("6.12", marks=pytest.mark.long)])
def frozen(nursery: Nursery, request: pytest.FixtureRequest) -> Frozen:
    folder = nursery.folder(f"frozen-{request.param}")
    disks = {kind: file_system_disk(folder / f"{kind}.img", kind) for kind in FROZEN_KINDS}
    machine = nursery.machine(
        folder.name,
        request.param,
        f"scenario=premises kinds={','.join(FROZEN_KINDS)}",
        *(blank_disk(folder / "none.img", 1), *disks.values()),
        modules=(*MODULES, "ext4"),
    )
    with machine.start(LIMIT_SECONDS) as running:
        running.wait_report("^all-frozen$")
        copies = copy_disks(disks.values(), folder / "copies")
        running.send(b"\n")
        result = running.wait()
    assert result.status == 0, result.report
    return Frozen(result, dict(zip(FROZEN_KINDS, copies, strict=True)))


def test_freeze_stops_tasks_and_leaves_kernel_threads_running(frozen: Frozen) -> None:
    """So what is dirty is written until the file systems are frozen, too."""
    assert frozen.result.told("counted") == "0"
    assert int(frozen.result.told("sectors") or 0) >= 1_000_000 // 512


def test_frozen_ext4_and_btrfs_are_clean_on_the_disk(frozen: Frozen) -> None:
    """The journal of ext4 is empty, too."""
    for kind in ("ext4", "btrfs"):
        assert frozen.result.told(f"frozen-{kind}") == "0"
        check_disk(frozen.disks[kind], kind)
    assert ext4_complaints(frozen.disks["ext4"]) == ""


def test_frozen_xfs_has_nothing_but_counters_in_its_log(frozen: Frozen) -> None:
    """fs/xfs/xfs_super.c, xfs_fs_freeze: the log is left dirty, by the superblock alone."""
    assert frozen.result.told("frozen-xfs") == "0"
    with pytest.raises(HostError) as complaint:
        check_disk(frozen.disks["xfs"], "xfs")
    said = str(complaint.value)
    assert "metadata changes in a log" in said
    complaints = re.findall(r"^(.*, (?:counted|would).*|bad .*|.*corrupt.*)$", said, re.MULTILINE)
    assert [line for line in complaints if not line.startswith("sb_")] == []


@pytest.mark.parametrize("kind", ["vfat", "exfat"])
def test_fat_cannot_be_frozen(kind: str, frozen: Frozen) -> None:
    assert frozen.result.told(f"frozen-{kind}") not in (None, "0")


@pytest.mark.long
def test_file_system_in_user_space(nursery: Nursery, boot: Boot) -> None:
    """ntfs-3g with a busy writer: what it took is on the disk before the resume, which goes on.

    Its helper runs until everything is on the disk.
    """
    folder = nursery.folder("user-space")
    append = f"resume=UUID={swap_disk(folder / 'swap.img', SWAP_MIB)}"
    disks = [folder / "swap.img", file_system_disk(folder / "ntfs.img", "ntfs")]
    machine = nursery.machine(
        "user-space", "6.1", append, *disks, modules=["fuse"], programs=["ntfs-3g"]
    )
    nest = nursery.first_life(machine, "user-space")

    saved = subprocess.run(["ntfscat", "-f", disks[1], "kept"], check=True, capture_output=True)
    total = words(nest.first.report, "sum=")["sum"]
    assert hashlib.md5(saved.stdout, usedforsecurity=False).hexdigest() == total

    resumed = boot(replace(machine, log=folder / "resumed.log"))
    check_continues(nest.first, resumed)
    assert resumed.told("sum") == total
    assert resumed.told("gaps") == "0"
    assert int(resumed.told("numbers") or 0) > 0
