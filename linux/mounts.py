"""/proc/PID/mountinfo and /proc/filesystems (proc(5))."""

import re
from dataclasses import dataclass

_ESCAPE = re.compile(r"\\([0-7]{3})")


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

    Names may hold what Python takes for blanks and ends of lines: the kernel escapes but blank,
    tab, newline, backslash and # (fs/proc_namespace.c, mangle).
    """
    mounts = []
    for line in text.split("\n")[:-1]:
        left, right = line.split(" - ", 1)
        mount_id, _, device, root, mount_point = left.split(" ")[:5]
        fs_type, source = right.split(" ")[:2]
        place = (_unescape(mount_point), fs_type, _unescape(source), _unescape(root))
        mounts.append(Mount(int(mount_id), device, *place))
    return mounts


def read_mounts(pid: int | None = None) -> list[Mount]:
    """Return the mounts that this process, or the one with this id, sees."""
    process = "self" if pid is None else str(pid)
    with open(
        f"/proc/{process}/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n"
    ) as file:
        return parse_mounts(file.read())


def types_on_devices() -> set[str]:
    """Return the types of file systems that need a block device.

    The source of another type's mount is any text that whoever mounted it liked, and a user may
    mount a tmpfs in a namespace of their own.
    """
    with open("/proc/filesystems", encoding="utf-8") as file:
        return {line.strip() for line in file if not line.startswith("nodev")}


def mount_id_of(fd: int) -> int:
    """Return the mount that `fd` was opened on (proc(5), fdinfo)."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        for line in file:
            if line.startswith("mnt_id:"):
                return int(line.split()[1])
    raise OSError(f"/proc/self/fdinfo/{fd} has no mnt_id")


def _unescape(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), text)
