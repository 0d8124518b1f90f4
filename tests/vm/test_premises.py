"""What Torpor takes for granted about Linux, where the machine that tests may not have it."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.premises.volumes import Volume, make_volume
from tests.vm.conftest import MEMORY_MIB, SWAP_MIB
from torpor.enable.announce import NOWHERE
from vm.disks import root_disk, swap_disk
from vm.initramfs import build_initramfs
from vm.kernels import find_kernel
from vm.machine import Machine, Result

pytestmark = pytest.mark.vm

TYPES = ("vfat", "exfat")
MODULES = ("vfat", "nls_cp437", "nls_ascii", "exfat")
NAMES = ("base", "alone", "byte", "new", "synced", "reading")
"""What was done to each, as in vm/guest/mounts.sh."""


def test_what_changes_a_fat(tmp_path: Path, boot: Callable[[Machine], Result]) -> None:
    """As tests/premises does for the file systems of most machines."""
    kernel = find_kernel("6.1")
    volumes = {
        (fs_type, name): make_volume(tmp_path / f"{fs_type}-{name}", fs_type)
        for fs_type in TYPES
        for name in NAMES
    }
    disks = [root_disk(tmp_path / "root.img"), *(volume.path for volume in volumes.values())]
    initramfs = build_initramfs(kernel, tmp_path / "initramfs", modules=MODULES)
    append = "scenario=mounts"
    result = boot(Machine(kernel, initramfs, disks, tmp_path / "log", append, MEMORY_MIB))
    assert result.status == 0, result.console[-2000:]
    for fs_type in TYPES:
        assert result.told(f"read-{fs_type}") == "new"
        check({name: volumes[fs_type, name] for name in NAMES})


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
    tmp_path: Path,
    boot: Callable[[Machine], Result],
    series: str,
    in_use: int,
    *,
    takes_none: bool,
) -> None:
    """What enable's announce.py names: the kernel finds no image there, and the machine goes on."""
    kernel = find_kernel(series)
    swap_disk(tmp_path / "swap.img", SWAP_MIB)
    disks = [root_disk(tmp_path / "root.img"), tmp_path / "swap.img"]
    initramfs = build_initramfs(kernel, tmp_path / "initramfs")
    append = "scenario=named"
    result = boot(Machine(kernel, initramfs, disks, tmp_path / "log", append, MEMORY_MIB))
    assert result.status == 0, result.console[-2000:]
    number, _ = NOWHERE
    assert result.told("nowhere-named") == f"{os.major(number)}:{os.minor(number)}"
    assert result.told("nowhere-code") == str(-errno.ENXIO)
    assert result.told("in-use-code") == str(-in_use)
    there = result.told("in-use-named")
    assert result.told("none-named") == ("0:0" if takes_none else there)
    assert result.told("swapped-on-again") == "0"


def check(of: dict[str, Volume]) -> None:
    base = of["base"].fingerprint()
    assert of["byte"].fingerprint() != base
    assert of["new"].fingerprint() != base
    assert of["synced"].fingerprint() != base
    assert of["alone"].fingerprint() != base or of["alone"].digest() == of["base"].digest()
    assert of["reading"].fingerprint() == of["synced"].fingerprint()
