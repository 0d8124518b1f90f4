"""The vectors with a lie in a sealed image behind its superblock.

By somebody who has the disk and no key, with right checksums. What is said of a chunk is in the
index, too, as if that had been sealed so: its tag is right.
"""

from dataclasses import replace

from tests import forge
from tests.forge import LZ4, PAGE, Parts, lz4_run
from tests.forge_sealed import KEY, SealedSuper, chunk, sealed_parts, summed_piece
from tests.vectors.images import noise
from tests.vectors.sealed import (
    OF_THE_SAME_RECIPIENT,
    OPEN,
    SMALL,
    TABLED,
    THEIRS,
    Wrong,
    hit,
    image,
    run,
)

NO_INDEX = "index is not what was sealed"


def broken() -> dict[str, Wrong]:
    """Return the images with a part that is refused."""
    made = _cut() | _ends() | _indexes() | _sections() | _chunks() | _swapped() | _sealed_so()
    return {f"sealed-{name}": each for name, each in made.items()}


def _cut() -> dict[str, Wrong]:
    data = SMALL.build()
    offsets = SMALL.offsets()
    end = len(data) - forge.TRAILER
    places = {
        "section-header": 2 * PAGE,
        "first-chunk": offsets[1],
        "chunks": offsets[1] + PAGE,
        "index": end,
        "half-a-trailer": end + 32,
    }
    trailer = "trailer is not what"
    return {
        "cut-in-superblock": ("R2", "cut off at byte 4095", 4, data[: PAGE - 1]),
        "cut-after-superblock": ("R8", "cut off", 4, data[:PAGE]),
        **{f"cut-after-{name}": ("R8", trailer, 4, data[:at]) for name, at in places.items()},
        "extra-page": ("R8", trailer, 4, data + bytes(PAGE)),
        # With the trailer of what is left, which nobody has authenticated.
        "cut-and-ended": ("R46", trailer, OPEN, replace(_shortened(), index=None).build()),
    }


def _shortened() -> Parts:
    """Return the image without its last chunk, with index and trailer that nobody authenticated."""
    return replace(SMALL, pieces=SMALL.pieces[:1], finish=bytes)


def _ends() -> dict[str, Wrong]:
    data, table = SMALL.build(), _index_of(SMALL)
    size, at = len(data), len(data) - forge.TRAILER - len(table)
    trailer = forge.trailer(size, at, len(table))
    later = forge.trailer(size, at + 1024, len(table) - 1024)
    changed = "trailer is not what was sealed"

    def ending(made: bytes) -> bytes:
        return replace(SMALL, trailer=made).build()

    return {
        "trailer-without-tag": ("R46", changed, OPEN, ending(trailer)),
        "trailer-tag": ("R46", changed, OPEN, ending(_tag_hit(KEY.tagged(trailer)))),
        "trailer-of-another-key": ("R46", changed, OPEN, ending(THEIRS.tagged(trailer))),
        "trailer-of-another-index": ("R46", NO_INDEX, 4, ending(KEY.tagged(later))),
        "trailer-checksum": ("R9", "trailer has a wrong", 4, hit(data, size - 2)),
    }


def _indexes() -> dict[str, Wrong]:
    table = _index_of(SMALL)
    rows, offsets, checksums = SMALL.rows(), SMALL.offsets(), SMALL.checksums()
    theirs = image(OF_THE_SAME_RECIPIENT, THEIRS)
    cases = {
        "without-tag": (OPEN, forge.sealed(KEY.uuid, table[:-20] + bytes(16))),
        "tag": (OPEN, _tag_hit(table)),
        "of-another-image": (4, _index_of(theirs)),
        "shortened": (4, forge.index([(1, 0, 0, 1, PAGE)], offsets[:1], checksums[:1])),
        "out-of-order": (4, forge.index(rows, offsets[::-1], checksums[::-1])),
    }
    end = len(SMALL.build()) - forge.TRAILER
    return {
        f"index-{name}": ("R46", NO_INDEX, keyless, replace(SMALL, index=made).build())
        for name, (keyless, made) in cases.items()
    } | {"index-checksum": ("R15", "index has a wrong", 4, hit(SMALL.build(), end - 2))}


def _sections() -> dict[str, Wrong]:
    swapped = replace(TABLED, tables=TABLED.tables[::-1])
    with_old_index = replace(swapped, index=_index_of(TABLED)).build()
    with_own_index = replace(swapped, index=_bare(swapped)).build()
    of_a_table = replace(SMALL, section=forge.section_header(kind=2)).build()
    header = "section header at byte"
    return {
        "sections-swapped": ("R20", header, 4, with_old_index),
        "sections-swapped-in-the-index": ("R46", NO_INDEX, 4, with_own_index),
        "section-header": ("R20", f"{header} 4096", 4, of_a_table),
    }


def _bare(parts: Parts) -> bytes:
    return forge.index(parts.rows(), parts.offsets(), parts.checksums())


def _index_of(parts: Parts) -> bytes:
    return parts.finish(_bare(parts))


def _tag_hit(record: bytes) -> bytes:
    return forge.sealed(KEY.uuid, hit(record, len(record) - 5)[:-4])


def _chunks() -> dict[str, Wrong]:
    second = SMALL.pieces[1]
    bare, rest = second.record[:44], second.record[48:]
    shorter = summed_piece(bare[:20] + (len(rest) - 33).to_bytes(4, "little") + bare[24:], rest)
    without_tag = chunk(1, lz4_run(b"B", PAGE), codec=LZ4, tag=bytes(32))

    def hit_at(place: int) -> bytes:
        return _having(hit(second.record, place))

    checksums_right = {
        "tag": hit_at(PAGE - 1),
        "payload": hit_at(50),
        "fill": hit_at(PAGE - 40),
        "reserved": hit_at(30),
        "codec": hit_at(4),
        "flags": hit_at(5),
        "without-tag": _having(without_tag.record),
        "stored-size": _having(shorter.record),
        "in-the-clear": _having(_in_the_clear()),
        "of-another-key": _having(run(1, b"B", key=THEIRS).record),
    }
    wrong = {"number": hit_at(8), "magic": hit_at(0), "raw-size": hit_at(17)}
    changed = "chunk 1 is not what was sealed"
    found = {name: ("R46", changed, OPEN, data) for name, data in checksums_right.items()}
    found |= {name: ("R46", changed, 4, data) for name, data in wrong.items()}
    return {f"chunk-{name}": each for name, each in found.items()} | {
        "chunk-checksum": (
            "R23",
            "chunk 1 has a wrong checksum",
            4,
            hit(SMALL.build(), SMALL.offsets()[1] + 44),
        ),
    }


def _having(record: bytes) -> bytes:
    """Return an image with another second chunk, with right checksums."""
    return _of(SMALL.pieces[0], summed_piece(record[:44], record[48:]))


def _of(*pieces: forge.Piece) -> bytes:
    return sealed_parts(SealedSuper(), pieces).build()


def _in_the_clear() -> bytes:
    """Return the second chunk as in an image that is not sealed."""
    return forge.chunk(1, lz4_run(b"B", PAGE), codec=LZ4).record


def _swapped() -> dict[str, Wrong]:
    first, second = (piece.record for piece in SMALL.pieces)
    zeroth = summed_piece(second[:8] + bytes(8) + second[16:44], second[48:])
    last = summed_piece(first[:8] + b"\1" + first[9:44], first[48:])
    theirs = image(key=THEIRS).pieces

    def with_index(pieces: tuple[forge.Piece, ...]) -> bytes:
        return replace(SMALL, pieces=pieces, index=_index_of(SMALL)).build()

    cases = {
        "swapped": (4, with_index(SMALL.pieces[::-1])),
        "swapped-and-numbered": (OPEN, _of(zeroth, last)),
        "of-another-image": (4, with_index(theirs)),
    }
    return {
        f"chunks-{name}": ("R46", "chunk 0 is not what", keyless, data)
        for name, (keyless, data) in cases.items()
    }


def _sealed_so() -> dict[str, Wrong]:
    """Return images whose chunks have right tags, and are wrong all the same."""
    first = SMALL.pieces[0]
    garbage, short = chunk(1, b"\xf3" * 90, codec=LZ4), chunk(1, noise(2048))
    bare = forge.chunk(1, noise(PAGE - 48), PAGE).record[:44]
    # Its stored size takes the tag for payload.
    no_room = summed_piece(bare, KEY.encrypt(1, bare, noise(PAGE - 80)))
    cannot, holds = "chunk 1 cannot be decompressed", "holds 2048 bytes instead of 4096"
    return {
        "chunk-garbage": ("R25", cannot, OPEN, _of(first, garbage)),
        "chunk-raw-too-short": ("R25", holds, OPEN, _of(first, short)),
        "chunk-without-room-for-the-tag": ("R22", "chunk 1 does not fit", 4, _of(first, no_room)),
    }
