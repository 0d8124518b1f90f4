"""File systems in files, mounted through loop devices that are always removed."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from format.tables import Method
from guard.kinds import KINDS, OF_TYPE
from linux import filesystem, mounts
from linux.libc import checked, libc
from tests.sources import opened
from vm.disks import file_system_disk
from vm.host import SEARCH_PATH, HostError, run

CLONE_NEWNS = 0x20000
"""A mount namespace (linux/sched.h)."""

LONG_AGO = 1_000_000_000
"""A time for files: FAT tells seconds apart only by twos."""


KINDS_OF = {"ntfs3": "ntfs", "ntfs-3g": "ntfs"}
"""What a type that is mounted has on its device; else it is called the same."""


def kind_of(fs_type: str) -> str:
    """Return which of vm.disks.MAKERS makes what is mounted as a type."""
    return KINDS_OF.get(fs_type, fs_type)


@contextmanager
def own_mounts() -> Iterator[None]:
    """Have this thread, and what it starts, see mounts of their own.

    What is mounted meanwhile is nobody else's: a program that walks through all file systems would
    have it open when it is unmounted. It goes with this process, however that ends.
    """
    folder = os.getcwd()
    mounts._ours.cache_clear()  # what it keeps is of the namespace of before
    with opened("/proc/thread-self/ns/mnt", os.O_RDONLY) as before:
        checked(libc.unshare(CLONE_NEWNS))
        try:
            run("mount", "--make-rprivate", "/")
            yield
        finally:
            checked(libc.setns(before, CLONE_NEWNS))
            os.chdir(folder)
            mounts._ours.cache_clear()


@contextmanager
def loop_device(path: Path | str, *options: str) -> Iterator[str]:
    """Yield a loop device over a file, or over a block device; options are losetup's."""
    device = run("losetup", "--find", "--show", *options, path).strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextmanager
def mounted(device: str, place: Path, fs_type: str, options: str = "rw") -> Iterator[Path]:
    """Mount it at a folder, which is made."""
    place.mkdir(exist_ok=True)
    run("mount", "-t", fs_type, "-o", options, device, place)
    try:
        yield place
    finally:
        run("umount", place)


@dataclass(frozen=True, slots=True)
class Volume:
    """A file system in a file."""

    path: Path
    fs_type: str

    @contextmanager
    def mounted(self, options: str) -> Iterator[Path]:
        """Mount it on a device that can be written, also where the mount is read-only."""
        place = self.path.with_name(f"{self.path.name}.mounted")
        with (
            own_mounts(),
            loop_device(self.path) as device,
            mounted(device, place, self.fs_type, options),
        ):
            yield place

    def copy(self, name: str) -> "Volume":
        """Return a copy of what is on the device now."""
        target = self.path.with_name(name)
        run("cp", "--sparse=always", self.path, target)
        return Volume(target, self.fs_type)

    def frozen_copy(self, place: Path) -> "Volume":
        """Return a copy of it as it is on its device while it is frozen at `place`."""
        with opened(place, os.O_RDONLY) as fd:
            filesystem.freeze(fd)
            try:
                return self.copy(f"frozen-{self.path.name}")
            finally:
                filesystem.thaw(fd)

    def fingerprint(self) -> bytes:
        """Return what the guard would keep of it."""
        method = Method.XFS_LOG if self.fs_type == "xfs-log" else OF_TYPE[kind_of(self.fs_type)]
        kind = KINDS[method]
        with self.path.open("rb") as file:

            def read(offset: int, size: int) -> bytes:
                return os.pread(file.fileno(), size, offset)

            assert kind.identify(read)
            return kind.fingerprint(read, self.path.stat().st_size)

    def digest(self) -> bytes:
        """Return the checksum of the whole device."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()


def make_volume(path: Path, fs_type: str, *options: str) -> Volume:
    """Make a file system; options are mkfs's."""
    fat_32 = ("-F", "32") if fs_type == "vfat" else ()
    kind = kind_of(fs_type)
    mib = 16 if kind in ("vfat", "exfat", "ntfs") else 64
    return Volume(file_system_disk(path, kind, *fat_32, *options, mib=mib), fs_type)


def skip_unless_mountable(fs_type: str) -> None:
    """Skip the test on a machine that has no such file system, or no loop devices for us."""
    if os.geteuid() != 0 or not shutil.which("losetup", path=SEARCH_PATH):
        pytest.skip("a loop device takes root and losetup")
    with suppress(HostError):
        run("modprobe", "--quiet", fs_type)
    needed = "fuseblk" if fs_type == "ntfs-3g" else fs_type
    if f"\t{needed}\n" not in Path("/proc/filesystems").read_text():
        pytest.skip(f"this kernel has no {fs_type}")
    try:
        run("losetup", "--find")
    except HostError as error:
        pytest.skip(f"no loop devices here: {error}")
