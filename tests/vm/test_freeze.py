"""What the order of a hibernation rests on, shown of the kernel alone."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.vm.conftest import LIMIT_SECONDS, Nursery
from tests.vm.test_stale_images import MODULES
from vm.disks import blank_disk, check_disk, copy_disks, ext4_complaints, file_system_disk
from vm.host import HostError
from vm.initramfs import build_initramfs
from vm.kernels import find_kernel
from vm.machine import Result

pytestmark = pytest.mark.vm

KINDS = ("ext4", "xfs", "btrfs", "vfat", "exfat")


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a machine told, and copies of its disks from while the file systems were frozen."""

    result: Result
    disks: dict[str, Path]


@pytest.fixture(scope="module", params=["6.1", pytest.param("6.12", marks=pytest.mark.long)])
def frozen(nursery: Nursery, request: pytest.FixtureRequest) -> Frozen:
    series: str = request.param
    folder = nursery.folder(f"frozen-{series}")
    machine = nursery.machine(folder.name, series, "", blank_disk(folder / "none.img", 1))
    disks = {kind: file_system_disk(folder / f"{kind}.img", kind) for kind in KINDS}
    initramfs = build_initramfs(
        find_kernel(series), folder / "initramfs.cpio", modules=(*MODULES, "ext4")
    )
    machine = replace(
        machine,
        initramfs=initramfs,
        disks=[*machine.disks, *disks.values()],
        append=f"scenario=premises kinds={','.join(KINDS)}",
    )
    with machine.start(LIMIT_SECONDS) as running:
        running.wait_report("^all-frozen$")
        copies = copy_disks(disks.values(), folder / "copies")
        running.send(b"\n")
        result = running.wait()
    assert result.status == 0, result.report
    return Frozen(result, dict(zip(KINDS, copies, strict=True)))


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
