"""A snapshot stream of a real kernel, captured once and kept in the cache."""

import os
from pathlib import Path

from vm.disks import blank_disk, root_disk, swap_disk
from vm.host import BUILD, building, cache, run
from vm.initramfs import build_initramfs
from vm.kernels import find_kernel
from vm.machine import Machine, MachineError

MIB = 1 << 20
STREAM_MIB = 1536
MEMORY_MIB = 3584
LIMIT_SECONDS = 600


def real_stream() -> Path:
    """Return a stream of at least STREAM_MIB from Debian's 6.1 kernel with mixed memory."""
    kernel = find_kernel("6.1")
    home = cache("streams") / f"{kernel.release}-{STREAM_MIB}"
    if not home.exists():
        with building(home) as scratch:
            _capture(scratch)
    return home / "stream"


def _capture(folder: Path) -> None:
    kernel = find_kernel("6.1")
    initramfs = build_initramfs(kernel, folder / "initramfs.cpio")
    root = root_disk(folder / "root.img")
    name = swap_disk(folder / "swap.img", 2 * STREAM_MIB)
    data = _mixed_data(folder / "data.img")
    disks = [root, folder / "swap.img", data]
    append = f"scenario=fill resume=UUID={name}"
    machine = Machine(kernel, initramfs, disks, folder / "console.log", append, MEMORY_MIB)
    result = machine.run(LIMIT_SECONDS)
    if result.status is not None:
        raise MachineError(f"the guest did not hibernate:\n{result.console[-2000:]}")
    run(BUILD / "torpor/torpor", "unpack", folder / "swap.img", folder / "stream")
    for disk in (*disks, initramfs):
        disk.unlink()


def _mixed_data(path: Path) -> Path:
    """Make a disk of what memory holds: programs and text, a fifth of noise, some zeros."""
    blank_disk(path, STREAM_MIB)
    with path.open("r+b") as disk:
        for file in _programs():
            disk.write(file.read_bytes()[:MIB])
            if disk.tell() > STREAM_MIB * MIB * 7 // 10:
                break
        for _ in range(STREAM_MIB // 5):
            disk.write(os.urandom(MIB))
    return path


def _programs() -> list[Path]:
    files = [file for file in Path("/usr").rglob("*") if file.is_file() and not file.is_symlink()]
    return sorted(files)[:: max(1, len(files) // 60000)]
