"""Where an image lies on a disk of a machine that is off, to break it there."""

import os
from pathlib import Path

from format import PAGE_SIZE
from format.first_page import MARK_OFFSET
from format.layout import MARK_SIZE
from format.mark import Mark, MarkState
from format.reader import ImageReader
from store.header import read_header
from tests.sources import opened

PARTITION_START = 1 << 20


def slice_of(disk: Path, folder: Path, start: int = 0) -> Path:
    """Copy what follows byte `start` of a disk to a file: the partition without the table."""
    target = folder / "partition.img"
    with disk.open("rb") as source, target.open("wb") as out:
        source.seek(start)
        os.truncate(target, disk.stat().st_size - start)
        at = 0
        while block := source.read(1 << 20):
            if block.strip(b"\0"):
                os.pwrite(out.fileno(), block, at)
            at += len(block)
    return target


def mark_on(store: Path) -> Mark | None:
    """Return the mark on the disk of a machine that is off."""
    with opened(store) as fd:
        return read_header(fd, str(store)).mark()


def is_marked(store: Path) -> bool:
    """Return whether the store's first page shows a complete image."""
    mark = mark_on(store)
    return mark is not None and mark.state == MarkState.COMPLETE


def has_mark_bytes(store: Path) -> bool:
    """Return whether there is anything where a mark goes, visible or not."""
    with store.open("rb") as file:
        return any(file.read(PAGE_SIZE)[MARK_OFFSET : MARK_OFFSET + MARK_SIZE])


def put_state(disk: Path, state: MarkState, *, loads: int, attempts: int) -> None:
    """Change the mark in the partition as a resumer would that came so far."""
    with opened(disk) as fd:
        header = read_header(fd, str(disk), PARTITION_START // PAGE_SIZE)
        mark = header.mark()
        assert mark is not None
        header.set_mark(mark._replace(state=state, loads=loads, attempts=attempts))


def places(store: Path, chunk: int) -> list[int]:
    """Return the pages, in the order of the image, of chunk `chunk` and all that follows."""
    with opened(store) as fd:
        header = read_header(fd, str(store))
        mark = header.mark()
        assert mark
        source = header.source(mark)
        image = ImageReader(source)
        pages = [page for start, count in source.extents for page in range(start, start + count)]
        return pages[image.index.offsets[chunk] // PAGE_SIZE :]


def flip_bit(disk: Path, offset: int) -> None:
    """Flip one bit of the byte at `offset`."""
    with disk.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x04]))
