"""/proc/PID/mountinfo and /proc/filesystems (proc(5))."""

from contextlib import suppress
from dataclasses import dataclass

from linux import proc
from linux.proc import lines, unescaped


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo."""

    mount_id: int
    device: str
    """MAJOR:MINOR of the file system; major 0 where no block device is below, or on btrfs."""
    mount_point: str
    fs_type: str
    source: str
    root: str = "/"
    """The folder of the file system that is mounted; of a bind mount and on btrfs another one."""


def parse_mounts(text: str) -> list[Mount]:
    """Return the mounts in `text`, the contents of a mountinfo, in order of mounting.

    A line that cannot be understood is left out.
    """
    mounts = []
    for line in lines(text):
        with suppress(ValueError):
            mounts.append(_mount(line))
    return mounts


def _mount(line: str) -> Mount:
    """Return what a line says (fs/proc_namespace.c, show_mountinfo). Raises ValueError."""
    left, _, right = line.partition(" - ")
    mount_id, _, device, root, mount_point, *_ = left.split(" ")
    fs_type, source, *_ = right.split(" ")
    major, minor = map(int, device.split(":"))
    names = map(unescaped, (mount_point, fs_type, source, root))
    return Mount(int(mount_id), f"{major}:{minor}", *names)


def read_mounts(pid: int | None = None) -> list[Mount]:
    """Return the mounts that this process, or the one with this id, sees. Raises OSError."""
    process = "self" if pid is None else str(pid)
    return parse_mounts(proc.read(f"/proc/{process}/mountinfo"))


def types_on_devices() -> set[str]:
    """Return the types of file systems that need a block device.

    The source of another type's mount is any text that whoever mounted it liked, and a user may
    mount a tmpfs in a namespace of their own.
    """
    found = lines(proc.read("/proc/filesystems"))
    return {line.strip() for line in found if not line.startswith("nodev")}


def mount_id_of(fd: int) -> int:
    """Return the mount that `fd` was opened on (proc(5), fdinfo). Raises OSError."""
    for line in lines(proc.read(f"/proc/self/fdinfo/{fd}")):
        if line.startswith("mnt_id:"):
            return int(line.split()[1])
    raise OSError(f"/proc/self/fdinfo/{fd} has no mnt_id")
