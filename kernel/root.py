"""What is mounted at / (proc(5), mounts)."""


def is_in_memory() -> bool:
    """Return whether the root is in memory only, as before the real root is mounted."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
        return is_memory(file.read())


def is_memory(mounts: str) -> bool:
    """Return whether the root of these mounts, the contents of the file, is in memory only."""
    fields = [line.split(" ") for line in mounts.splitlines()]
    roots = [field[2] for field in fields if field[1] == "/"]
    return bool(roots) and roots[-1] in ("rootfs", "ramfs", "tmpfs")
