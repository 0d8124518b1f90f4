"""Puts together what is installed, as a folder."""

import os
import shutil
import zlib
from pathlib import Path

from package.completion import bash_completion, zsh_completion
from package.layout import (
    BASH_COMPLETION,
    ITEMS,
    LINKS,
    ZSH_COMPLETION,
    Flavour,
    Item,
)

ROOT = Path(__file__).resolve().parent.parent


def make_tree(tree: Path, flavour: Flavour, date: int) -> None:
    """Fill the folder `tree`, which is made anew; every date is `date`, in seconds since 1970.

    Raises FileNotFoundError if a source is missing.
    """
    shutil.rmtree(tree, ignore_errors=True)
    for item in ITEMS:
        if item.only in (None, flavour):
            _place(item, tree)
    _write(tree / BASH_COMPLETION[1:], bash_completion().encode())
    _write(tree / ZSH_COMPLETION[flavour][1:], zsh_completion().encode())
    for name, target in LINKS.items():
        link = tree / name[1:]
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
    set_dates(tree, date)


def set_dates(tree: Path, date: int) -> None:
    """Give everything below `tree` the same date, and folders their mode."""
    for path in (tree, *tree.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        os.utime(path, (date, date), follow_symlinks=False)


def _place(item: Item, tree: Path) -> None:
    source = ROOT / item.source
    destination = tree / item.destination[1:]
    if not item.source.endswith("/"):
        data = source.read_bytes()
        if destination.suffix == ".gz":
            # As gzip -9n, and on every Python: gzip.compress names another system in 3.13.
            data = zlib.compress(data, 9, wbits=31)
        _write(destination, data, _mode(item, source))
        return
    if not source.is_dir():
        raise FileNotFoundError(f"{source} is not there")
    for path in sorted(source.rglob("*")):
        target = destination / path.relative_to(source)
        if path.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(os.readlink(path))
        elif path.is_file():
            _write(target, path.read_bytes(), _mode(item, path))


def _mode(item: Item, source: Path) -> int:
    if item.mode is not None:
        return item.mode
    is_program = source.stat().st_mode & 0o100 and ".so" not in source.suffixes
    return 0o755 if is_program else 0o644


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    path.chmod(mode)
