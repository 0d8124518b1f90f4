"""The vectors that are files with sealed images: for tests.forge_sealed.IDENTITY, unless they lie.

The lies are in the superblock, by somebody who has the disk and no key, with right checksums.
"""

from dataclasses import replace
from typing import TypeAlias

from tests import forge, forge_sealed
from tests.forge import LZ4, PAGE, UUID_B, Parts, Super, lz4_run, working_set
from tests.forge_sealed import (
    KEY,
    OTHER_SECRET,
    STRANGER,
    Key,
    SealedSuper,
    chunk,
    recipient,
    sealed_parts,
    to_key,
    with_tables,
)
from tests.vectors.images import A_PAGE, FACTS, PAGE_TYPES, SMALL_STREAM, TABLES, noise

Wrong: TypeAlias = tuple[str, str, int, bytes]
"""Rule, part of the message, exit code without the identity, file."""
LOCKED, FOREIGN = "locked", "foreign"
"""Not damaged, but nothing for this identity."""
OPEN = 22
"""Exit code without the identity, if the checksums are right."""
THEIRS = Key(OTHER_SECRET)
"""The key of another image."""


def run(number: int, byte: bytes, size: int = PAGE, key: Key = KEY) -> forge.Piece:
    return chunk(number, lz4_run(byte, size), size, codec=LZ4, key=key)


def image(superblock: SealedSuper | None = None, key: Key = KEY) -> Parts:
    """Return a small image, of another key if that is given."""
    superblock = superblock or SealedSuper(uuid=key.uuid, key=key)
    return sealed_parts(superblock, (run(0, b"A", key=key), run(1, b"B", key=key)))


SMALL = image()
OF_THE_SAME_RECIPIENT = SealedSuper(key=THEIRS, recipients=to_key(secret=OTHER_SECRET))
TABLED = with_tables(SMALL, *TABLES)
SIGNED = SealedSuper(seed=forge_sealed.SEED, counter=(0x0180_0001, 41))
UNKNOWN = recipient(99, b"from a later version")
KINDS = (
    UNKNOWN,
    forge_sealed.to_passphrase(),
    forge_sealed.to_key_file(),
    forge_sealed.to_tpm(),
    forge_sealed.to_tpm_and_pin(),
    to_key(),
)


def to(*recipients: bytes) -> bytes:
    return image(SealedSuper(recipients=b"".join(recipients))).build()


def sound() -> dict[str, tuple[bytes, bytes]]:
    """Return the sound images with their streams."""
    large = SealedSuper(chunk_size=4 << 20)
    fill, zstd = (
        chunk(2, b"r", codec=forge.FILL),
        chunk(3, forge.zstd_run(b"z", PAGE), codec=forge.ZSTD),
    )
    codecs = sealed_parts(SealedSuper(), (run(0, b"A"), chunk(1, noise(PAGE)), fill, zstd))
    by_codec = A_PAGE + noise(PAGE) + b"r" * PAGE + b"z" * PAGE
    hints = with_tables(SMALL, *TABLES, (4, working_set()), (5, PAGE_TYPES))
    strangers = (to_key(STRANGER), to_key(forge_sealed.UNSEALED))
    made = {
        "empty": (sealed_parts(SealedSuper(), ()).build(), b""),
        "one-page": (sealed_parts(SealedSuper(), (chunk(0, noise(PAGE)),)).build(), noise(PAGE)),
        "two-chunks": (SMALL.build(), SMALL_STREAM),
        "codecs": (codecs.build(), by_codec),
        "tables": (hints.build(), SMALL_STREAM),
        "largest-chunk-size": (
            sealed_parts(large, (run(0, b"x", 2 * PAGE),)).build(),
            b"xx" * PAGE,
        ),
        "tag-ends-a-page": (_facts_of(PAGE - 80).build(), SMALL_STREAM),
        "tag-crosses-a-page": (_facts_of(PAGE - 79).build(), SMALL_STREAM),
        "three-recipients": (to(*strangers, to_key()), SMALL_STREAM),
        "all-kinds": (to(*KINDS), SMALL_STREAM),
        "unknown-kind": (to(UNKNOWN, to_key()), SMALL_STREAM),
        "first-of-ours-is-wrong": (to(to_key()[:-1] + b"?", to_key()), SMALL_STREAM),
        "signed": (image(SIGNED).build(), SMALL_STREAM),
        "reserved-bytes-set": (_reserved_bytes_set().build(), SMALL_STREAM),
    }
    return {f"sound-sealed-{name}": each for name, each in made.items()}


def _facts_of(size: int) -> Parts:
    """Return an image with a table of so many bytes, stored as they are."""
    return with_tables(SMALL, (3, forge.facts(noise(size - len(FACTS)), *FACTS_WORDS)))


FACTS_WORDS = (b"Testing 9000", b"avx fpu sse2" + b"0x0 0x9ffff System RAM")
"""What is beside the memory map, as long as all of FACTS."""


def _reserved_bytes_set() -> Parts:
    """Return an image with something in place of all zeros that a reader does not look at."""
    later = b"from a later version"
    return replace(
        SMALL, pieces=(chunk(0, lz4_run(b"A", PAGE), codec=LZ4, behind=later), run(1, b"B"))
    )


def broken() -> dict[str, Wrong]:
    """Return the images with a superblock that is refused."""
    made = _superblocks() | _signatures() | _recipients()
    return {f"sealed-{name}": each for name, each in made.items()}


def _superblocks() -> dict[str, Wrong]:
    def small(**fields: object) -> bytes:
        return replace(SMALL, superblock=replace(SealedSuper(), **fields)).build()  # type: ignore[arg-type]

    def unsealed(superblock: Super) -> bytes:
        return replace(SMALL, superblock=superblock).build()

    def changed(**fields: object) -> bytes:
        """Return an image whose superblock somebody has changed who could not make its tag."""
        return small(**{"tag": tag, **fields})

    tag = KEY.tag(SealedSuper().build()[:4008])
    not_sealed = "superblock is not what was sealed"
    # All the rest is of the image that the forger has found.
    forgers = SealedSuper(key=THEIRS, recipients=to_key(secret=OTHER_SECRET))
    unnoticed = {
        "tag": changed(tag=hit(tag, 0)),
        "tag-end": changed(tag=hit(tag, 15)),
        "without-tag": changed(tag=bytes(16)),
        "host-name": changed(host_name=b"lynx2"),
        "sender": changed(sender=b"s" * 32),
        "counter": changed(counter=(0x0180_0001, 7)),
        "one-more-recipient": changed(recipients=to_key() + to_key(STRANGER)),
        "optional-flag": changed(optional=1),
    }
    return {
        **{f"superblock-{name}": ("R46", not_sealed, OPEN, one) for name, one in unnoticed.items()},
        "superblock-chunk-size": ("R46", not_sealed, 4, changed(chunk_size=2 * PAGE)),
        "superblock-uuid": ("R46", not_sealed, 4, changed(uuid=UUID_B)),
        "superblock-of-a-forger": ("R46", "trailer is not what", OPEN, unsealed(forgers)),
        "superblock-checksum": ("R7", "superblock has a wrong", 4, hit(SMALL.build(), 4030)),
        "magic": ("R1", "neither an image", 3, small(magic=b"\x89TORPOR\r")),
        "version-1": ("R4", "unknown features 0x1", 5, small(version=1)),
        "version-1-unsealed": (FOREIGN, "not sealed", 4, small(version=1, required=0)),
        "version-3": ("R3", "format version 3", 5, small(version=3)),
        "required-flag": ("R4", "unknown features 0x2", 5, small(required=3)),
        "flag-taken-away": (FOREIGN, "not sealed", 4, unsealed(SealedSuper(required=0))),
        "not-sealed-at-all": (FOREIGN, "not sealed", 4, unsealed(Super())),
    }


def _signatures() -> dict[str, Wrong]:
    """Return what whoever knows the public keys of a machine and of its sender can make."""

    def signed_as(signature: bytes, superblock: SealedSuper) -> bytes:
        data = image(superblock).build()
        return forge.sealed(superblock.uuid, data[:4024] + signature + bytes(4)) + data[PAGE:]

    theirs = SIGNED.build()[4024:4088]
    unsigned = replace(SIGNED, seed=b"", sender=forge_sealed.signer_of(forge_sealed.SEED))
    of_another = replace(unsigned, sender=forge_sealed.signer_of(STRANGER))
    made = {
        "forged-by-anybody": image(unsigned).build(),
        "signature": signed_as(hit(theirs, 63), SIGNED),
        "signature-of-another-superblock": signed_as(theirs, replace(SIGNED, counter=(1, 42))),
        "signature-of-another-sender": signed_as(theirs, of_another),
        "signature-of-nobody": signed_as(theirs, replace(unsigned, sender=None)),
    }
    return {name: (FOREIGN, "not signed by the sender", OPEN, one) for name, one in made.items()}


def hit(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _recipients() -> dict[str, Wrong]:
    ours = to_key()
    others, unreadable = "not sealed for", "recipients that cannot be read"
    all_zero = recipient(1, ours[4:36] + bytes(32) + ours[68:])
    text_too_long = recipient(3, bytes(8) + b"\xff\xff" + forge_sealed.to_key_file()[14:])
    locked = {
        "none": to(),
        "of-a-stranger": to(to_key(STRANGER)),
        "of-unknown-kind": to(UNKNOWN),
        "of-other-kinds": to(*KINDS[:-1]),
        "of-a-bad-share": to(all_zero),
        "of-another-label": to(ours[:-1] + b"?"),
        "of-another-public-key": to(recipient(1, ours[4:36] + ours[4:36] + ours[68:])),
    }
    sizes = {
        "cut": to(ours[:-1]),
        "longer": to(ours + b"\0"),
        "half-a-head": to(ours + b"\1\0\0"),
        "beyond-the-end": to(recipient(99, b"?", 400), ours),
        "key-too-short": to(recipient(1, ours[4:-1]), ours),
        "key-too-long": to(recipient(1, ours[4:] + b"\0"), ours),
        "key-of-nothing": to(recipient(1, b""), ours),
        "passphrase-cut": to(recipient(2, forge_sealed.to_passphrase()[4:-1]), ours),
        "key-file-text": to(text_too_long, ours),
        "key-file-longer": to(recipient(3, forge_sealed.to_key_file()[4:] + b"\0"), ours),
        "tpm-cut": to(recipient(4, forge_sealed.to_tpm()[4:-1]), ours),
        "pin-longer": to(recipient(5, forge_sealed.to_tpm_and_pin()[4:] + b"\0"), ours),
    }

    def claiming(size: int) -> bytes:
        return image(SealedSuper(size=size)).build()

    beyond = "superblock cannot be read"
    return {
        **{f"recipients-{name}": (LOCKED, others, OPEN, data) for name, data in locked.items()},
        **{f"recipients-{name}": ("R45", unreadable, OPEN, data) for name, data in sizes.items()},
        "recipients-beyond-their-room": ("R45", beyond, 4, claiming(3595)),
        "recipients-absurd": ("R45", beyond, 4, claiming(0xFFFF)),
        "recipients-and-zeros": ("R45", unreadable, OPEN, claiming(3594)),
        "recipients-one-byte-less": ("R45", unreadable, OPEN, claiming(len(ours) - 1)),
    }
