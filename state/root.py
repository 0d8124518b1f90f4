"""The files of a system, below / or, for tests and other systems, below another folder."""

import os


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
