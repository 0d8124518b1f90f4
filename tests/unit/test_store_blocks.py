"""An image over scattered pages of a device: written, mapped, read back."""

import errno
import os
import threading
from array import array
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import AbortedError, DamagedError, IncompleteError, NoSpaceError, UnreadableError
from format.mark import Extents, Mark, MarkState, build_map, read_map
from format.reader import ImageReader, read_at
from store import blocks
from store.blocks import BlockSink, BlockSource
from store.device import BlockStore
from store.header import read_header
from tests.forge import PAGE, UUID_A, header_page
from tests.sources import image_to, read_file
from tests.tools import failing
from tests.vectors.images import noise

PAGES = 2048


class Scattered(BlockStore):
    """A store on a file that gives every third page, from the end of the device backwards."""

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(fd, name, read_header(fd, name))
        self._free = iter(range(PAGES - 1, 0, -3))
        self.room = PAGES // 3 * PAGE

    def attach(self, snapshot: object) -> None:
        """Nothing to attach to."""

    def allocate(self, pages: int) -> Extents:
        runs = Extents()
        for _ in range(pages):
            page = next(self._free, None)
            if page is None:
                raise OSError(errno.ENOSPC, "No space left on device")
            runs.add(page)
        return runs

    def get_ahead(self, _size: int) -> None:
        raise AssertionError("nothing is got ahead here")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scattered]:
    monkeypatch.setattr(blocks, "WRITE_SIZE", 16 * PAGE)
    path = tmp_path / "device"
    path.write_bytes(header_page(PAGES) + b"\xdb" * ((PAGES - 1) * PAGE))
    with Scattered(os.open(path, os.O_RDWR), str(path)) as made:
        yield made


def write(store: Scattered, pieces: list[bytes]) -> BlockSink:
    with closing(store.sink()) as sink:
        for piece in pieces:
            sink.write([piece])
        sink.finish(UUID_A, sum(map(len, pieces)))
    return sink


def source_of(store: Scattered, extents: Extents, size: int) -> BlockSource:
    claim = Mark(MarkState.COMPLETE, UUID_A, size, 1, len(extents), 0)
    return BlockSource(store.fd, store.name, extents, claim)


@pytest.mark.parametrize("size", [1, PAGE, PAGE + 1, 16 * PAGE, 33 * PAGE - 1, 100 * PAGE + 7])
def test_what_was_written_is_read(store: Scattered, size: int) -> None:
    data = noise(size)
    sink = write(store, [data[: size // 3], b"", data[size // 3 :]])
    assert sum(sink.extents.counts) == -(-size // PAGE)
    assert bytes(read_at(source_of(store, sink.extents, size), 0, size)) == data
    last = sink.extents.starts[-1] + sink.extents.counts[-1] - 1
    end = os.pread(store.fd, PAGE, last * PAGE)
    assert end[(size - 1) % PAGE + 1 :] == bytes(PAGE - 1 - (size - 1) % PAGE)


def test_any_part_can_be_read(store: Scattered) -> None:
    """Extents of several pages each, out of order; parts that begin and end anywhere."""
    data, extents = noise(40 * PAGE), Extents()
    for start, count in ((900, 3), (100, 20), (50, 1), (500, 16)):
        part = data[sum(extents.counts) * PAGE :][: count * PAGE]
        os.pwrite(store.fd, part, start * PAGE)
        extents.add(start, count)
    source = source_of(store, extents, len(data))

    @settings(max_examples=400, derandomize=True, deadline=None, database=None)
    @given(st.integers(0, len(data)), st.integers(0, len(data)))
    def check(one: int, other: int) -> None:
        start, end = sorted((one, other))
        assert bytes(read_at(source, start, end - start)) == data[start:end]

    check()
    for offset, size in ((0, len(data) + 1), (len(data), 1), (-1, 1), (1 << 62, 1)):
        with pytest.raises(IncompleteError, match="ends before byte"):
            read_at(source, offset, size)


def test_short_reads_and_writes_go_on(store: Scattered, monkeypatch: pytest.MonkeyPatch) -> None:
    data, preadv, pwritev = noise(10 * PAGE), os.preadv, os.pwritev
    monkeypatch.setattr(os, "preadv", lambda fd, to, at: preadv(fd, [to[0][: 3 * 512]], at))
    monkeypatch.setattr(os, "pwritev", lambda fd, of, at: pwritev(fd, [of[0][: 5 * 512]], at))
    extents = write(store, [data]).extents
    assert bytes(read_at(source_of(store, extents, len(data)), 0, len(data))) == data


def test_adjacent_pages_are_one_extent() -> None:
    extents = Extents()
    for page in (5, 6, 7, 9, 8):
        extents.add(page)
    assert list(extents) == [(5, 3), (9, 1), (8, 1)]


def test_full_device(store: Scattered) -> None:
    after = r"no room left on .* after 2 MiB of the image"
    with pytest.raises(NoSpaceError, match=after) as caught:
        write(store, [noise(4 << 20)])
    assert "--image-size" in caught.value.hint


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("nth", [1, 2, 5, 7])
def test_error_of_any_write_ends_the_image(
    store: Scattered, monkeypatch: pytest.MonkeyPatch, nth: int, number: int
) -> None:
    """Also of the last ones, which nothing but finish waits for; no later write follows it."""
    calls: list[int] = []

    def fail(_fd: int, of: list[memoryview], at: int) -> int:
        calls.append(at)
        if len(calls) >= 16 * nth:
            raise OSError(number, os.strerror(number))
        return len(of[0])

    monkeypatch.setattr(os, "pwritev", fail)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    sink = store.sink()
    with pytest.raises(UnreadableError, match=r"^cannot write .* at byte \d+: "):
        image_to(sink, noise(110 * PAGE))
    assert not synced
    assert len(calls) <= 16 * nth + blocks.WRITES


def test_no_room_in_the_middle_leaves_no_thread(store: Scattered) -> None:
    sink = store.sink()
    with pytest.raises(NoSpaceError, match=r"after 2 MiB"):
        image_to(sink, noise(4 << 20))


def test_stop_in_the_middle_leaves_no_thread(store: Scattered) -> None:
    def progress(done: int) -> None:
        if done >= 40 * PAGE:
            raise AbortedError("stopped")

    sink = store.sink()
    with pytest.raises(AbortedError):
        image_to(sink, noise(1 << 20), progress)
    assert sum(sink.extents.counts) < 100


def test_writes_go_on_while_the_next_is_filled(
    store: Scattered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many large writes may be under way or waiting; the next waits until one has ended."""
    go, pwritev = threading.Semaphore(0), os.pwritev

    def slowly(fd: int, of: list[memoryview], at: int) -> int:
        go.acquire()
        return pwritev(fd, of, at)

    monkeypatch.setattr(os, "pwritev", slowly)
    sink = store.sink()
    data = noise(16 * PAGE * blocks.WRITES)
    with closing(sink):
        sink.write([data[: -PAGE * 2]])
        last = threading.Thread(target=sink.write, args=([data[-PAGE * 2 :]],))
        last.start()
        try:
            last.join(0.2)
            assert last.is_alive()
        finally:
            go.release(1000)
            last.join()
        sink.finish(UUID_A, len(data))
    assert bytes(read_at(source_of(store, sink.extents, len(data)), 0, len(data))) == data


def test_other_errors_of_the_allocation_say_what_they_are(store: Scattered) -> None:
    broken = failing(OSError(errno.EPERM, "Operation not permitted"))
    said = r"^cannot get room on .*device: operation not permitted$"
    with (
        closing(BlockSink(store.fd, store.name, 0, broken)) as sink,
        pytest.raises(UnreadableError, match=said) as caught,
    ):
        sink.allocate(1)
    assert isinstance(caught.value.__cause__, PermissionError)


@pytest.mark.parametrize("call", ["preadv", "pwritev", "fsync"])
def test_errors_of_the_device_have_a_place(
    store: Scattered, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    extents = write(store, [bytes(PAGE)]).extents

    monkeypatch.setattr(os, call, failing(OSError(errno.EIO, "Input/output error")))
    place = "" if call == "fsync" else r" at byte \d+"
    verb = {"preadv": "read", "pwritev": "write", "fsync": "sync"}[call]
    source = source_of(store, extents, PAGE)
    use = partial(read_at, source, 0, PAGE) if call == "preadv" else partial(write, store, [b"x"])
    with pytest.raises(UnreadableError, match=f"^cannot {verb} .*{place}: input/output error$"):
        use()


def test_committed_image_is_found_and_sound(store: Scattered) -> None:
    """More than 253 extents, so that the map takes two pages."""
    stream = noise(300 * PAGE)
    store.slot.set_mark(image_to(store.sink(), stream))
    found = read_header(store.fd, store.name).mark()
    assert found is not None
    assert found.extent_count > 253
    assert read_file(Path(store.name)) == stream
    image = ImageReader(read_header(store.fd, store.name).image())
    assert (image.superblock.image_uuid, image.stream_bytes) == (UUID_A, len(stream))


def test_pieces_beyond_the_limit_are_no_space(
    store: Scattered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "MAX_EXTENTS", 10)
    with pytest.raises(NoSpaceError, match="is in 11 pieces, more than can be recorded"):
        image_to(store.sink(), noise(9 * PAGE))
    assert read_header(store.fd, store.name).mark() is None


def map_of(extents: Extents, pages: list[int]) -> dict[int, bytes]:
    return dict(zip(pages, build_map(extents, UUID_A, pages), strict=True))


def test_map_of_several_pages() -> None:
    extents = Extents()
    for page in range(10, 1610, 2):
        extents.add(page)
    written = map_of(extents, [7, 3, 9, 5])
    claim = Mark(MarkState.COMPLETE, UUID_A, 800 * PAGE, 7, 800, 0)
    assert list(read_map(claim, written.__getitem__, 2000)) == list(extents)
    for swapped in ({3: written[9], 9: written[3]}, {9: written[3]}, {5: written[7]}):
        with pytest.raises(DamagedError, match="of the extent map"):
            read_map(claim, (written | swapped).__getitem__, 2000)


def test_map_that_goes_round_ends() -> None:
    """Each page has its number: one cannot stand for the next."""
    extents = Extents()
    for page in range(10, 10 + 2 * 253, 2):
        extents.add(page)
    endless = map_of(extents, [7])[7]
    claim = Mark(MarkState.COMPLETE, UUID_A, PAGE, 7, 1 << 18, 0)
    with pytest.raises(DamagedError, match="lies on page 0, which is taken"):
        read_map(claim, lambda _page: endless, 2000)


def test_extents_are_columns() -> None:
    """No object for each of a million extents."""
    assert isinstance(Extents().starts, array)
    assert Extents().starts.itemsize == 8
