"""Makes the guests' disks: sparse files, without root rights and without a mount."""

import shutil
import struct
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from vm.host import BUILD, GUEST_SCRIPTS, HostError, kept, run
from vm.tree import BUSYBOX, NO_FILES, Tree

MIB = 1 << 20
PAGE = 4096
ROOT_MIB = 256
ROOTS_KEPT = 8
MAKERS = {
    "ext4": ("mke2fs", "-q", "-t", "ext4"),
    "xfs": ("mkfs.xfs", "-q"),
    "btrfs": ("mkfs.btrfs", "-q"),
    "vfat": ("mkfs.vfat",),
    "exfat": ("mkfs.exfat",),
    "ntfs": ("mkfs.ntfs", "-q", "-F", "-f"),
    "f2fs": ("mkfs.f2fs", "-q"),
    "nilfs2": ("mkfs.nilfs2", "-q", "-B", "128"),
    "bcachefs": ("mkfs.bcachefs", "-q"),
}
SMALLEST_MIB = {"xfs": 320, "btrfs": 128}
CHECKERS = {
    "ext4": ("e2fsck", "-fn"),
    "xfs": ("xfs_repair", "-n"),
    "btrfs": ("btrfs", "check", "--readonly"),
    "vfat": ("fsck.vfat", "-n"),
    "exfat": ("fsck.exfat", "-n"),
    "ntfs": ("ntfsfix", "-n"),
}
PARTITION_START = MIB
MACHINE_ID = b"%032x\n" % 7
"""Of the guests with busybox."""


def root_disk(path: Path, more: Iterable[str] = (), files: Mapping[str, bytes] = NO_FILES) -> Path:
    """Make the ext4 root with busybox, perl, the frozen torpor and the guest scripts.

    `more` are further programs of the host, `files` what else lies there.
    """
    tree = _root_tree()
    for place, contents in files.items():
        tree.file(place, contents)
    for name in more:
        tree.host_program(name)

    def make(folder: Path) -> None:
        staging = folder / "tree"
        staging.mkdir()
        tree.write_folder(staging)
        image = blank_disk(folder / "root.img", ROOT_MIB)
        run("mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", staging, image)
        shutil.rmtree(staging)

    home = kept("roots", tree.digest()[:32], make, ROOTS_KEPT)
    return copy_disk(home / "root.img", path)


def blank_disk(path: Path, mib: int) -> Path:
    """Make an empty disk."""
    path.unlink(missing_ok=True)
    with path.open("xb") as disk:
        disk.truncate(mib * MIB)
    return path


def swap_disk(path: Path, mib: int, name: str | None = None) -> str:
    """Make a disk that is one swap area; return its UUID, which is `name` if given."""
    blank_disk(path, mib)
    name = name or str(uuid.uuid4())
    run("mkswap", "-q", "-U", name, path)
    return name


def swap_disks(folder: Path, count: int, mib: int) -> list[Path]:
    """Make so many of them in a folder."""
    swaps = [folder / f"swap{nth}.img" for nth in range(count)]
    for swap in swaps:
        swap_disk(swap, mib)
    return swaps


def partitioned_swap_disk(path: Path, mib: int) -> str:
    """Make a disk whose first partition, at 1 MiB and to its end, is a swap area."""
    area = path.with_name(f"{path.name}.area")
    name = swap_disk(area, mib - PARTITION_START // MIB)
    blank_disk(path, mib)
    write_partition(path, PARTITION_START, mib * MIB - PARTITION_START)
    with path.open("r+b") as disk, area.open("rb") as source:
        disk.seek(PARTITION_START)
        disk.write(source.read(MIB))  # the header; the rest of a fresh area is zeros
    area.unlink()
    return name


def write_partition(path: Path, start: int, size: int) -> None:
    """Write a partition table with one partition; both are bytes."""
    # Entry 1 of the MBR's table: not bootable, no CHS, type 0x82 (Linux swap), LBA start and size.
    entry = struct.pack("<B3xB3xII", 0, 0x82, start // 512, size // 512)
    with path.open("r+b") as disk:
        disk.seek(446)
        disk.write(entry)
        disk.seek(510)
        disk.write(b"\x55\xaa")


def file_system_disk(path: Path, kind: str, *options: str, mib: int = 64) -> Path:
    """Make a disk with an empty file system of this kind, larger where its mkfs wants that."""
    blank_disk(path, max(mib, SMALLEST_MIB.get(kind, 0)))
    run(*MAKERS[kind], *options, path)
    return path


def check_disk(path: Path, kind: str) -> str:
    """Check a file system without changing it; return what its checker says.

    Raises HostError if it finds something wrong.
    """
    return run(*CHECKERS[kind], path)


def copy_disk(source: Path, target: Path) -> Path:
    """Copy a disk, holes kept and blocks shared where the file system can."""
    target.unlink(missing_ok=True)
    run("cp", "--sparse=always", "--reflink=auto", source, target)
    return target


def copy_disks(sources: Iterable[Path], folder: Path) -> list[Path]:
    """Copy the disks of one machine into a folder, for another life of the same state."""
    folder.mkdir(parents=True, exist_ok=True)
    return [copy_disk(source, folder / source.name) for source in sources]


def changed_pages(one: Path, other: Path, start: int = 0) -> int:
    """Return how many pages of 4096 bytes of two disks of one size differ from `start` on."""
    changed = 0
    with one.open("rb") as file, other.open("rb") as file2:
        file.seek(start)
        file2.seek(start)
        while block := file.read(MIB):
            if block != (block2 := file2.read(MIB)):
                pages = range(0, len(block), PAGE)
                changed += sum(block[at : at + PAGE] != block2[at : at + PAGE] for at in pages)
    return changed


def ext4_complaints(path: Path) -> str:
    """Check a root disk without changing it; return what e2fsck complains of, "" if clean.

    A journal that needs recovery is a complaint: nothing unmounted the file system.
    """
    try:
        said = run("e2fsck", "-fn", path)
    except HostError as error:
        return str(error)
    return said if "skipping journal recovery" in said else ""


def _root_tree() -> Tree:
    tree = Tree()
    for folder in ("/dev", "/proc", "/run", "/sys", "/tmp", "/etc", "/var", "/mnt", "/root"):
        tree.folder(folder)
    tree.busybox(run(BUSYBOX, "--list").split())
    tree.program("/usr/lib/torpor", BUILD / "torpor")
    for name in ("blkid", "dmsetup", "perl", "setpriv"):
        tree.host_program(name)
    tree.link("/usr/bin/torpor", "../lib/torpor/torpor")
    tree.file("/etc/machine-id", MACHINE_ID)
    tree.file("/sbin/init", GUEST_SCRIPTS / "init.sh", executable=True)
    for script in sorted([*GUEST_SCRIPTS.glob("*.sh"), *GUEST_SCRIPTS.glob("*.pl")]):
        tree.file(f"/guest/{script.name}", script, executable=True)
    return tree
