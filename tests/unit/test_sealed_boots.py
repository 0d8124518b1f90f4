"""Sealed images at a boot: what is restored, and what nobody gets restored."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from errors import (
    DamagedError,
    ForeignError,
    LockedError,
    NoImageError,
    OtherHardwareError,
    OtherKernelError,
    SealedError,
    SpentError,
    TorporError,
    UnsupportedError,
)
from format import sodium
from format.checksum import seed, with_checksum
from format.mark import Mark, MarkState
from format.records import Identity
from format.sealing import NOBODY, ImageKey, Seal, Sealing, unsigned
from linux import PAGE_SIZE
from seal import age, recipients
from seal.recipients import ToKey
from seal.slots import KeyFileSlot
from store.header import read_header
from tests.sources import opened
from tests.unit.booting import Boot
from tests.unit.conftest import RUNS, STREAM
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.unit.marked import HERE, Made, mark_of, put_image, set_mark
from tests.unit.sealing import PASSPHRASE, Typist, passphrase_slot, sender, trusted

OTHER_SEED = bytes(32)
KNOWN = [STREAM[at : at + 32] for at in range(4000, len(STREAM) - 8192, PAGE_SIZE)]
"""Of the stream: bytes that do not compress, and so lie in a plain image as they are."""


@pytest.fixture(name="typist")
def _typist(typist: Typist) -> Typist:
    typist.typed = [PASSPHRASE]
    return typist


@pytest.fixture(name="sealed")
def _sealed(hibernated: Path) -> Path:
    """The swap file with a sealed image that a passphrase opens; the boot trusts its sender."""
    trusted()
    seal(hibernated)
    return hibernated


def seal(path: Path, made: Made | None = None) -> None:
    """Put a sealed image there in place of what is there."""
    path.write_bytes(path.with_name("header").read_bytes().ljust(path.stat().st_size, b"\0"))
    put_image(path, STREAM, RUNS, made or Made(sender=sender(passphrase_slot())))


def header_page(path: Path) -> int:
    mark = mark_of(path)
    assert mark
    assert mark.header_page
    return mark.header_page


def page_of(path: Path, number: int) -> bytes:
    return path.read_bytes()[number * PAGE_SIZE : (number + 1) * PAGE_SIZE]


def put_page(path: Path, number: int, data: bytes) -> None:
    with opened(path) as fd:
        os.pwrite(fd, data, number * PAGE_SIZE)


def refused(boot: Boot, path: Path, kind: type[TorporError], words: str = "") -> str:
    """Return what a boot says that does not resume from there, for this reason."""
    outcome = boot.resume(f"resume={path}")
    assert type(outcome.error) is kind, outcome.message
    assert words in outcome.message
    return outcome.message


def test_a_sealed_image_is_restored_and_its_key_is_gone(
    sealed: Path, boot: Boot, device: FakeSnapshot, typist: Typist
) -> None:
    page = header_page(sealed)
    recipients_at = page_of(sealed, page)[412:4008].rstrip(b"\0")
    at_restore: list[tuple[Mark | None, bytes]] = []
    device.before["atomic_restore"] = lambda: at_restore.append(
        (mark_of(sealed), sealed.read_bytes())
    )
    with pytest.raises(Restored):
        boot.resume(f"resume={sealed}")
    assert device.loaded == STREAM
    assert typist.asked == ["Passphrase of the hibernated session"]
    ((mark, disk),) = at_restore
    assert mark
    assert (mark.state, mark.attempts) == (MarkState.CLAIMED, 1)
    for at in range(2, len(recipients_at) - 32, 16):
        assert recipients_at[at : at + 32] not in disk
    assert not [piece for piece in KNOWN if piece in disk]


def test_nothing_of_the_stream_lies_on_the_disk(sealed: Path) -> None:
    disk = sealed.read_bytes()
    assert not [piece for piece in KNOWN if piece in disk]
    assert b"/dev/vda" not in disk
    seal(sealed, Made())
    disk = sealed.read_bytes()
    assert len([piece for piece in KNOWN if piece in disk]) > len(KNOWN) // 2, "of a plain one"
    assert b"/dev/vda" in disk


def test_the_kernel_refuses_and_the_next_boot_tries_once_more(
    sealed: Path, boot: Boot, device: FakeSnapshot, typist: Typist
) -> None:
    before = page_of(sealed, header_page(sealed))
    device.fail["atomic_restore"] = 1
    said = boot.resume(f"resume={sealed}")
    assert f"the image on {sealed} is kept" in said.message
    assert page_of(sealed, header_page(sealed)) == before
    device.fail.clear()
    device.loaded.clear()
    device.complete = False
    typist.typed.append(PASSPHRASE)
    with pytest.raises(Restored):
        boot.resume(f"resume={sealed}")
    assert device.loaded == STREAM


def test_who_is_wrong_three_times_is_not_asked_again(
    sealed: Path, boot: Boot, typist: Typist
) -> None:
    typist.typed = [b"wrong", b"", b"wrong again", b"still", PASSPHRASE]
    refused(boot, sealed, LockedError, "no passphrase was typed that opens it")
    assert len(typist.asked) == 4
    assert mark_of(sealed), "the image is kept"


def test_nobody_answers(sealed: Path, boot: Boot, typist: Typist) -> None:
    typist.typed = []
    said = refused(boot, sealed, LockedError, "cannot be opened")
    assert f"the image on {sealed} is kept" in said
    assert len(typist.asked) == 1


def test_a_boot_that_asks_nothing_asks_nothing(sealed: Path, boot: Boot, typist: Typist) -> None:
    trusted(asks=False)
    refused(boot, sealed, LockedError)
    assert not typist.asked


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        (HERE._replace(kernel_release="1.0"), OtherKernelError),
        (HERE._replace(ram_map_digest=bytes(32)), OtherHardwareError),
    ],
)
def test_nobody_is_asked_for_an_image_of_another_machine(
    changed: Identity, kind: type[TorporError], sealed: Path, boot: Boot, typist: Typist
) -> None:
    seal(sealed, Made(changed, sender=sender(passphrase_slot())))
    said = refused(boot, sealed, kind)
    assert "is kept" in said
    assert not typist.asked


def test_a_machine_that_does_not_seal_restores_no_sealed_image(
    hibernated: Path, boot: Boot
) -> None:
    seal(hibernated)
    refused(boot, hibernated, SealedError)


def test_a_machine_that_seals_restores_no_other_image(
    hibernated: Path, boot: Boot, device: FakeSnapshot
) -> None:
    trusted()
    refused(boot, hibernated, ForeignError, "is not sealed")
    assert "write" not in device.calls


def test_an_image_of_another_sender(sealed: Path, boot: Boot, typist: Typist) -> None:
    seal(sealed, Made(sender=sender(passphrase_slot(), seed=OTHER_SEED)))
    refused(boot, sealed, ForeignError, "not sealed by this installation")
    assert not typist.asked


class Forger:
    """Has the public keys of the machine, and its disk."""

    def __init__(self, public: bytes) -> None:
        self._public = public

    def sealing(self, image_uuid: object) -> Sealing:
        key = ImageKey(bytes(32), image_uuid)  # type: ignore[arg-type]
        to = [ToKey(age.wrap(self._public, bytes(key.secret)))]
        return Sealing(key, Seal(NOBODY, 0, 0, recipients.build(to)), unsigned)


def test_an_image_that_is_forged_with_the_public_key_alone(
    sealed: Path, boot: Boot, typist: Typist
) -> None:
    forger = Forger(passphrase_slot().recipient)
    seal(sealed, Made(sender=forger))  # type: ignore[arg-type]
    refused(boot, sealed, ForeignError, "not sealed by this installation")
    assert not typist.asked


def test_the_key_file_opens_it_without_a_question(
    sealed: Path, boot: Boot, device: FakeSnapshot, typist: Typist
) -> None:
    private = bytes(reversed(range(32)))
    data = b"TORPKEYF" + private
    disk = boot.device("UUID=root")
    put_page(Path(disk), 7, data.ljust(PAGE_SIZE, b"\0"))
    slot = KeyFileSlot(sodium.public_of(private), "/key", "UUID=root", 7)
    made = sender(passphrase_slot())
    made._ready["file"] = slot
    seal(sealed, Made(sender=made))
    with pytest.raises(Restored):
        boot.resume(f"resume={sealed}")
    assert device.loaded == STREAM
    assert not typist.asked
    put_page(Path(disk), 7, bytes(PAGE_SIZE))
    seal(sealed, Made(sender=made))
    typist.typed = []
    refused(boot, sealed, LockedError, f"the key file is not in page 7 of {disk} any more")
    assert typist.asked


# What the owner of the disk does to it.


def test_the_mark_is_set_back_after_the_claim(
    sealed: Path, boot: Boot, device: FakeSnapshot, typist: Typist
) -> None:
    complete = sealed.read_bytes()[:PAGE_SIZE]
    with pytest.raises(Restored):
        boot.resume(f"resume={sealed}")
    put_page(sealed, 0, complete)
    typist.typed.append(PASSPHRASE)
    refused(boot, sealed, ForeignError, "not sealed by this installation")


def test_a_mark_that_is_changed_is_not_believed(sealed: Path, boot: Boot, typist: Typist) -> None:
    mark = mark_of(sealed)
    assert mark
    set_mark(sealed, mark._replace(loads=1))
    refused(boot, sealed, DamagedError, "the mark is not what was sealed")


@pytest.mark.parametrize(
    "change",
    [
        lambda mark: mark._replace(header_page=1400),
        lambda mark: mark._replace(header_page=1 << 40),
        lambda mark: mark._replace(header_page=0),
        lambda mark: mark._replace(image_uuid=uuid4()),
        lambda mark: mark._replace(image_size=1400),
        lambda mark: mark._replace(map_page=1400),
    ],
)
def test_a_mark_that_names_something_else(
    change: Callable[[Mark], Mark], sealed: Path, boot: Boot, typist: Typist
) -> None:
    mark = mark_of(sealed)
    assert mark
    set_mark(sealed, change(mark))
    outcome = boot.resume(f"resume={sealed}")
    assert isinstance(outcome.error, ForeignError | DamagedError)


def test_the_recipients_are_replaced(sealed: Path, boot: Boot, typist: Typist) -> None:
    """By the attacker's, to whom the image's key is not known."""
    page = header_page(sealed)
    data = bytearray(page_of(sealed, page))
    forged = recipients.build([ToKey(age.wrap(passphrase_slot().recipient, bytes(32)))])
    data[412:414] = len(forged).to_bytes(2, "little")
    data[414:4008] = forged.ljust(4008 - 414, b"\0")
    put_page(sealed, page, summed(data))
    refused(boot, sealed, ForeignError, "not sealed by this installation")
    assert not typist.asked


def summed(page: bytes | bytearray) -> bytes:
    """Return the page with the checksum that it has to have: who changes it knows that."""
    uuid = UUID(bytes=bytes(page[32:48]))
    return with_checksum(seed(uuid), bytes(page[:-4]))


def test_an_image_that_was_claimed_is_discarded(
    sealed: Path, boot: Boot, device: FakeSnapshot, typist: Typist
) -> None:
    """Nobody's signature is on it any more, and swap is to be swap again."""
    with pytest.raises(Restored):
        boot.resume(f"resume={sealed}")
    assert "is discarded" in refused(boot, sealed, SpentError, "power was lost")
    assert sealed.read_bytes()[:PAGE_SIZE] == sealed.with_name("header").read_bytes()


def test_an_older_superblock_of_the_same_machine(sealed: Path, boot: Boot, typist: Typist) -> None:
    """It is signed, but of another image."""
    page = header_page(sealed)
    old = page_of(sealed, page)
    seal(sealed)
    put_page(sealed, header_page(sealed), old)
    refused(boot, sealed, DamagedError, "another image")


def test_every_byte_of_the_superblock(sealed: Path, boot: Boot, typist: Typist) -> None:
    page = header_page(sealed)
    data = page_of(sealed, page)
    whole = sealed.read_bytes()
    for at in [*range(0, 500, 23), *range(500, 4000, 397), *range(4008, 4088, 5)]:
        sealed.write_bytes(whole)
        put_page(sealed, page, summed(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]))
        outcome = boot.resume(f"resume={sealed}")
        kinds = ForeignError if at >= 48 else ForeignError | UnsupportedError | NoImageError
        assert isinstance(outcome.error, kinds | DamagedError if at < 48 else kinds), at
    assert not typist.asked


def test_every_page_of_the_image_and_the_map(
    sealed: Path, boot: Boot, device: FakeSnapshot, typist: Typist
) -> None:
    whole, mark = sealed.read_bytes(), mark_of(sealed)
    assert mark
    with opened(sealed) as fd:
        header = read_header(fd, str(sealed))
        extents = header.source(mark).extents
    pages = [page for start, count in extents for page in range(start, start + count)]
    last = -(-mark.image_size // PAGE_SIZE)
    for page in [mark.map_page, *pages[1:last]][:: max(1, last // 25)]:
        sealed.write_bytes(whole)
        put_page(sealed, page, bytes(reversed(page_of(sealed, page))))
        typist.typed = [PASSPHRASE]
        outcome = boot.resume(f"resume={sealed}")
        assert isinstance(outcome.error, DamagedError), page
        assert "atomic_restore" not in device.calls
