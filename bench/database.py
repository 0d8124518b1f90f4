"""The snapshot stream of a database at work: PostgreSQL with its own benchmark.

Captured once, out of a virtual machine with Debian's packages, and kept in the cache;
vm/guest/database.sh says what runs there.
"""

import shutil
from pathlib import Path

from bench.stream import hibernate_to_stream
from vm.debian import bare_root, text_digest
from vm.disks import MACHINE_ID, blank_disk, swap_disk
from vm.host import BUILD, GUEST_SCRIPTS, kept, run
from vm.initramfs import build_initramfs
from vm.kernels import Kernel, find_kernel
from vm.machine import Machine
from vm.suites import suites_from_here
from vm.tree import Tree

PACKAGES = ["postgresql", "procps"]
SCRIPT = GUEST_SCRIPTS / "database.sh"
ROOT_MIB = 6144
MEMORY_MIB = 3072
"""Twice what it fills: nothing is thrown out for the snapshot."""
LIMIT_SECONDS = 1200


def database_stream() -> Path:
    """Return a stream of 1.5 GB from Debian's 6.1 kernel; capturing it takes root.

    One that is there stays, whatever newer packages would make.
    """
    kernel = find_kernel("6.1")
    name = f"database-{kernel.release}-{text_digest([*PACKAGES, SCRIPT.read_text()])}"
    return kept("streams", name, lambda folder: _capture(kernel, folder)) / "stream"


def _capture(kernel: Kernel, folder: Path) -> None:
    swap = folder / "swap.img"
    append = f"scenario=database resume=UUID={swap_disk(swap, MEMORY_MIB)}"
    initramfs = build_initramfs(kernel, folder / "initramfs.cpio")
    disks = [_root(folder), swap]
    machine = Machine(kernel, initramfs, disks, folder / "console.log", append, MEMORY_MIB)
    hibernate_to_stream(machine, swap, LIMIT_SECONDS)


def _root(folder: Path) -> Path:
    """Make an ext4 disk of a Debian with these packages, the frozen torpor and the script."""
    archive = bare_root(suites_from_here()[0], "minbase", PACKAGES)
    staging = folder / "tree"
    staging.mkdir()
    run("tar", "-C", staging, "-xf", archive)
    # What lies there may be a link that leads out of the tree.
    for name in ("sbin/init", "etc/machine-id"):
        (staging / name).unlink(missing_ok=True)
    tree = Tree()
    tree.copy("/usr/lib/torpor", BUILD / "torpor")
    tree.link("/usr/bin/torpor", "../lib/torpor/torpor")
    tree.file("/etc/machine-id", MACHINE_ID)
    tree.file("/sbin/init", GUEST_SCRIPTS / "init.sh", executable=True)
    for script in (GUEST_SCRIPTS / "lib.sh", SCRIPT):
        tree.file(f"/guest/{script.name}", script)
    tree.write_folder(staging)
    image = blank_disk(folder / "root.img", ROOT_MIB)
    run("mke2fs", "-q", "-t", "ext4", "-d", staging, image)
    shutil.rmtree(staging)
    return image
