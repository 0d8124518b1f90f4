"""Writer and reader: streams of every shape, codecs, threads, and the checksum both rely on."""

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from time import sleep

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import DamagedError, TorporError
from format import checksum, codec, layout, pipeline, whole_pages
from format.chunks import Decoded, Decoder, Encoder, Place
from format.pipeline import THREADS, PageBuffer, depth, in_order
from format.reader import ImageReader
from format.records import MAX_CHUNKS
from format.writer import ImageWriter, new_encoders
from tests import forge
from tests.forge import PAGE
from tests.sources import MemorySink, MemorySource, read_image, reader_of, superblock, write_image
from tests.tools import failing
from tests.unit.pace import AT_ANY_PACE
from tests.vectors import images


def stream_of(pages: int) -> bytes:
    """Return pages of which every second one does not compress."""
    blocks = images.noise(PAGE * pages)
    return b"".join(
        blocks[at : at + PAGE] if (at // PAGE) % 2 else blocks[at : at + 8] * (PAGE // 8)
        for at in range(0, len(blocks), PAGE)
    )


@pytest.mark.parametrize("pages", [0, 1, 2, 7, 8, 9, 16, 100])
@pytest.mark.parametrize("most", [1 << 30, 5 * PAGE, 1000])
def test_stream_comes_back(pages: int, most: int) -> None:
    """Also from something that gives fewer bytes than asked for, as a pipe does."""
    stream = stream_of(pages)
    image = write_image(reader_of(stream, most), 8 * PAGE)
    reader = ImageReader(MemorySource(image))
    assert reader.stream_bytes == len(stream)
    assert reader.stored_bytes == len(image)
    assert len(reader.index.offsets) == -(-pages // 8)
    assert read_image(image) == stream


def test_writer_makes_what_the_specification_says() -> None:
    """The same image from docs/FORMAT.md alone, where no compressor decides about bytes."""
    noise = images.noise(5 * PAGE)
    pieces = (
        forge.chunk(0, noise[: 2 * PAGE], 2 * PAGE),
        forge.chunk(1, noise[2 * PAGE : 4 * PAGE], 2 * PAGE),
        forge.chunk(2, noise[4 * PAGE :], PAGE),
    )
    expected = forge.Parts(forge.Super(chunk_size=2 * PAGE), pieces).build()
    assert write_image(reader_of(noise), 2 * PAGE) == expected
    empty = forge.Parts(forge.Super(), ()).build()
    assert write_image(reader_of(b""), PAGE) == empty


def test_stream_that_ends_in_a_page_is_refused() -> None:
    with pytest.raises(DamagedError, match="ends 1 bytes into a page"):
        write_image(reader_of(bytes(9 * PAGE + 1)), 4 * PAGE)
    with pytest.raises(DamagedError, match="ends 4095 bytes into a page"):
        write_image(reader_of(bytes(PAGE - 1)), 4 * PAGE)


def test_stream_longer_than_an_image_may_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_CHUNKS == 1 << 20
    monkeypatch.setattr("format.records.MAX_CHUNKS", 3)
    assert len(write_image(reader_of(bytes(3 * PAGE)), PAGE)) > PAGE
    with pytest.raises(TorporError, match="longer than an image may be, 12288 bytes"):
        write_image(reader_of(bytes(4 * PAGE)), PAGE)


def test_error_of_the_stream_comes_out() -> None:
    with pytest.raises(OSError, match="the disk is gone"):
        write_image(failing(OSError(5, "the disk is gone")), PAGE)


def test_many_chunks() -> None:
    pieces = tuple(images.run(number, b"m") for number in range(16_384))
    image = replace(images.SMALL, pieces=pieces).build()
    reader = ImageReader(MemorySource(image))
    assert len(reader.index.offsets) == 16_384
    assert reader.stream_bytes == 16_384 * PAGE
    assert next(iter(reader.stream())) == b"m" * PAGE


def test_good_chunks_before_a_bad_one_are_seen_and_none_after() -> None:
    hit = images.flipped(images.BASE.build(), images.BASE.offsets()[1] + 100)
    stream = ImageReader(MemorySource(hit)).stream()
    assert bytes(next(stream)) == b"A" * PAGE
    with pytest.raises(DamagedError, match="chunk 1 has a wrong checksum"):
        next(stream)
    assert not list(stream)


DEPTH = depth(THREADS)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_jobs_are_drawn_when_their_buffers_are_free(threads: int) -> None:
    """Job n is not drawn before the result of job n - depth(threads) was used."""
    used: list[int] = []
    drawn_early: list[int] = []

    def jobs() -> Iterator[Callable[[], int]]:
        for number in range(40):
            if number >= depth(threads) and number - depth(threads) not in used:
                drawn_early.append(number)
            yield partial(int, number)

    for result in in_order(jobs(), threads):
        used.append(result)  # noqa: PERF402 - each is used before the next is asked for
    assert used == list(range(40))
    assert not drawn_early


@settings(AT_ANY_PACE, max_examples=500, derandomize=True, database=None)
@given(st.binary(max_size=3000), st.integers(0, 3000))
def test_checksum_is_the_defined_one(data: bytes, cut: int) -> None:
    defined = checksum.definition(data)
    assert checksum.crc32c(data) == defined
    assert checksum.crc32c(memoryview(data)[cut:], checksum.crc32c(data[:cut])) == defined


def test_check_value() -> None:
    """RFC 3720 has it for 32 zero bytes: aa 36 91 8a; the catalogues for these digits."""
    assert checksum.crc32c(b"123456789") == 0xE3069283
    assert checksum.definition(b"123456789") == 0xE3069283
    assert checksum.crc32c(bytes(32)).to_bytes(4, "little") == bytes.fromhex("aa36918a")
    checksum.self_test()


def test_self_test_finds_a_wrong_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum, "_hardware", lambda data, crc: hash((bytes(data), crc)))
    with pytest.raises(TorporError, match="computes CRC-32C wrongly"):
        checksum.self_test()


def test_reading_without_the_index() -> None:
    """Docs: walk the headers from the section's to TIDX, and find all of the stream."""
    image = images.BASE.build()
    at, walked = 2 * PAGE, 0
    while image[at : at + 4] == b"TCHK":
        assert int.from_bytes(image[at + 8 : at + 16], "little") == walked
        stored = int.from_bytes(image[at + 20 : at + 24], "little")
        at += -(-(48 + stored) // PAGE) * PAGE
        walked += 1
    assert image[at : at + 4] == b"TIDX"
    assert walked == 3
    assert read_image(image) == images.BASE_STREAM


SEED = 0x1234
STREAMS = {
    "zeros": bytes(8 * PAGE),
    "ones": b"\xff" * 8 * PAGE,
    "text": b"all work and no play makes Jack a dull boy. " * 700,
    "noise": images.noise(8 * PAGE),
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
    return bytes(chunk.record), chunk.checksum


def decoded(record: bytes | bytearray, checksum: int, size: int) -> Decoded:
    decoder = Decoder.of_size(8 * PAGE)
    decoder.record.whole[: len(record)] = record
    return decoder.decode(len(record), Place(3, size, checksum), SEED)


@pytest.mark.parametrize("name", codec.NAMES)
@pytest.mark.parametrize("raw", STREAMS.values(), ids=STREAMS)
def test_each_codec_comes_back(name: str, raw: bytes) -> None:
    record, checksum = encoded(raw, name)
    assert decoded(record, checksum, len(raw)).view == raw
    assert len(record) == whole_pages(len(record)) <= whole_pages(len(raw)) + PAGE
    assert record[:4] == layout.CHUNK_MAGIC
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
    assert codecs.pop("zeros") == codecs.pop("ones") == codec.FILL
    assert codecs.pop("one byte") == codec.NONE
    assert set(codecs.values()) == {CODEC_OF_TEXT[name]}


@pytest.mark.parametrize("name", ["lz4", "lz4hc", "zstd"])
def test_what_gains_no_page_is_stored(name: str) -> None:
    """A header of 48 bytes and 4048 more are a page."""
    text = STREAMS["text"]
    for size, expected in ((PAGE - 48, codec.NONE), (PAGE - 47, CODEC_OF_TEXT[name])):
        assert encoded(text[:size], name)[0][4] == expected
        assert encoded(bytes(size), name)[0][4] == (codec.FILL if expected else codec.NONE)
    noise = STREAMS["noise"]
    for size, expected in ((20, codec.NONE), (120, CODEC_OF_TEXT[name])):
        assert encoded(noise[: PAGE - size] + bytes(size), name)[0][4] == expected


def test_pages_of_what_was_decoded() -> None:
    """From memory that is cut already, and from the record where it is stored as it is."""
    for raw in (STREAMS["zeros"], STREAMS["noise"][: 5 * PAGE]):
        pages = decoded(*encoded(raw), len(raw)).pages
        assert [len(page) for page in pages] == [PAGE] * (len(raw) // PAGE)
        assert b"".join(pages) == raw


def test_memory_does_not_grow_with_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """All buffers are there before the first chunk, and none comes with a later one."""
    buffers = new_encoders(PAGE)
    sink = MemorySink()
    writer = ImageWriter(sink, superblock(PAGE), buffers)
    fail = failing(AssertionError("a buffer that was not there before"))
    monkeypatch.setattr(PageBuffer, "__init__", fail)
    stream = images.noise(50 * PAGE)
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
    with pytest.raises(StoppedError):
        seen.extend(in_order(jobs(30, bad, begun)))
    assert begun[-1] < bad + DEPTH


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_any_number_of_threads(threads: int) -> None:
    """With one there is none but the caller's."""
    before = threading.active_count()
    begun: list[int] = []
    most = 0
    for number, result in enumerate(in_order(jobs(30, -1, begun), threads)):
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


@pytest.mark.parametrize("alone", [False, True])
def test_each_thread_has_a_processor_of_its_own_where_nothing_else_runs(
    monkeypatch: pytest.MonkeyPatch, *, alone: bool
) -> None:
    allowed = os.sched_getaffinity(0)
    processors = sorted(allowed)
    monkeypatch.setattr(pipeline, "THREADS", len(processors))
    seen: dict[int, set[int]] = {}
    all_of_them = threading.Barrier(len(processors), timeout=60)

    def job() -> None:
        all_of_them.wait()
        seen[threading.get_ident()] = os.sched_getaffinity(0)

    for _ in in_order([job] * len(processors), alone=alone):
        pass
    each = [{own} for own in processors] if alone else [allowed] * len(processors)
    assert sorted(map(sorted, seen.values())) == sorted(map(sorted, each))
    assert os.sched_getaffinity(0) == allowed
