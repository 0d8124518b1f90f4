"""Pages of swap, got before they are needed and while they are."""

import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from format.mark import Extents
from linux import PAGE_SIZE
from linux.mounts import SwapArea
from store import swap
from store.place import Place
from store.swap import SwapStore
from tests.forge import header_page
from tests.tools import failing
from tests.unit.fake_snapshot import FakeSnapshot

FREE = [*range(10, 30), *range(40, 60), *range(70, 74)]


@pytest.fixture
def device() -> FakeSnapshot:
    return FakeSnapshot(swap_pages=FREE).open(0)


@pytest.fixture
def store(
    device: FakeSnapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SwapStore]:
    """One with FREE pages, attached, that asks for eight at a time."""
    path = tmp_path / "swap"
    path.write_bytes(header_page(100).ljust(100 * PAGE_SIZE, b"\0"))
    monkeypatch.setattr(swap, "_STEP", 8)
    area = SwapArea(str(path), is_partition=True, size=100 * PAGE_SIZE, used=0)
    opened = SwapStore(area, Place(str(path), 0))
    opened.attach(device)
    yield opened
    with suppress(OSError):  # a test may have closed it
        opened.close()


def get_ahead(store: SwapStore, size: int) -> None:
    store.begin_ahead(size)
    store.end_ahead()


@pytest.mark.parametrize(
    ("size", "taken"), [(0, 0), (PAGE_SIZE - 1, 0), (17 * PAGE_SIZE, 17), (1 << 40, 22)]
)
def test_at_most_half_of_what_is_free_is_got_ahead(
    size: int, taken: int, store: SwapStore, device: FakeSnapshot
) -> None:
    get_ahead(store, size)
    assert device.given == FREE[:taken]
    assert [*store.allocate(taken)] == [*runs(FREE[:taken])]
    assert device.calls == ["set_swap_area"]


def runs(pages: list[int]) -> Extents:
    found = Extents()
    for page in pages:
        found.add(page)
    return found


def test_what_was_got_ahead_comes_first_and_in_order(
    store: SwapStore, device: FakeSnapshot
) -> None:
    get_ahead(store, 17 * PAGE_SIZE)
    got = [[*store.allocate(15)], [*store.allocate(8)], [*store.allocate(21)]]
    assert got == [[(10, 15)], [(25, 5), (40, 3)], [(43, 17), (70, 4)]]
    with pytest.raises(OSError, match="No space left"):
        store.allocate(1)


def test_an_error_only_ends_what_is_got_ahead(store: SwapStore, device: FakeSnapshot) -> None:
    """As when somebody else suspends the machine just now."""
    device.fail["alloc_swap_page"] = errno.EBUSY
    get_ahead(store, 1 << 20)
    with pytest.raises(OSError, match="busy"):
        store.allocate(1)
    device.fail.clear()
    assert [*store.allocate(3)] == [(10, 3)]


def test_more_than_a_pipe_holds_is_got_ahead(store: SwapStore, device: FakeSnapshot) -> None:
    """Whoever gets it has to wait, after its work, until somebody reads."""
    device.swap_pages = range(10, 30_000, 2)
    get_ahead(store, 6000 * PAGE_SIZE)
    assert [*store.allocate(6000)] == [(page, 1) for page in device.given]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_who_dies_leaves_all_to_be_got_later(
    number: signal.Signals, store: SwapStore, device: FakeSnapshot
) -> None:
    def die() -> None:
        if device.taken == 12:
            signal.raise_signal(number)

    device.before["alloc_swap_page"] = die
    get_ahead(store, 17 * PAGE_SIZE)
    assert device.taken == 12
    device.before.clear()
    assert [*store.allocate(3)] == [*runs(FREE[12:15])]


def test_where_there_can_be_no_process_all_is_got_later(
    store: SwapStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fork", failing(OSError(errno.ENOMEM, "no memory")))
    get_ahead(store, 17 * PAGE_SIZE)
    assert [*store.allocate(3)] == [(10, 3)]


def test_who_gets_pages_ends_with_the_store(
    store: SwapStore, device: FakeSnapshot, children: Callable[[], set[str]]
) -> None:
    device.before["avail_swap_size"] = partial(time.sleep, 60)
    store.begin_ahead(1 << 20)
    assert len(children()) == 1
    store.close()
    assert not children()


def test_what_there_was_before_an_error_is_not_lost(device: FakeSnapshot) -> None:
    device.swap_area = b""
    offsets = [page * PAGE_SIZE for page in FREE]
    assert [*device.alloc_swap_pages(100)] == offsets
    with pytest.raises(OSError, match="No space left"):
        device.alloc_swap_pages(1)
