"""What Torpor takes for granted about Linux, where the machine that tests may not have it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.premises.volumes import Volume, make_volume
from tests.vm.conftest import MEMORY_MIB
from vm.disks import root_disk
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


def check(of: dict[str, Volume]) -> None:
    base = of["base"].fingerprint()
    assert of["byte"].fingerprint() != base
    assert of["new"].fingerprint() != base
    assert of["synced"].fingerprint() != base
    assert of["alone"].fingerprint() != base or of["alone"].digest() == of["base"].digest()
    assert of["reading"].fingerprint() == of["synced"].fingerprint()
