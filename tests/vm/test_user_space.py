"""A file system in user space: its helper runs until everything is on the disk."""

import hashlib
import subprocess
from dataclasses import replace

import pytest

from tests.vm.conftest import MEMORY_MIB, SWAP_MIB, Boot, Nursery
from tests.vm.cuts import check_continues
from vm.disks import file_system_disk, root_disk, swap_disk
from vm.initramfs import build_initramfs
from vm.kernels import find_kernel
from vm.machine import Machine, told

pytestmark = [pytest.mark.vm, pytest.mark.long]


def test_file_system_in_user_space(nursery: Nursery, boot: Boot) -> None:
    """ntfs-3g with a busy writer: what it took is on the disk before the resume, which goes on."""
    folder = nursery.folder("user-space")
    kernel = find_kernel("6.1")
    name = swap_disk(folder / "swap.img", SWAP_MIB)
    disks = [
        root_disk(folder / "root.img", more=["ntfs-3g"]),
        folder / "swap.img",
        file_system_disk(folder / "ntfs.img", "ntfs"),
    ]
    initramfs = build_initramfs(kernel, folder / "initramfs.cpio", modules=["fuse"])
    log, append = folder / "first.log", f"resume=UUID={name}"
    machine = Machine(kernel, initramfs, disks, log, append, MEMORY_MIB)
    nest = nursery.first_life(machine, "user-space")

    saved = subprocess.run(["ntfscat", "-f", disks[2], "kept"], check=True, capture_output=True)
    (summed,) = (line for line in nest.first.report if line.startswith("sum="))
    assert hashlib.md5(saved.stdout, usedforsecurity=False).hexdigest() == told([summed], "sum")

    resumed = boot(replace(machine, log=folder / "resumed.log"))
    check_continues(nest.first, resumed)
    assert resumed.told("sum") == told([summed], "sum")
    assert resumed.told("gaps") == "0"
    assert int(resumed.told("numbers") or 0) > 0
