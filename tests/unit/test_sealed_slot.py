"""What becomes of a sealed image in a store: claimed, put back, discarded, and its key with it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import DamagedError, LockedError, UnreadableError
from format.mark import Mark, MarkState
from format.records import Superblock
from format.sealing import ImageKey
from store.blocks import read_at
from store.header import StoreHeader, new_store_header, read_header
from store.image import open_image
from tests.forge import PAGE, UUID_A, UUID_B, header_page
from tests.forge_sealed import SECRET, SealedSuper
from tests.sources import opened, read_file
from tests.tools import failing
from tests.vectors import build
from tests.vectors.devices import MAP, PAGES, RUNS, STREAM
from tests.vectors.sealed_devices import HEADER, IMAGE, SWAP

KEY = slice(412, 4088)
"""In a superblock: recipients, tag and signature."""
FREE = 6
"""A page of the device that the image does not have."""


@pytest.fixture(name="swap")
def _swap(tmp_path: Path) -> Path:
    """Swap with the image of the vectors."""
    path = tmp_path / "swap"
    path.write_bytes(SWAP.build())
    return path


@pytest.fixture(name="slot")
def _slot(swap: Path) -> Iterator[StoreHeader]:
    """Its header, as a boot has it that got the key."""
    with opened(swap) as fd:
        found = read_header(fd, str(swap))
        found.key = ImageKey(SECRET, UUID_A)
        yield found


def page_of(path: Path, number: int) -> bytes:
    return path.read_bytes()[number * PAGE : (number + 1) * PAGE]


def secrets_on(path: Path) -> list[bytes]:
    """Return what is still on the disk of what the key was wrapped in, in pieces of 16 bytes."""
    sealed = IMAGE[KEY]
    pieces = [sealed[at : at + 16] for at in range(2, 2 + 116, 8)]
    return [piece for piece in pieces if piece in path.read_bytes()]


def mark_on(path: Path) -> Mark:
    """Return the mark, with a right tag, whoever wrote it."""
    with opened(path) as fd:
        found = read_header(fd, str(path))
        found.key = ImageKey(SECRET, UUID_A)
        mark = found.mark()
    assert mark
    return mark


def test_a_claim_takes_the_key_from_disk_and_memory(slot: StoreHeader, swap: Path) -> None:
    key = slot.key
    assert key
    assert secrets_on(swap)
    slot.begin_loading()
    slot.claim()
    assert not secrets_on(swap)
    assert [bytes(getattr(key, name)) for name in ImageKey.__slots__] == [bytes(32)] * 3
    assert slot.key is None
    mark = mark_on(swap)
    assert (mark.state, mark.loads, mark.attempts) == (MarkState.CLAIMED, 1, 1)
    bare = Superblock.parse(page_of(swap, HEADER))
    assert bare.seal
    assert (bare.image_uuid, bare.seal.recipients) == (UUID_A, b"")
    with pytest.raises(LockedError), open_image(str(swap), failing_to_unlock):
        pass


def failing_to_unlock(page: memoryview) -> ImageKey:
    superblock = Superblock.parse(page)
    assert superblock.seal
    assert not superblock.seal.recipients
    raise LockedError("nobody has the key")


def test_a_claim_changes_mark_and_superblock_only(slot: StoreHeader, swap: Path) -> None:
    before = swap.read_bytes()
    slot.begin_loading()
    slot.claim()
    after = swap.read_bytes()
    changed = {at // PAGE for at in range(len(after)) if after[at] != before[at]}
    assert changed == {0, HEADER}


def test_the_mark_comes_first(
    slot: StoreHeader, swap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power lost in between leaves a claimed image, not one that anybody takes for complete."""
    monkeypatch.setattr(StoreHeader, "write_superblock", failing(UnreadableError("no power")))
    with pytest.raises(UnreadableError):
        slot.claim()
    assert mark_on(swap).state == MarkState.CLAIMED
    assert page_of(swap, HEADER) == IMAGE[:PAGE]


def test_what_the_tpm_does_not_count_is_not_claimed(slot: StoreHeader, swap: Path) -> None:
    before = swap.read_bytes()
    slot.spend = failing(LockedError("the TPM does not count"))
    with pytest.raises(LockedError):
        slot.claim()
    assert swap.read_bytes() == before
    assert slot.key
    assert any(slot.key.secret)


def test_put_back_after_the_kernel_refused(slot: StoreHeader, swap: Path) -> None:
    slot.begin_loading()
    slot.claim()
    assert slot.put_back()
    assert page_of(swap, HEADER) == IMAGE[:PAGE]
    mark = mark_on(swap)
    assert (mark.state, mark.loads, mark.attempts) == (MarkState.COMPLETE, 0, 1)
    assert read_file(swap, build.IDENTITY) == STREAM


def test_put_back_has_an_end(slot: StoreHeader, swap: Path) -> None:
    slot.claim()
    assert slot.put_back()
    slot.key = ImageKey(SECRET, UUID_A)
    slot.claim()
    assert not slot.put_back()
    assert not secrets_on(swap)
    assert mark_on(swap).state == MarkState.CLAIMED


def test_nothing_is_put_back_that_was_not_claimed(slot: StoreHeader, swap: Path) -> None:
    before = swap.read_bytes()
    assert not slot.put_back()
    assert swap.read_bytes() == before


@pytest.mark.parametrize("with_key", [True, False])
def test_discard_wipes(slot: StoreHeader, swap: Path, *, with_key: bool) -> None:
    """Also by who has not the key: it is on the disk that others may read."""
    counted: list[int] = []
    slot.spend = lambda: counted.append(1)
    if not with_key:
        slot.key = None
    slot.discard()
    assert not secrets_on(swap)
    assert not slot.holds_image()
    assert page_of(swap, 0) == header_page(PAGES)
    assert counted == [1]


def test_discard_though_the_tpm_does_not_count(slot: StoreHeader, swap: Path) -> None:
    slot.spend = failing(LockedError("the TPM does not count"))
    slot.discard()
    assert not secrets_on(swap)
    assert not slot.holds_image()


def test_discard_of_a_claimed_image(slot: StoreHeader, swap: Path) -> None:
    slot.claim()
    slot.discard()
    assert not secrets_on(swap)
    assert page_of(swap, 0) == header_page(PAGES)


@pytest.mark.parametrize("lost", [slice(0, 1024), slice(1024, PAGE), slice(512, 1536)])
def test_discard_after_a_cut_tore_the_wiping(lost: slice, slot: StoreHeader, swap: Path) -> None:
    """Some sectors are wiped then, and the rest is no superblock any more."""
    torn = bytearray(IMAGE[:PAGE])
    slot.claim()
    torn[lost] = page_of(swap, HEADER)[lost]
    with opened(swap) as fd:
        os.pwrite(fd, torn, HEADER * PAGE)
        again = read_header(fd, str(swap))
        again.discard()
    assert not secrets_on(swap)
    assert page_of(swap, 0) == header_page(PAGES)


@pytest.mark.parametrize(
    "content",
    [
        b"somebody's file".ljust(PAGE, b"."),
        bytes(PAGE),
        SealedSuper(uuid=UUID_B).build(),
        SealedSuper(version=3).build(),
        b"\x89TORPOR\n".ljust(PAGE, b"\xff"),
    ],
    ids=["file", "zeros", "another-image", "newer", "magic"],
)
def test_a_forged_mark_gets_nothing_of_others_overwritten(swap: Path, content: bytes) -> None:
    """Whoever can write a mark, and not what lies in that page, has it discarded by us."""
    with opened(swap) as fd:
        os.pwrite(fd, content, FREE * PAGE)
        forged = read_header(fd, str(swap))
        mark = forged.mark()
        assert mark
        forged.set_mark(mark._replace(header_page=FREE))
        forged.discard()
    assert page_of(swap, FREE) == content
    assert page_of(swap, 0) == header_page(PAGES)


@pytest.mark.parametrize("page", [MAP, RUNS[0][0] + 1, RUNS[1][0], PAGES, 1 << 40, (1 << 64) - 1])
def test_a_forged_mark_that_names_any_page(swap: Path, page: int) -> None:
    before = swap.read_bytes()
    with opened(swap) as fd:
        forged = read_header(fd, str(swap))
        mark = forged.mark()
        assert mark
        forged.set_mark(mark._replace(header_page=page))
        forged.discard()
        assert not forged.holds_image()
    assert swap.read_bytes()[PAGE:] == before[PAGE:]


def test_a_mark_that_lies_is_not_claimed(slot: StoreHeader, swap: Path) -> None:
    """Not with the key, which would have to be of that mark."""
    with opened(swap) as fd:
        forged = read_header(fd, str(swap))
        mark = forged.mark()
        assert mark
        forged.set_mark(mark._replace(header_page=FREE))
    read_at(slot.fd, slot.name, 0, slot.data)
    before = swap.read_bytes()
    for step in (slot.begin_loading, slot.claim):
        with pytest.raises(DamagedError, match="the mark is not what was sealed"):
            step()
    assert swap.read_bytes() == before


def test_a_store_that_begins_anywhere(tmp_path: Path) -> None:
    """As a file does: the page of the superblock is the device's, as all numbers."""
    path = tmp_path / "device"
    path.write_bytes(SWAP.build().ljust(64 * PAGE, b"\0"))
    with opened(path) as fd:
        old = read_header(fd, "it").mark()
        assert old
        os.pwrite(fd, b"a file system".ljust(PAGE, b"\0"), 0)
        new_store_header(fd, "it", 8, page=5)
        slot = read_header(fd, "it", 5)
        slot.key = ImageKey(SECRET, UUID_A)
        slot.set_mark(old._replace(page=5))
        assert slot.image().size == len(IMAGE)
        slot.claim()
        assert not secrets_on(path)
        assert slot.put_back()
        assert page_of(path, HEADER) == IMAGE[:PAGE]
        slot.discard()
        assert not secrets_on(path)
        assert os.pread(fd, 13, 0) == b"a file system"
