"""The files of a system, and what is mounted at its root."""

import os

from linux import proc


class Root:
    """Reads files; where one is not there, methods say so by what they return.

    PermissionError and other OSErrors are the caller's.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = root.rstrip("/")

    def path(self, path: str) -> str:
        """Return where the file `path` of the system is."""
        return f"{self.root}{path}"

    def text(self, path: str) -> str | None:
        """Return the contents of a file, None if it is not there."""
        data = self.data(path)
        return None if data is None else data.decode("utf-8", "replace")

    def line(self, path: str) -> str:
        """Return the contents of a file of one line, "" if it is not there."""
        return (self.text(path) or "").strip()

    def data(self, path: str, limit: int = -1) -> bytes | None:
        """Return the first bytes of a file, None if it is not there."""
        try:
            with open(self.path(path), "rb") as file:
                return file.read(limit)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def exists(self, path: str) -> bool:
        """Return whether something is there."""
        try:
            os.stat(self.path(path))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def names(self, folder: str) -> list[str]:
        """Return the sorted names in a folder, none if it is not there."""
        try:
            return sorted(os.listdir(self.path(folder)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def modified(self, path: str) -> float:
        """Return when a file was written last, in seconds of the epoch; 0 if it is not there."""
        try:
            return os.stat(self.path(path)).st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return 0

    def size(self, path: str) -> int:
        """Return the size of a file, 0 if it is not there."""
        try:
            return os.stat(self.path(path)).st_size
        except (FileNotFoundError, NotADirectoryError):
            return 0

    @property
    def release(self) -> str:
        """The running kernel's release."""
        return self.line("/proc/sys/kernel/osrelease")


def is_in_memory() -> bool:
    """Return whether the root is in memory only, as before the real root is mounted."""
    return is_memory(proc.read("/proc/self/mounts"))


def is_memory(mounts: str) -> bool:
    """Return whether the root of these mounts, the contents of the file, is in memory only."""
    fields = [line.split(" ") for line in proc.lines(mounts)]
    roots = [field[2] for field in fields if field[1:2] == ["/"] and len(field) > 2]
    return bool(roots) and roots[-1] in ("rootfs", "ramfs", "tmpfs")
