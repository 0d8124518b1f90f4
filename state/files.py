"""Reads and writes small text files whole."""

import os

from format.errors import UnreadableError


def read_text(path: str) -> str | None:
    """Return the contents, None where there is no such file. Raises UnreadableError."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UnreadableError(f"cannot read {path}: {_reason(error)}") from error


def write_text(path: str, text: str) -> None:
    """Replace the file by one with this text, on the disk for good. Raises UnreadableError."""
    partial = f"{path}.partial"
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(partial, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise UnreadableError(f"cannot write {path}: {_reason(error)}") from error


def remove(path: str) -> None:
    """Remove the file if it is there. Raises UnreadableError."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnreadableError(f"cannot remove {path}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
