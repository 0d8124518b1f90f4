"""What came out when somebody with the disk and the source tried to get around the seal."""

from pathlib import Path
from uuid import UUID

import pytest

from errors import ConfigurationError, DamagedError, ForeignError, LockedError, NoSpaceError
from format.mark import Mark
from format.sealing import Sealing
from hibernate.attempts import try_twice
from hibernate.plan import Plan
from linux import PAGE_SIZE
from seal import age, recipients
from seal.recipients import ToPassphrase, ToTpm
from seal.sender import Sender
from seal.slots import Keys, new_tpm_slot
from seal.tpm import Tpm
from store.header import read_header
from tests.sources import opened
from tests.unit.booting import Boot
from tests.unit.fake_machine import FakeMachine
from tests.unit.fake_snapshot import FakeSnapshot
from tests.unit.marked import Made, mark_of
from tests.unit.sealing import PASSPHRASE, SEED, Typist, passphrase_slot, sender
from tests.unit.soft_tpm import SoftTpm
from tests.unit.test_command_hibernate import PLAN
from tests.unit.test_doctor_faults import stock_first
from tests.unit.test_doctor_sealing import seal as sealing
from tests.unit.test_sealed_boots import (
    _sealed,
    _typist,
    header_page,
    page_of,
    put_page,
    refused,
    seal,
    summed,
)
from tests.unit.test_secrecy import LUKS
from torpor.doctor.finding import Finding, Level

__all__ = ["_sealed", "_typist"]

ORDER = (1 << 252) + 27742317777372353535851937790883648493
"""Of the curve's base point."""


def test_the_stock_resume_comes_first(fake: FakeMachine) -> None:
    """It has the kernel restore an image of its own, which anybody can make."""
    sealing(fake)
    stock_first(fake)
    (message,) = (each.message for each in fake.bad() if "stock resume" in each.message)
    assert "restores an image of the kernel's own, whoever made it" in message


def test_what_is_swapped_out_is_not_sealed(fake: FakeMachine) -> None:
    """Who changes it in plain swap changes programs of a machine that resumes."""
    sealing(fake)
    assert not of_swap(fake), "the root is plain, too"
    fake.home("home_crypt", LUKS)
    (finding,) = of_swap(fake)
    assert finding.level == Level.WARNING
    assert finding.message.startswith("images are sealed, and the swap /dev/sda2 is not encrypted")
    fake.mapped("swap_crypt", LUKS)
    assert not of_swap(fake)


def of_swap(fake: FakeMachine) -> list[Finding]:
    return [one for one in fake.examine() if one.message.startswith("images are sealed, and")]


def test_two_attempts_never_wrap_two_keys_alike(soft: SoftTpm) -> None:
    """Where the first image did not fit, both superblocks are on the disk.

    One key and nonce for both would give away what the two secrets differ by.
    """
    tpm = Tpm(soft.tcti)
    counter = tpm.new_counter()
    locked, secrets, counted = [], [], []

    def attempt(plan: Plan) -> None:
        assert plan.sender
        made = plan.sender.sealing(plan.image_uuid)
        (one,) = recipients.parse(made.seal.recipients)
        assert isinstance(one, ToTpm)
        locked.append(one.locked[:32])
        secrets.append(bytes(made.key.secret))
        counted.append(made.seal.counter)
        if len(locked) == 1:
            raise NoSpaceError("no room left")

    sender = Sender(SEED, Keys({"tpm2": new_tpm_slot(tpm)}, counter), tpm)
    try_twice(PLAN._replace(sender=sender), attempt, print)
    differ = [bytes(a ^ b for a, b in zip(*pair, strict=True)) for pair in (locked, secrets)]
    assert differ[0] != differ[1]
    assert counted[1] == tpm.read_counter(counter)


# Pieces of sealed images, with checksums that are right.


def test_pieces_of_another_image_of_the_same_keys(
    sealed: Path, boot: Boot, device: FakeSnapshot, typist: Typist
) -> None:
    """Same sender, recipients, stream and places; superblock, map and mark go with them or not."""
    mark, pages = lie(sealed)
    other = sealed.read_bytes()
    seal(sealed)
    now, also = lie(sealed)
    assert pages == also
    whole = sealed.read_bytes()
    several = [[page] for page in pages[::40]]
    for taken in ([0], [0, mark.header_page], [0, mark.map_page], pages, pages[1:], *several):
        sealed.write_bytes(whole)
        for page in taken:
            put_page(sealed, page, other[page * PAGE_SIZE :][:PAGE_SIZE])
        typist.typed = [PASSPHRASE]
        outcome = boot.resume(f"resume={sealed}")
        assert isinstance(outcome.error, DamagedError), taken
    assert now.image_uuid != mark.image_uuid
    assert "atomic_restore" not in device.calls


def test_pieces_change_places(
    sealed: Path, boot: Boot, device: FakeSnapshot, typist: Typist
) -> None:
    whole = sealed.read_bytes()
    _, pages = lie(sealed)
    for one, other in zip(pages[1:300:23], pages[2:300:23], strict=False):
        sealed.write_bytes(whole)
        first, second = page_of(sealed, one), page_of(sealed, other)
        put_page(sealed, one, second)
        put_page(sealed, other, first)
        typist.typed = [PASSPHRASE]
        outcome = boot.resume(f"resume={sealed}")
        assert isinstance(outcome.error, DamagedError), one
    assert "atomic_restore" not in device.calls


def test_the_device_ends_within_the_image(
    sealed: Path, boot: Boot, device: FakeSnapshot, typist: Typist
) -> None:
    whole = sealed.read_bytes()
    mark, pages = lie(sealed)
    last = max(pages[: -(-mark.image_size // PAGE_SIZE)])
    for end in [*pages[1:last:50], last, mark.header_page, mark.map_page]:
        for size in (end * PAGE_SIZE, end * PAGE_SIZE + 512):
            sealed.write_bytes(whole[:size])
            typist.typed = [PASSPHRASE]
            outcome = boot.resume(f"resume={sealed}")
            assert isinstance(outcome.error, DamagedError), size
    assert "atomic_restore" not in device.calls


def lie(path: Path) -> tuple[Mark, list[int]]:
    """Return the mark, and on which pages the image lies."""
    mark = mark_of(path)
    assert mark
    with opened(path) as fd:
        extents = read_header(fd, str(path)).source(mark).extents
    return mark, [page for start, count in extents for page in range(start, start + count)]


def test_a_signature_that_is_another_number(sealed: Path, boot: Boot, typist: Typist) -> None:
    """RFC 8032 forbids it; else who has a superblock could make another that counts as signed."""
    page = bytearray(page_of(sealed, header_page(sealed)))
    half = int.from_bytes(page[4056:4088], "little") + ORDER
    page[4056:4088] = half.to_bytes(32, "little")
    put_page(sealed, header_page(sealed), summed(page))
    refused(boot, sealed, ForeignError, "not sealed by this installation")


@pytest.mark.parametrize("point", [b"\0" * 32, b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_a_share_that_gives_everybody_the_same_secret(point: bytes) -> None:
    assert age.unwrap(bytes(range(32)), age.Wrapped(bytes(32), point, bytes(48))) is None
    with pytest.raises(ConfigurationError):
        age.wrap(point, bytes(32))


def test_recipients_that_would_take_hours(sealed: Path, boot: Boot, typist: Typist) -> None:
    """Who signs could ask for that; a boot refuses before it begins."""

    class Costly:
        def sealing(self, image_uuid: UUID) -> Sealing:
            made = sender(passphrase_slot()).sealing(image_uuid)
            (one,) = recipients.parse(made.seal.recipients)
            assert isinstance(one, ToPassphrase)
            several = [one._replace(passes=1 << 31), one._replace(kibibytes=1 << 31)]
            return made._replace(seal=made.seal._replace(recipients=recipients.build(several)))

    seal(sealed, Made(sender=Costly()))  # type: ignore[arg-type]
    refused(boot, sealed, LockedError, "takes more than a boot may give")
    assert not typist.asked
