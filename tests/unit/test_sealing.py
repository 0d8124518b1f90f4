"""The key of a sealed image, its seal and its recipients; what we write is what others would."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import DamagedError, LockedError, TorporError
from format import sealed_layout, sodium
from format.checksum import is_summed, seed
from format.records import Superblock
from format.sealing import (
    NOBODY,
    ImageKey,
    Seal,
    Sealing,
    check_superblock,
    is_signed,
    unsigned,
    without_recipients,
)
from format.writer import ImageWriter, new_encoders
from seal import age, recipients
from seal.opening import Nobody, Opening
from seal.recipients import ByPin, ToKey, ToKeyFile, ToPassphrase, ToTpm, ToTpmAndPin
from tests import forge, forge_sealed
from tests.forge import PAGE, UUID_A, UUID_B
from tests.forge_sealed import SECRET, SealedSuper, chunk, sealed_parts, to_key
from tests.sources import MemorySink, reader_of, superblock
from tests.unit.pace import AT_ANY_PACE
from tests.vectors.images import FACTS, noise
from tests.vectors.sealed import KINDS, SIGNED, UNKNOWN

SIGNED_PAGE = SIGNED.build()
SENDER = forge_sealed.signer_of(forge_sealed.SEED)


def sealing() -> Sealing:
    """Return what makes the seal of SIGNED."""
    index, counter = SIGNED.counter
    seal = Seal(SENDER, index, counter, to_key())
    return Sealing(
        ImageKey(SECRET, UUID_A), seal, lambda page: sodium.sign(forge_sealed.SEED, page)
    )


# What we write


def test_a_superblock_is_what_openssl_makes() -> None:
    assert superblock(PAGE).build(sealing()) == SIGNED_PAGE
    by_nobody = Sealing(ImageKey(SECRET, UUID_A), Seal(NOBODY, 0, 0, to_key()), unsigned)
    assert superblock(PAGE).build(by_nobody) == SealedSuper().build()


def test_an_image_is_what_libaegis_and_openssl_make() -> None:
    sink = MemorySink()
    writer = ImageWriter(sink, superblock(PAGE), new_encoders(PAGE), sealing())
    writer.write_stream(reader_of(noise(PAGE) + b"r" * PAGE), lambda _done: None)
    writer.write_table(3, FACTS)
    writer.finish()
    pieces = (chunk(0, noise(PAGE)), chunk(1, b"r", codec=forge.FILL))
    made = forge_sealed.with_tables(sealed_parts(SIGNED, pieces), (3, FACTS))
    assert bytes(sink.data) == made.build()


# The key


def test_a_forgotten_key_is_nowhere() -> None:
    key = ImageKey(SECRET, UUID_A)
    tag = key.tag(b"record")
    parts = [getattr(key, name) for name in ImageKey.__slots__]
    assert len(parts) == 3
    assert all(any(part) for part in parts)
    key.forget()
    assert [bytes(part) for part in parts] == [bytes(32)] * 3
    with pytest.raises(LockedError, match="forgotten"):
        key.is_tagged(b"record", tag)


def test_keys_of_images_differ() -> None:
    assert ImageKey.new(UUID_A).secret != ImageKey.new(UUID_A).secret
    one, other = ImageKey(SECRET, UUID_A), ImageKey(SECRET, UUID_B)
    assert one.tag(b"record") != other.tag(b"record")
    room = bytearray(48)
    one.encrypt(1, b"header", memoryview(room))
    assert not other.decrypt(1, b"header", memoryview(room))


# The seal


def test_whose_signature() -> None:
    assert is_signed(SIGNED_PAGE, SENDER)
    assert not is_signed(SIGNED_PAGE, forge_sealed.signer_of(SECRET))
    assert not is_signed(SealedSuper().build(), SENDER)
    assert not is_signed(SealedSuper(sender=SENDER).build(), SENDER)
    for size in (0, 1, 4024, 4087):
        assert not is_signed(SIGNED_PAGE[:size], SENDER)
        assert not is_signed(bytes(size), SENDER)


@pytest.mark.parametrize("point", [bytes(32), b"\1" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"])
def test_no_signature_is_of_nobody_or_of_a_point_that_signs_all(point: bytes) -> None:
    """Of small order: with some of them anybody can sign."""
    page = SealedSuper(sender=point).build()
    for signature in (bytes(64), point + bytes(32), b"\1" + bytes(63)):
        assert not is_signed(page[:4024] + signature + page[4088:], point)


def test_every_byte_before_the_signature_is_signed() -> None:
    hit = bytearray(SIGNED_PAGE)
    for at in [*range(600), *range(600, 4000, 97), *range(4000, 4088)]:
        hit[at] ^= 1
        assert not is_signed(hit, SENDER), at
        hit[at] ^= 1
    assert is_signed(hit, SENDER)


def test_the_tag_is_of_every_byte_before_it() -> None:
    key, hit = ImageKey(SECRET, UUID_A), bytearray(SIGNED_PAGE)
    check_superblock(hit, key)
    for at in range(4024):
        hit[at] ^= 1
        with pytest.raises(DamagedError, match="not what was sealed"):
            check_superblock(hit, key)
        hit[at] ^= 1


def test_without_recipients_there_is_nothing_left_to_open() -> None:
    bare = without_recipients(SIGNED_PAGE, UUID_A)
    assert len(bare) == PAGE
    assert is_summed(seed(UUID_A), bare)
    found, before = Superblock.parse(bare), Superblock.parse(SIGNED_PAGE)
    assert found.seal
    assert found._replace(seal=None) == before._replace(seal=None)
    assert found.seal.recipients == b""
    assert not any(bare[412:4092])
    assert without_recipients(bare, UUID_A) == bare


# Recipients


def test_recipients_are_read_and_built_again() -> None:
    data = b"".join(KINDS)
    found = recipients.parse(data)
    kinds = [ToPassphrase, ToKeyFile, ToTpm, ToTpmAndPin, ToKey]
    assert [type(one) for one in found] == kinds
    assert recipients.build(found) == data.removeprefix(UNKNOWN)
    passphrase, key_file, tpm, pin, _ = found
    assert isinstance(passphrase, ToPassphrase)
    assert (passphrase.passes, passphrase.kibibytes) == (1, 64)
    assert isinstance(key_file, ToKeyFile)
    assert (key_file.page, key_file.device) == (17, "UUID=1-2")
    assert isinstance(tpm, ToTpm)
    assert (tpm.pcrs, tpm.parent[:2], tpm.public[:6]) == (1 << 7 | 1 << 14, b"\0\x0b", b"public")
    assert isinstance(pin, ToTpmAndPin)
    assert (pin.pin_public, pin.pin_private) == (b"of the PIN", b"private")


def test_what_each_recipient_holds_opens_it() -> None:
    """By our primitives, what others have wrapped."""
    passphrase, key_file, tpm, pin, key = recipients.parse(b"".join(KINDS))
    assert isinstance(passphrase, ToPassphrase)
    stretched = sodium.stretch(forge_sealed.PASSPHRASE, passphrase.salt, 1, 64 << 10)
    assert stretched
    private = sodium.unwrap(stretched, passphrase.locked)
    assert private == bytearray(forge_sealed.STRANGER)
    assert age.unwrap(private, passphrase.wrapped) == bytearray(SECRET)
    assert isinstance(key_file, ToKeyFile)
    assert age.unwrap(private, key_file.wrapped) == bytearray(SECRET)
    assert isinstance(tpm, ToTpm)
    assert sodium.unwrap(forge_sealed.UNSEALED, tpm.locked) == bytearray(SECRET)
    assert isinstance(pin, ToTpmAndPin)
    by_pin = sodium.unwrap(forge_sealed.UNSEALED, pin.locked)
    assert by_pin
    assert ByPin.parse(by_pin).build() == by_pin
    assert ByPin.parse(by_pin).salt == forge_sealed.SALT
    assert age.unwrap(private, ByPin.parse(by_pin).wrapped) == bytearray(SECRET)
    assert isinstance(key, ToKey)
    assert age.unwrap(forge_sealed.IDENTITY, key.wrapped) == bytearray(SECRET)


@pytest.mark.parametrize("page", [2, 3, 1 << 40, 1 << 52, (1 << 64) - 1])
def test_a_key_file_beyond_the_end_of_its_device(tmp_path: Path, page: int) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(2 * PAGE))
    _, key_file, *_ = recipients.parse(b"".join(KINDS))
    assert isinstance(key_file, ToKeyFile)
    there = key_file._replace(page=page)
    seal = Seal(SENDER, 0, 0, recipients.build([there]))
    opening = Opening(Nobody(), lambda name: str(disk) if name == there.device else None, print)
    with pytest.raises(LockedError, match=f"ends before page {page}"):
        opening.key(superblock(PAGE)._replace(seal=seal))


def test_as_many_as_there_is_room_for() -> None:
    to = ToKey(age.wrap(forge_sealed.public_of(forge_sealed.IDENTITY), SECRET))
    most = sealed_layout.MOST_RECIPIENTS // len(to_key())
    built = recipients.build([to] * most)
    assert recipients.parse(built) == [to] * most
    made = sealing()._replace(seal=Seal(SENDER, 0, 0, built))
    found = Superblock.parse(superblock(PAGE).build(made)).seal
    assert found
    assert found.recipients == built
    with pytest.raises(TorporError, match=rf"no room for {most + 1} recipients"):
        recipients.build([to] * (most + 1))


def test_none_at_all() -> None:
    assert recipients.build([]) == b""
    assert recipients.parse(b"") == []


@settings(AT_ANY_PACE, max_examples=2000, derandomize=True, database=None)
@given(
    st.binary(max_size=300)
    | st.lists(st.sampled_from(KINDS) | st.binary(max_size=8)).map(b"".join)
    | st.tuples(st.integers(0, 6), st.binary(max_size=300)).map(
        lambda one: forge_sealed.recipient(*one)
    )
)
def test_junk_is_refused_or_read_to_its_end(data: bytes) -> None:
    try:
        found = recipients.parse(data)
    except DamagedError:
        return
    assert len(recipients.build(found)) <= len(data)
