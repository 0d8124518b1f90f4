"""What is mounted anywhere: also where only some processes see it (mount_namespaces(7))."""

from dataclasses import replace

from linux import tasks
from linux.mounts import Mount, read_mounts


def every_mount() -> list[Mount]:
    """Return the mounts that we see, then those of each other mount namespace that has a process.

    The mount points of others are given as we reach them, below /proc/PID/root.
    """
    mounts = read_mounts()
    seen = {tasks.mount_namespace()}
    for pid in tasks.pids():
        try:
            namespace = tasks.mount_namespace(pid)
            theirs = [] if namespace in seen else read_mounts(pid)
        except OSError:
            continue  # it has ended, or is a kernel thread
        seen.add(namespace)
        root = f"/proc/{pid}/root"
        mounts += [replace(mount, mount_point=f"{root}{mount.mount_point}") for mount in theirs]
    return mounts
