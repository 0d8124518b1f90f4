"""A preallocated file as a store: the image goes to the file's blocks, below its file system."""

import errno
import os
from collections.abc import Sequence
from contextlib import ExitStack

from errors import NoSpaceError, StoreRefusedError, cannot
from format import PAGE_SIZE
from format.mark import Extents
from linux.extents import FileExtent
from linux.open_file import OpenFile
from linux.root import HOST, Root
from store.device import SMALLEST_SIZE, OwnStore, open_device
from store.header import new_store_header, read_header
from store.place import Place, file_place, mount_of, own_extents, refuse_volatile

_FILE_SYSTEMS = ("ext4", "xfs")
"""Those that leave a file's blocks where they are, whatever happens to other files."""


class FileStore(OwnStore):
    """A file that mkstore made."""

    def __init__(self, path: str, place: Place) -> None:
        """Open what store.find has found. Raises StoreRefusedError if it has changed since."""
        with ExitStack() as on_error:
            file = on_error.enter_context(_open(path, os.O_RDONLY))
            extents = store_extents(file.fd, path)
            device = on_error.enter_context(open_device(place.device))
            header = read_header(device.fd, path, place.page)
            if not header.is_store:
                raise StoreRefusedError(f"{path} is no store any more")
            on_error.pop_all()
        super().__init__(device.fd, path, header, page_runs(extents, place.page))
        self._file = file

    def close(self) -> None:
        """See BlockStore."""
        self._file.close()
        super().close()

    def allocate(self, pages: int) -> Extents:
        """See Store. Nothing moves the file any more: the first call comes after the freeze."""
        if self.is_untouched:
            self._check_unmoved()
        return super().allocate(pages)

    def _check_unmoved(self) -> None:
        """Raise StoreRefusedError if the file was moved, cut or shared since it was opened."""
        now = own_extents(self._file.fd, self.name, sync=False)
        if page_runs(now, self.slot.page) != self.runs:
            raise StoreRefusedError(f"{self.name} was moved on its device just now: try again")


def store_extents(fd: int, path: str, root: Root = HOST) -> Sequence[FileExtent]:
    """Return the extents of a file that can be a store; the others raise StoreRefusedError."""
    check_file_system(fd, path, root)
    return own_extents(fd, path, root, sync=True)


def page_runs(extents: Sequence[FileExtent], page: int) -> Extents:
    """Return the whole pages of the extents, in the file's order, without the first one."""
    runs = Extents()
    for extent in extents:
        start = -(-extent.physical // PAGE_SIZE)
        end = (extent.physical + extent.length) // PAGE_SIZE
        if start == page:
            start += 1
        if end > start:
            runs.add(start, end - start)
    return runs


def make_file_store(path: str, size: int) -> Place:
    """Make a new file of `size` bytes an empty store; return its place.

    Raises StoreRefusedError if there is something already or the file system will not do,
    NoSpaceError, UnreadableError; there is no file then.
    """
    if size < SMALLEST_SIZE:
        raise StoreRefusedError(f"{size} bytes are too small for a store")
    with _open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL) as file, ExitStack() as on_error:
        on_error.callback(os.unlink, path)
        check_file_system(file.fd, path)
        _preallocate(file.fd, path, size - size % PAGE_SIZE)
        place = file_place(file.fd, path)
        refuse_volatile(place.device, path)
        with open_device(place.device) as device:
            new_store_header(device.fd, path, size // PAGE_SIZE, place.page)
        on_error.pop_all()
    return place


def check_file_system(fd: int, path: str, root: Root = HOST) -> None:
    """Raise StoreRefusedError unless a file on this file system may be a store."""
    kind = mount_of(fd, path, root).fs_type
    if kind not in _FILE_SYSTEMS:
        raise StoreRefusedError(
            f"{path} is on {kind}; a file can be a store on {' and '.join(_FILE_SYSTEMS)} only",
            "use a swap file there, or a device of its own",
        )


def _preallocate(fd: int, path: str, size: int) -> None:
    try:
        os.posix_fallocate(fd, 0, size)
        os.fsync(fd)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoSpaceError(f"no room for {size >> 20} MiB at {path}") from error
        raise cannot("write", path, error) from error


def _open(path: str, flags: int) -> OpenFile:
    try:
        return OpenFile(os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except FileExistsError:
        raise StoreRefusedError(f"{path} exists already: a store is a new file") from None
    except OSError as error:
        raise cannot("open", path, error) from error
