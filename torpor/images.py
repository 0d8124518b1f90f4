"""verify, inspect, pack and unpack."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from errors import (
    DamagedError,
    NoImageError,
    TorporError,
    UnreadableError,
    UnsupportedError,
    cannot,
)
from format import PAGE_SIZE, checksum
from format.pipeline import CHUNK_SIZE, PageBuffer
from format.reader import ImageReader
from format.records import Superblock
from format.sections import TABLES
from format.sections.page_types import PageTypes
from format.sections.working_set import WorkingSet
from format.writer import ImageWriter, new_buffers
from linux.machine import machine_id
from store.file import FileSink, new_file
from store.identity import this_machine
from store.image import open_image
from torpor.output import say
from torpor.progress import progress
from torpor.replayed import counts, describe


def verify(arguments: argparse.Namespace) -> None:
    """Check every byte of the image. Raises the error that says what is wrong."""
    try:
        with _opened_image(arguments.image) as image:
            _check_stream(image)
            for table in TABLES:
                image.read(table)
    except TorporError as error:
        if arguments.json:
            report = {"path": arguments.image, "sound": False, "message": str(error)}
            _print_json(report | {"exit_code": error.exit_code})
        raise
    if arguments.json:
        sound = {"path": arguments.image, "sound": True, "message": "", "exit_code": 0}
        _print_json(sound | _facts(image))
    else:
        say(
            f"{arguments.image}: sound: {_mib(image.stream_bytes)} in {_mib(image.stored_bytes)}, "
            f"{len(image.index.offsets)} chunks, every byte checked"
        )


@contextmanager
def _opened_image(path: str) -> Iterator[ImageReader]:
    """Open the image; what is wrong with it is said with its name."""
    try:
        with open_image(path) as source:
            yield ImageReader(source)
    except (NoImageError, DamagedError, UnsupportedError) as error:
        if path in str(error):
            raise
        raise type(error)(f"{path}: {error}", error.hint) from error


def _check_stream(image: ImageReader) -> None:
    done = 0
    with progress("verifying", image.stream_bytes) as report:
        for raw in image.stream():
            done += len(raw)
            report(done)


def inspect(arguments: argparse.Namespace) -> None:
    """Say what the image is, from all but its stream, which is not read."""
    with _opened_image(arguments.image) as image:
        facts = {"path": arguments.image} | _facts(image)
        tables = {
            "page_types": _table(image, PageTypes),
            "working_set": _table(image, WorkingSet),
        }
    if arguments.json:
        _print_json(facts | {name: table.fields for name, table in tables.items()})
        return
    lines = facts | {name: table.words for name, table in tables.items() if table.words}
    width = max(map(len, lines))
    for name, value in lines.items():
        say(f"{name.replace('_', ' '):{width}}  {value}")


@dataclass(frozen=True, slots=True)
class _Table:
    """What a table holds, for inspect."""

    fields: dict[str, object] | None
    """None where the image has none."""
    words: str


def _table(image: ImageReader, kind: type[WorkingSet | PageTypes]) -> _Table:
    """Read a table; one that is damaged is said to be, and hides nothing else."""
    try:
        found = image.read(kind)
    except (DamagedError, UnsupportedError) as error:
        return _Table({"error": str(error)}, str(error))
    if found is None:
        return _Table(None, "")
    if isinstance(found, PageTypes):
        return _Table(dict(found.by_name()), _shares(found))
    return _Table(counts(found), describe(found))


def _shares(types: PageTypes) -> str:
    """Return the page types with their sizes, the largest first."""
    by_size = sorted(types.by_name().items(), key=lambda item: -item[1])
    return ", ".join(
        f"{name.replace('_', ' ')} {count * PAGE_SIZE >> 20} MiB ({count / types.total:.0%})"
        for name, count in by_size
        if count
    )


def _facts(image: ImageReader) -> dict[str, object]:
    superblock = image.superblock
    return {
        "image_uuid": str(superblock.image_uuid),
        "created": datetime.fromtimestamp(superblock.created_ns // 10**9, UTC).isoformat(),
        "host_name": superblock.identity.host_name,
        "kernel_release": superblock.identity.kernel_release,
        "kernel_version": superblock.identity.kernel_version,
        "machine": superblock.identity.machine,
        "ram_map_digest": superblock.identity.ram_map_digest.hex(),
        "chunk_size": superblock.chunk_size,
        "chunks": len(image.index.offsets),
        "stream_bytes": image.stream_bytes,
        "stored_bytes": image.stored_bytes,
    }


def pack(arguments: argparse.Namespace) -> None:
    """Make an image of a snapshot stream."""
    checksum.self_test()
    here = this_machine(machine_id())
    superblock = Superblock(uuid4(), time.time_ns(), CHUNK_SIZE, here, platform=False)
    with (
        _opened_stream(arguments.stream) as (fd, total),
        new_file(arguments.file) as out,
        progress("packing", total) as report,
    ):

        def read(buffer: PageBuffer, at: int) -> int:
            return _read_into(fd, arguments.stream, buffer.view[at:])

        sink = FileSink(out, arguments.file)
        writer = ImageWriter(sink, superblock, new_buffers(CHUNK_SIZE, arguments.codec))
        writer.write_stream(read, report)
        writer.finish()


@contextmanager
def _opened_stream(path: str) -> Iterator[tuple[int, int | None]]:
    """Open the stream to be packed; yield it with its size where that is known."""
    if path == "-":
        if sys.stdin.isatty():
            raise UnreadableError("a snapshot stream does not come from a terminal")
        yield sys.stdin.fileno(), None
        return
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise cannot("open", path, error) from error
    try:
        yield fd, os.fstat(fd).st_size or None
    finally:
        os.close(fd)


def _read_into(fd: int, name: str, room: memoryview) -> int:
    try:
        return os.readv(fd, [room])
    except OSError as error:
        raise cannot("read", name, error) from error


def unpack(arguments: argparse.Namespace) -> None:
    """Give the snapshot stream back, each chunk checked before it is written."""
    with _opened_image(arguments.file) as image:
        if arguments.stream == "-":
            _write_stream(image, _binary_stdout())
            return
        with new_file(arguments.stream) as out:
            _write_stream(image, FileSink(out, arguments.stream))


def _binary_stdout() -> FileSink:
    if sys.stdout.isatty():
        raise UnreadableError(
            "a snapshot stream is not for a terminal", "name a file, or pipe it to a program"
        )
    return FileSink(sys.stdout.fileno(), "the standard output")


def _write_stream(image: ImageReader, sink: FileSink) -> None:
    done = 0
    with progress("unpacking", image.stream_bytes) as report:
        for raw in image.stream():
            sink.write([raw])
            done += len(raw)
            report(done)


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def _print_json(value: dict[str, object]) -> None:
    say(json.dumps(value, indent=2))
