"""Codecs and threads: every codec comes back, errors in their place, nothing left behind."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from time import sleep

import pytest

from errors import DamagedError
from format import codec, layout, pipeline
from format.chunks import Decoded, Encoder, decode
from format.pipeline import DEPTH, PageBuffer, in_order
from format.reader import ImageReader
from format.writer import ImageWriter, new_buffers
from tests.forge import PAGE
from tests.sources import MemorySink, MemorySource, read_image, reader_of, superblock, write_image
from tests.vectors.images import noise

SEED = 0x1234
STREAMS = {
    "zeros": bytes(8 * PAGE),
    "ones": b"\xff" * 8 * PAGE,
    "text": b"all work and no play makes Jack a dull boy. " * 700,
    "noise": noise(8 * PAGE),
    "one byte": b"x",
    "nearly zeros": bytes(8 * PAGE - 1) + b"\1",
    "a one first": b"\1" + bytes(8 * PAGE - 1),
}
CODEC_OF_TEXT = {"lz4": codec.LZ4, "lz4hc": codec.LZ4, "zstd": codec.ZSTD, "none": codec.NONE}


def encoded(raw: bytes, name: str = "lz4") -> tuple[bytes, int]:
    """Return the record of chunk 3 and its checksum."""
    encoder = Encoder(8 * PAGE, name)
    encoder.raw.view[: len(raw)] = raw
    chunk = encoder.encode(len(raw), 3, SEED)
    return b"".join(bytes(piece) for piece in chunk.pieces), chunk.checksum


def decoded(record: bytes | bytearray, checksum: int, size: int) -> Decoded:
    room = PageBuffer(8 * PAGE)
    return decode(memoryview(bytearray(record)), 3, size, checksum, SEED, room)


@pytest.mark.parametrize("name", codec.NAMES)
@pytest.mark.parametrize("raw", STREAMS.values(), ids=STREAMS)
def test_each_codec_comes_back(name: str, raw: bytes) -> None:
    record, checksum = encoded(raw, name)
    assert decoded(record, checksum, len(raw)).view == raw
    assert len(record) <= layout.CHUNK_HEADER_SIZE + len(raw)
    for at in range(0, len(record), 1 + len(record) // 50):
        damaged = bytearray(record)
        damaged[at] ^= 4
        with pytest.raises(DamagedError):
            decoded(damaged, checksum, len(raw))


@pytest.mark.parametrize("name", codec.NAMES)
def test_codec_is_the_one_that_was_asked_for(name: str) -> None:
    codecs = {what: encoded(raw, name)[0][4] for what, raw in STREAMS.items()}
    assert codecs.pop("text") == CODEC_OF_TEXT[name]
    assert codecs.pop("noise") == codec.NONE
    assert codecs.pop("zeros") == codecs.pop("ones") == codecs.pop("one byte") == codec.FILL
    assert set(codecs.values()) == {CODEC_OF_TEXT[name]}


def test_zeros_take_one_byte() -> None:
    assert len(encoded(bytes(8 * PAGE))[0]) == layout.CHUNK_HEADER_SIZE + 1


def test_pages_of_what_was_decoded() -> None:
    """From memory that is cut already, and from the record where it is stored as it is."""
    for raw in (STREAMS["zeros"], STREAMS["noise"][: 5 * PAGE]):
        pages = decoded(*encoded(raw), len(raw)).pages
        assert [len(page) for page in pages] == [PAGE] * (len(raw) // PAGE)
        assert b"".join(pages) == raw


@pytest.mark.parametrize("name", codec.NAMES)
def test_images_of_each_codec(name: str) -> None:
    stream = b"".join(STREAMS[what] for what in ("zeros", "noise", "ones")) + b"ab" * 6 * PAGE
    assert read_image(write_image(reader_of(stream), 4 * PAGE, codec=name)) == stream


def test_damaged_zeros_are_refused() -> None:
    """No byte of a run decides about a page unless its checksum is right."""
    image = bytearray(write_image(reader_of(bytes(8 * PAGE)), 4 * PAGE))
    offset = ImageReader(MemorySource(bytes(image))).index.offsets[1]
    image[offset + layout.CHUNK_HEADER_SIZE] = 1
    with pytest.raises(DamagedError, match="chunk 1 has a wrong checksum"):
        read_image(bytes(image))


def test_memory_does_not_grow_with_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """All buffers are there before the first chunk, and none comes with a later one."""
    buffers = new_buffers(PAGE)
    sink = MemorySink()
    writer = ImageWriter(sink, superblock(PAGE), buffers)

    def none(*_: object) -> None:
        raise AssertionError("a buffer that was not there before")

    monkeypatch.setattr(PageBuffer, "__init__", none)
    stream = noise(50 * PAGE)
    writer.write_stream(reader_of(stream), lambda _done: None)
    writer.finish()
    monkeypatch.undo()
    assert read_image(bytes(sink.data)) == stream


class StoppedError(Exception):
    """What a job of these tests raises."""


def jobs(total: int, bad: int, begun: list[int]) -> Iterator[Callable[[], int]]:
    def run(number: int) -> int:
        begun.append(number)
        if number == bad:
            raise StoppedError
        sleep(0.001)
        return number

    return (partial(run, number) for number in range(total))


@pytest.mark.parametrize("bad", [0, 1, DEPTH, 29])
def test_error_comes_in_its_place(bad: int) -> None:
    seen: list[int] = []
    begun: list[int] = []
    before = threading.active_count()
    with pytest.raises(StoppedError):
        seen.extend(in_order(jobs(30, bad, begun)))
    assert begun[-1] < bad + DEPTH
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_any_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one processor there is no thread but the caller's."""
    monkeypatch.setattr(pipeline, "THREADS", threads)
    before = threading.active_count()
    begun: list[int] = []
    most = 0
    for number, result in enumerate(in_order(jobs(30, -1, begun))):
        assert number == result
        most = max(most, threading.active_count() - before)
    assert (sorted(begun), most) == (list(range(30)), threads - 1)


def test_closing_in_the_middle_leaves_no_thread() -> None:
    before = threading.active_count()
    begun: list[int] = []
    results = in_order(jobs(30, -1, begun))
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before
    count = len(begun)
    sleep(0.02)
    assert count == len(begun) <= DEPTH
