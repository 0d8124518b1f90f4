"""Pages of swap, got before they are needed and while they are."""

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from linux import PAGE_SIZE
from linux.mounts import SwapArea
from store import swap
from store.place import Place
from store.swap import SwapStore
from tests.forge import header_page
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
    with SwapStore(area, Place(str(path), 0)) as opened:
        opened.attach(device)
        yield opened


@pytest.mark.parametrize(
    ("size", "taken"), [(0, 0), (PAGE_SIZE - 1, 0), (17 * PAGE_SIZE, 17), (1 << 40, 22)]
)
def test_at_most_half_of_what_is_free_is_got_ahead(
    size: int, taken: int, store: SwapStore, device: FakeSnapshot
) -> None:
    store.get_ahead(size)
    assert device.given == FREE[:taken]


def test_what_was_got_ahead_comes_first_and_in_order(
    store: SwapStore, device: FakeSnapshot
) -> None:
    store.get_ahead(17 * PAGE_SIZE)
    runs = [[*store.allocate(15)], [*store.allocate(8)], [*store.allocate(21)]]
    assert runs == [[(10, 15)], [(25, 5), (40, 3)], [(43, 17), (70, 4)]]
    with pytest.raises(OSError, match="No space left"):
        store.allocate(1)


def test_an_error_only_ends_what_is_got_ahead(store: SwapStore, device: FakeSnapshot) -> None:
    """As when somebody else suspends the machine just now."""
    device.fail["alloc_swap_page"] = errno.EBUSY
    store.get_ahead(1 << 20)
    with pytest.raises(OSError, match="busy"):
        store.allocate(1)
    device.fail.clear()
    assert [*store.allocate(3)] == [(10, 3)]


def test_what_there_was_before_an_error_is_not_lost(device: FakeSnapshot) -> None:
    device.swap_area = b""
    offsets = [page * PAGE_SIZE for page in FREE]
    assert [*device.alloc_swap_pages(100)] == offsets
    with pytest.raises(OSError, match="No space left"):
        device.alloc_swap_pages(1)
