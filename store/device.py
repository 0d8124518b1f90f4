"""A device of its own as a store."""

import errno
import os
from contextlib import ExitStack
from uuid import UUID

from errors import Attempt, DeviceNotFoundError, StoreRefusedError, cannot, command
from format import PAGE_SIZE
from format.extent_map import Extents
from linux import block, programs
from linux.open_file import OpenFile
from linux.root import HOST, Root
from store.base import OwnStore
from store.header import new_store_header, read_header
from store.volatile import refuse_volatile

_SMALLEST_PAGES = 256


class DeviceStore(OwnStore):
    """A device that mkstore prepared, claimed for as long as this is open."""

    def __init__(self, path: str) -> None:
        """Open what store.find has found. Raises StoreRefusedError if it is in use or changed."""
        with ExitStack() as on_error:
            device = on_error.enter_context(claim(path))
            header = read_header(device.fd, path)
            if not header.is_store:
                raise StoreRefusedError(f"{path} is no store any more")
            runs = Extents()
            runs.add(1, block.size_of(device.fd) // PAGE_SIZE - 1)
            on_error.pop_all()
        super().__init__(device.fd, path, header, runs)


def make_store(path: str) -> UUID:
    """Prepare the device as an empty store, return the UUID that finds it.

    Raises StoreRefusedError if it is in use, too small, or holds something that is no store.
    """
    with claim(path) as device:
        refuse_volatile(path, path)
        pages = block.size_of(device.fd) // PAGE_SIZE
        if pages < _SMALLEST_PAGES:
            raise StoreRefusedError(f"{path} is too small for a store: {pages * PAGE_SIZE} bytes")
        if not read_header(device.fd, path).is_store and (found := _contents(path)):
            raise StoreRefusedError(
                f"{path} holds something already: {found}",
                f"if that can go: {command('wipefs', '--all', path)}",
            )
        return new_store_header(device.fd, path, pages)


def claim(path: str, flags: int = os.O_RDWR | os.O_DIRECT, root: Root = HOST) -> OpenFile:
    """Open a block device that nothing else uses; past the page cache, unless told otherwise.

    Raises DeviceNotFoundError, StoreRefusedError, UnreadableError.
    """
    if not root.exists(path):
        raise DeviceNotFoundError(f"{path} does not exist")
    if not root.device_number(path):
        raise StoreRefusedError(f"{path} is not a block device")
    if PAGE_SIZE % root.sector_size(path):
        raise StoreRefusedError(f"{path} has sectors larger than a page")
    try:
        return OpenFile(block.claim(root.path(path), flags))
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise StoreRefusedError(
                f"{path} is in use: mounted, swap, or part of another device"
            ) from error
        raise cannot("open", path, error) from error


def _contents(path: str) -> str:
    """Return what blkid finds on the device, "" for nothing (exit code 2, blkid(8))."""
    with Attempt("run", "blkid, which tells whether the device is empty"):
        found = programs.run(["blkid", "--probe", path])
    if found.returncode == 2 and not found.stderr:
        return ""
    return found.stdout.partition(": ")[2].strip() or found.stderr.strip() or "unclear contents"
