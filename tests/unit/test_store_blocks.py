"""An image over scattered pages of a device: written, mapped, read back."""

import errno
import itertools
import os
import threading
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import AbortedError, DamagedError, IncompleteError, NoSpaceError, UnreadableError
from format.mark import Extents, Mark, MarkState, build_map, read_map
from format.pipeline import THREADS, depth
from format.reader import ImageReader, read_at
from store import blocks
from store.blocks import BlockSink, BlockSource
from store.device import BlockStore
from store.header import read_header
from tests.forge import PAGE, UUID_A, header_page
from tests.sources import image_to, read_file
from tests.tools import failing
from tests.unit.pace import AT_ANY_PACE
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

    def begin_ahead(self, _size: int) -> None:
        raise AssertionError("nothing is got ahead here")

    def end_ahead(self) -> None:
        raise AssertionError("nothing is got ahead here")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Scattered]:
    path = tmp_path / "device"
    path.write_bytes(header_page(PAGES) + b"\xdb" * ((PAGES - 1) * PAGE))
    with Scattered(os.open(path, os.O_RDWR), str(path)) as made:
        yield made


def write(store: Scattered, pieces: list[bytes]) -> BlockSink:
    with closing(store.sink()) as sink:
        for piece in pieces:
            sink.write(memoryview(piece))
        sink.finish(UUID_A, sum(map(len, pieces)))
    return sink


def source_of(store: Scattered, extents: Extents, size: int) -> BlockSource:
    claim = Mark(MarkState.COMPLETE, UUID_A, size, 1, len(extents), 0)
    return BlockSource(store.fd, store.name, extents, claim)


@pytest.mark.parametrize("pages", [1, 2, 16, 33, 100])
def test_what_was_written_is_read(store: Scattered, pages: int) -> None:
    data, cut = noise(pages * PAGE), pages // 3 * PAGE
    sink = write(store, [data[:cut], data[cut:]])
    assert sum(sink.extents.counts) == pages
    assert bytes(read_at(source_of(store, sink.extents, len(data)), 0, len(data))) == data


def test_any_part_can_be_read(store: Scattered) -> None:
    """Extents of several pages each, out of order; parts that begin and end anywhere."""
    data, extents = noise(40 * PAGE), Extents()
    for start, count in ((900, 3), (100, 20), (50, 1), (500, 16)):
        part = data[sum(extents.counts) * PAGE :][: count * PAGE]
        os.pwrite(store.fd, part, start * PAGE)
        extents.add(start, count)
    source = source_of(store, extents, len(data))

    @settings(AT_ANY_PACE, max_examples=400, derandomize=True, database=None)
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
        write(store, [bytes(16 * PAGE)] * 64)
    assert "--image-size" in caught.value.hint


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("first", [1, 2, 60, 127])
def test_error_of_any_write_ends_the_image(
    store: Scattered, monkeypatch: pytest.MonkeyPatch, first: int, number: int
) -> None:
    """Also of the last ones, which nothing but finish waits for; few writes follow it."""
    calls = itertools.count(1)

    def fail(_fd: int, of: list[memoryview], _at: int) -> int:
        if next(calls) >= first:
            raise OSError(number, os.strerror(number))
        return len(of[0])

    monkeypatch.setattr(os, "pwritev", fail)
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with pytest.raises(UnreadableError, match=r"^cannot write .* at byte \d+: "):
        image_to(store.sink(), noise(110 * PAGE))
    assert not synced
    assert next(calls) <= first + depth(THREADS) + blocks.WRITES, (
        "one for each chunk that was there"
    )


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


class Gate:
    """Stands for pwritev(2), which waits for `go` and then may fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.error = 0
        self.writes = 0
        self._pwritev = os.pwritev
        monkeypatch.setattr(os, "pwritev", self._write)

    def _write(self, fd: int, of: list[memoryview], at: int) -> int:
        self.begun.release()
        self.go.acquire(timeout=30)
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        self.writes += 1
        return self._pwritev(fd, of, at)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate(monkeypatch)
    yield made
    made.go.release(1000)


def test_several_writes_are_under_way(store: Scattered, gate: Gate) -> None:
    """None of them waits for another, and no call waits for a write."""
    pieces = [noise(PAGE * number) for number in range(1, 2 * blocks.WRITES)]
    with closing(store.sink()) as sink:
        waits = [sink.write(memoryview(piece)) for piece in pieces]
        for _ in range(blocks.WRITES):
            assert gate.begun.acquire(timeout=10)
        assert not gate.begun.acquire(timeout=0.1)
        gate.go.release(1000)
        for wait in waits:
            wait()
        sink.finish(UUID_A, sum(map(len, pieces)))
    data = b"".join(pieces)
    assert bytes(read_at(source_of(store, sink.extents, len(data)), 0, len(data))) == data


def test_nothing_is_synced_while_a_write_is_under_way(
    store: Scattered, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda _fd: synced.append(gate.writes))
    with closing(store.sink()) as sink:
        for _ in range(2 * blocks.WRITES):
            sink.write(memoryview(bytes(PAGE)))
        threading.Timer(0.05, gate.go.release, (1000,)).start()
        sink.finish(UUID_A, 2 * blocks.WRITES * PAGE)
    assert synced == [2 * blocks.WRITES, 2 * blocks.WRITES + 1], "the image, then its map"


def test_memory_may_change_once_it_was_waited_for(store: Scattered, gate: Gate) -> None:
    data = bytearray(noise(PAGE))
    with closing(store.sink()) as sink:
        wait = sink.write(memoryview(data))
        assert gate.begun.acquire(timeout=10)
        threading.Timer(0.05, gate.go.release, (1000,)).start()
        wait()
        assert gate.writes == 1
        data[:] = bytes(PAGE)
        sink.finish(UUID_A, PAGE)
    assert bytes(read_at(source_of(store, sink.extents, PAGE), 0, PAGE)) == noise(PAGE)


@pytest.mark.parametrize("where", ["the next write", "the wait", "finish"])
def test_error_of_an_earlier_write_comes_out(store: Scattered, gate: Gate, where: str) -> None:
    gate.error = errno.EIO
    page = memoryview(bytes(PAGE))
    with closing(store.sink()) as sink:
        wait = sink.write(page)
        gate.go.release(1000)
        with suppress(UnreadableError):
            wait()
        uses: dict[str, Callable[[], object]] = {
            "the next write": partial(sink.write, page),
            "the wait": wait,
            "finish": partial(sink.finish, UUID_A, PAGE),
        }
        with pytest.raises(UnreadableError, match=r"^cannot write .* at byte \d+: input/output"):
            uses[where]()


def test_what_has_not_begun_is_dropped_by_close(store: Scattered, gate: Gate) -> None:
    sink = store.sink()
    for _ in range(3 * blocks.WRITES):
        sink.write(memoryview(bytes(PAGE)))
    for _ in range(blocks.WRITES):
        assert gate.begun.acquire(timeout=10)
    threading.Timer(0.05, gate.go.release, (1000,)).start()
    sink.close()
    assert gate.writes == blocks.WRITES


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
    page = bytes(PAGE)
    use = partial(read_at, source, 0, PAGE) if call == "preadv" else partial(write, store, [page])
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
    with pytest.raises(NoSpaceError, match="is in 14 pieces, more than can be recorded"):
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
