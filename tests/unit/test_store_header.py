"""The first page of a store, on a file that mkswap made, and every torn state of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from errors import DamagedError, NoImageError, StoreRefusedError, UnreadableError, UnsupportedError
from format.first_page import MARK_OFFSET
from format.mark import Mark, MarkState
from format.reader import ImageReader
from store import header
from store.blocks import write_pages
from store.header import StoreHeader, new_store_header, read_header
from store.image import open_image
from tests import forge
from tests.forge import PAGE
from tests.sources import opened, read_file
from tests.tools import failing_after
from tests.unit.conftest import Torpor
from tests.unit.fake_volumes import blkid
from tests.vectors import devices
from vm.host import run

UUID = "5a5a5a5a-1111-4222-8333-444444444444"
MARK = Mark(MarkState.COMPLETE, forge.UUID_A, len(devices.IMAGE), devices.MAP, len(devices.RUNS), 0)


@pytest.fixture
def swap(tmp_path: Path) -> Path:
    """A file that mkswap made, with the pages of an image and its map in it, but no mark."""
    path = tmp_path / "swap"
    path.write_bytes(bytes(64 * PAGE))
    path.chmod(0o600)
    run("mkswap", "--quiet", "--label", "sleep", "--uuid", UUID, path)
    with opened(path) as fd:
        data = devices.Device().build()
        for start, count in ((devices.MAP, 1), *devices.RUNS):
            os.pwrite(fd, data[start * PAGE : (start + count) * PAGE], start * PAGE)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with the pages of an image and its map, but an empty mark."""
    path = tmp_path / "store"
    path.write_bytes(devices.Device().build().ljust(64 * PAGE, b"\0"))
    with opened(path) as fd:
        new_store_header(fd, str(path), 64)
    return path


@pytest.fixture(params=["swap", "store"])
def either(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def header_of(fd: int) -> StoreHeader:
    return read_header(fd, "it")


def test_mark_makes_swap_a_suspended_one_with_the_same_names(swap: Path) -> None:
    before = blkid(swap)
    assert (before["TYPE"], before["UUID"], before["LABEL"]) == ("swap", UUID, "sleep")
    with opened(swap) as fd:
        header_of(fd).set_mark(MARK)
    after = blkid(swap)
    assert (after["TYPE"], after["UUID"], after["LABEL"]) == ("swsuspend", UUID, "sleep")
    assert read_file(swap) == devices.STREAM


def test_only_mark_and_signature_change(swap: Path) -> None:
    before = swap.read_bytes()
    with opened(swap) as fd:
        header_of(fd).set_mark(MARK)
    after = swap.read_bytes()
    changed = {at for at in range(len(before)) if before[at] != after[at]}
    mark = set(range(MARK_OFFSET, MARK_OFFSET + 256))
    assert changed <= mark | set(range(PAGE - 10, PAGE))
    assert changed & mark


def test_store_is_found_by_uuid_and_never_swap(store: Path) -> None:
    with opened(store) as fd:
        store_uuid = header_of(fd).uuid
    assert blkid(store)["TYPE"] == "swsuspend"
    assert blkid(store)["UUID"] == str(store_uuid)


def test_store_is_empty_again_after_clear(store: Path) -> None:
    before = store.read_bytes()
    with opened(store) as fd:
        header_of(fd).set_mark(MARK)
        assert read_file(store) == devices.STREAM
        assert header_of(fd).holds_image()
        header_of(fd).clear()
        assert not header_of(fd).holds_image()
    assert store.read_bytes() == before
    with pytest.raises(NoImageError, match="is empty"), open_image(str(store)):
        pass


class PowerLostError(Exception):
    pass


@contextmanager
def power_lost(after: int) -> Iterator[None]:
    """Lose the power at the write to the first page that comes after so many others."""
    write = failing_after(after, write_pages, PowerLostError())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(header, "write_pages", write)
        with pytest.raises(PowerLostError):
            yield


@pytest.mark.parametrize("writes", [0, 1])
def test_power_lost_while_marking_swap(swap: Path, writes: int) -> None:
    """Mark without signature: no image, swap as ever, markable, and clear restores the page."""
    before = swap.read_bytes()
    with opened(swap) as fd:
        with power_lost(writes):
            header_of(fd).set_mark(MARK)
        found = header_of(fd)
        assert (swap.read_bytes() == before) == (writes == 0)
        assert not found.holds_image()
        with pytest.raises(NoImageError, match="swap without an image"):
            read_header(fd, "it").image()
        found.check_markable()
        found.clear()
    assert swap.read_bytes() == before


@pytest.mark.parametrize("writes", [0, 1])
def test_power_lost_while_clearing_swap(swap: Path, writes: int) -> None:
    """The image is there whole, or it is gone and the swap can be used."""
    before = swap.read_bytes()
    with opened(swap) as fd:
        header_of(fd).set_mark(MARK)
        with power_lost(writes):
            header_of(fd).clear()
        if writes == 0:
            assert read_file(swap) == devices.STREAM
        else:
            assert blkid(swap)["TYPE"] == "swap"
            assert not header_of(fd).holds_image()
        header_of(fd).clear()
    assert swap.read_bytes() == before


def test_signature_without_mark_is_another_programs(swap: Path) -> None:
    """Never cleared by us: it may be an image of uswsusp's."""
    with opened(swap) as fd:
        os.pwrite(fd, b"ULSUSPEND\0", PAGE - 10)
        assert not header_of(fd).holds_image()
        with pytest.raises(NoImageError, match="image of another program"):
            read_header(fd, "it").image()
        with pytest.raises(StoreRefusedError, match="no swap header"):
            header_of(fd).check_markable()


@pytest.mark.parametrize(
    ("at", "error"), [(8, UnsupportedError), (10, DamagedError), (70, DamagedError)]
)
def test_unreadable_mark_is_an_image_that_can_be_cleared(
    either: Path, at: int, error: type[Exception]
) -> None:
    before = either.read_bytes()
    with opened(either) as fd:
        header_of(fd).set_mark(MARK)
        os.pwrite(fd, b"\x77", MARK_OFFSET + at)
        with pytest.raises(error):
            read_header(fd, "it").image()
        assert header_of(fd).holds_image()
        header_of(fd).clear()
    assert either.read_bytes() == before


def test_store_begins_anywhere_on_a_device(tmp_path: Path) -> None:
    """As a file does: the first page is not page 0, all numbers stay those of the device."""
    path = tmp_path / "device"
    path.write_bytes(devices.Device().build().ljust(64 * PAGE, b"\0"))
    with opened(path) as fd:
        os.pwrite(fd, b"a file system", 0)
        new_store_header(fd, "it", 8, page=5)
        read_header(fd, "it", 5).set_mark(MARK._replace(page=5))
        image = ImageReader(read_header(fd, "it", 5).image())
        assert b"".join(bytes(raw) for raw in image.stream()) == devices.STREAM
        read_header(fd, "it", 5).clear()
        assert os.pread(fd, 13, 0) == b"a file system"
        with pytest.raises(NoImageError):
            read_header(fd, "it", 5).image()


@pytest.mark.parametrize("taken", [devices.MAP, *(start for start, _ in devices.RUNS)])
def test_image_may_not_lie_on_its_own_mark(taken: int, tmp_path: Path) -> None:
    path = tmp_path / "device"
    marked = forge.mark(len(devices.IMAGE), devices.MAP, 2, page=taken)
    made = devices.Device(marked=marked).build()
    path.write_bytes(made)
    with opened(path) as fd:
        header_there = StoreHeader(fd, "it", taken, memoryview(bytearray(made[:PAGE])))
        with pytest.raises(DamagedError, match=r"is taken|is impossible"):
            header_there.image()


def test_store_that_became_swap_is_swap_and_not_marked(store: Path) -> None:
    """Marked it would look like a store, and clearing that would not make it swap again."""
    with opened(store) as fd:
        os.pwrite(fd, bytes(256), MARK_OFFSET)
        os.pwrite(fd, b"SWAPSPACE2", PAGE - 10)
        assert not header_of(fd).is_store
        assert not header_of(fd).holds_image()
        with pytest.raises(StoreRefusedError, match="was a store"):
            header_of(fd).check_markable()


def test_mkswap_leaves_nothing_of_a_store(store: Path) -> None:
    run("mkswap", "--quiet", store)
    with opened(store) as fd:
        header_of(fd).check_markable()
        assert not any(header_of(fd).data[:1024])


def test_swap_that_cannot_be_marked(swap: Path) -> None:
    with opened(swap) as fd:
        header_of(fd).check_markable()
        for at, data, message in (
            (1024, b"\0", "no swap header of version 1"),
            (PAGE - 10, b"S1SUSPEND\0", "no swap header of version 1"),
            (1032, b"\1", "list of bad pages"),
            (MARK_OFFSET + 255, b"x", "has data where the mark goes, at byte 1280"),
        ):
            before = os.pread(fd, len(data), at)
            os.pwrite(fd, data, at)
            with pytest.raises(StoreRefusedError, match=message):
                header_of(fd).check_markable()
            os.pwrite(fd, before, at)
        header_of(fd).check_markable()


def test_device_that_cannot_be_written_is_an_error(swap: Path) -> None:
    with (
        opened(swap, os.O_RDONLY) as fd,
        pytest.raises(UnreadableError, match="cannot write it at byte 0"),
    ):
        header_of(fd).set_mark(MARK)


def test_discard(either: Path, torpor: Torpor) -> None:
    before = either.read_bytes()
    done = torpor("discard", either)
    assert (done.code, "nothing changed" in done.err) == (3, True)
    with opened(either) as fd:
        header_of(fd).set_mark(MARK)
    done = torpor("discard", either)
    assert (done.code, "the image is discarded" in done.out) == (0, True)
    assert either.read_bytes() == before
    assert torpor("discard", either).code == 3


@pytest.mark.parametrize(
    "data",
    [
        devices.Device(signature=forge.KERNEL).build(),
        devices.Device(marked=b"").build(),
        devices.IMAGE,
        b"not for us" * 1000,
    ],
    ids=["kernel", "other", "file", "text"],
)
def test_discard_touches_nothing_of_others(data: bytes, tmp_path: Path, torpor: Torpor) -> None:
    path = tmp_path / "device"
    path.write_bytes(data)
    assert torpor("discard", path).code == 3
    assert path.read_bytes() == data
