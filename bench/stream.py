"""What the benchmarks pack: a snapshot stream of a real kernel.

It is captured once, out of a virtual machine, and kept in the cache.
"""

import random
from pathlib import Path

from vm.disks import blank_disk, swap_disk
from vm.host import BUILD, kept, run
from vm.initramfs import new_machine
from vm.kernels import find_kernel
from vm.machine import Machine, MachineError

MIB = 1 << 20
STREAM_MIB = 1536
MEMORY_MIB = 3584
LIMIT_SECONDS = 600


def real_stream() -> Path:
    """Return a stream of at least STREAM_MIB from Debian's 6.1 kernel with mixed memory."""
    name = f"{find_kernel('6.1').release}-{STREAM_MIB}"
    return kept("streams", name, _capture) / "stream"


def mixed_disk(path: Path, mib: int) -> Path:
    """Make a disk of what memory holds: programs and text, a fifth of noise, a tenth of zeros.

    The same at each call on the same host.
    """
    blank_disk(path, mib)
    chance = random.Random(mib)
    files = [file for file in Path("/usr").rglob("*") if file.is_file() and not file.is_symlink()]
    files.sort()
    chance.shuffle(files)
    with path.open("r+b") as disk:
        for file in files:
            disk.write(file.read_bytes()[:MIB])
            if disk.tell() > mib * MIB * 7 // 10:
                break
        for _ in range(mib // 5):
            disk.write(chance.randbytes(MIB))
    return path


def _capture(folder: Path) -> None:
    name = swap_disk(folder / "swap.img", 2 * STREAM_MIB)
    disks = [folder / "swap.img", mixed_disk(folder / "data.img", STREAM_MIB)]
    append = f"scenario=fill resume=UUID={name}"
    machine = new_machine(find_kernel("6.1"), folder, disks, append, MEMORY_MIB)
    hibernate_to_stream(machine, folder / "swap.img", LIMIT_SECONDS)


def hibernate_to_stream(machine: Machine, swap: Path, limit: float) -> None:
    """Run a machine that hibernates to `swap`; leave the snapshot in a file `stream` beside it.

    The machine's disks are gone then. Raises MachineError if it did not hibernate.
    """
    result = machine.run(limit)
    if result.status is not None:
        raise MachineError(f"the guest did not hibernate:\n{result.console[-2000:]}")
    run(BUILD / "torpor/torpor", "unpack", swap, swap.with_name("stream"))
    for disk in (*machine.disks, machine.initramfs):
        disk.unlink()
