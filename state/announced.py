"""What torpor announce has named to the kernel in this boot, and so may take back."""

import os
import re

from state.files import read_text, remove, write_text

PATH = "/run/torpor/announced"


def save_announced(device: int, page: int, path: str | None = None) -> None:
    """Keep device number and page for this boot. Raises UnreadableError."""
    write_text(path or PATH, f"{os.major(device)}:{os.minor(device)} {page}\n")


def read_announced(path: str | None = None) -> tuple[int, int] | None:
    """Return device number and page, None where nothing is kept. Raises UnreadableError."""
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9}) (\d{1,15})\n", read_text(path or PATH) or "")
    return (os.makedev(int(found[1]), int(found[2])), int(found[3])) if found else None


def forget_announced(path: str | None = None) -> None:
    """Forget it. Raises UnreadableError."""
    remove(path or PATH)
