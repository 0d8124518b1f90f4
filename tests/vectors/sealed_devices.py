"""The vectors that are copies of devices with a sealed image, ten pages each."""

from dataclasses import replace
from functools import partial

from tests import forge
from tests.forge import PAGE, UUID_B, map_page
from tests.forge_sealed import KEY, Key, SealedSuper, chunk, sealed_parts
from tests.vectors.devices import MAP, PAGES, RUNS, STORE, Device
from tests.vectors.images import SMALL_STREAM, noise
from tests.vectors.sealed import (
    FOREIGN,
    LOCKED,
    OF_THE_SAME_RECIPIENT,
    OPEN,
    SIGNED,
    SMALL,
    THEIRS,
    Wrong,
    hit,
    image,
)

IMAGE = SMALL.build()
HEADER = RUNS[0][0]
"""The page of the superblock."""
bare_mark = partial(forge.mark, len(IMAGE), MAP, len(RUNS), header_page=HEADER)
"""A mark without a tag."""
MARK = KEY.tagged(bare_mark())
SWAP = Device(marked=MARK, map=KEY.tagged(map_page(RUNS)), image=IMAGE)


def sound() -> dict[str, tuple[bytes, bytes]]:
    """Return the sound devices with their streams."""
    pieces = (chunk(0, noise(PAGE)), chunk(1, b"r", codec=forge.FILL))
    longer = sealed_parts(SIGNED, pieces).build()
    marked = KEY.tagged(forge.mark(len(longer), MAP, len(RUNS), header_page=HEADER))
    begun = KEY.tagged(bare_mark(state=2, loads=1, attempts=1))
    made = {
        "swap-scattered": (SWAP, SMALL_STREAM),
        "store": (
            replace(SWAP, start=STORE, marked=marked, image=longer),
            noise(PAGE) + b"r" * PAGE,
        ),
        "loading": (replace(SWAP, marked=begun), SMALL_STREAM),
    }
    return {f"sound-sealed-{name}": (one.build(), data) for name, (one, data) in made.items()}


def broken() -> dict[str, Wrong]:
    """Return the devices that are refused."""
    made = _marks() | _header_pages() | _maps()
    return {
        f"sealed-{name}": (rule, message, keyless, device.build())
        for name, (rule, message, keyless, device) in made.items()
    }


def _lie(mark: bytes) -> Device:
    """Return the device with a mark that nobody had the key for: the tag is the old one."""
    return replace(SWAP, marked=forge.sealed(KEY.uuid, mark[:-20] + MARK[-20:-4]))


def _marks() -> dict[str, tuple[str, str, int, Device]]:
    changed = "the mark is not what was sealed"

    def having(mark: bytes) -> Device:
        return replace(SWAP, marked=mark)

    spent = KEY.tagged(bare_mark(state=3, loads=1, attempts=1))
    complete = forge.sealed(KEY.uuid, bare_mark(attempts=1)[:-20] + spent[-20:-4])
    tag_hit = forge.sealed(KEY.uuid, hit(MARK, 236)[:-4])
    theirs = Key(uuid=UUID_B)
    of_another = theirs.tagged(bare_mark(uuid=UUID_B))
    smaller = forge.mark(len(IMAGE) - PAGE, MAP, len(RUNS), header_page=HEADER)
    return {
        "mark-tag": ("R46", changed, OPEN, having(tag_hit)),
        "mark-without-tag": ("R46", changed, OPEN, having(bare_mark())),
        "mark-of-another-key": ("R46", changed, OPEN, having(THEIRS.tagged(bare_mark()))),
        "mark-loads": ("R46", changed, OPEN, _lie(bare_mark(loads=1))),
        "mark-attempts": ("R46", changed, OPEN, _lie(bare_mark(attempts=1))),
        "mark-state": ("R46", changed, OPEN, _lie(bare_mark(state=2))),
        "mark-set-back": ("R46", changed, OPEN, having(complete)),
        "mark-size": ("R46", changed, 4, having(smaller)),
        "mark-checksum": ("R29", "mark has a wrong", 4, having(hit(MARK, 33))),
        "mark-version": ("R28", "version 2", 5, having(KEY.tagged(bare_mark(version=2)))),
        "mark-of-another-image": ("R46", changed, 4, having(of_another)),
        "mark-of-another-place": (
            "R38",
            "belongs at page 3",
            4,
            having(KEY.tagged(bare_mark(page=3))),
        ),
    }


def _header_pages() -> dict[str, tuple[str, str, int, Device]]:
    beyond, no_image = "superblock beyond its end", "are not an image's"
    cases = {
        "mark-without-header-page": (FOREIGN, "is not sealed", 0),
        "header-page-off-the-device": ("R32", beyond, PAGES),
        "header-page-far-away": ("R32", beyond, (1 << 64) - 1),
        "header-page-of-no-superblock": ("R1", no_image, HEADER + 1),
        "header-page-is-the-first": ("R1", no_image, RUNS[1][0]),
    }
    return {
        name: (rule, message, OPEN, _lie(bare_mark(header_page=page)))
        for name, (rule, message, page) in cases.items()
    }


def _maps() -> dict[str, tuple[str, str, int, Device]]:
    changed = f"page 0 of the extent map, page {MAP}, is not what was sealed"

    def having(table: bytes) -> Device:
        return replace(SWAP, map=table)

    def other(runs: list[tuple[int, int]]) -> Device:
        return having(map_page(runs))

    recipients_gone = SealedSuper(recipients=b"", tag=bytes(16))
    claimed = replace(SMALL, superblock=recipients_gone).build()
    theirs = image(OF_THE_SAME_RECIPIENT, THEIRS).build()
    of_both = theirs[:PAGE] + IMAGE[PAGE:]
    return {
        "map-tag": ("R46", changed, OPEN, having(forge.sealed(KEY.uuid, hit(SWAP.map, 4080)[:-4]))),
        "map-without-tag": ("R46", changed, OPEN, other([*RUNS])),
        "map-of-another-key": ("R46", changed, OPEN, having(THEIRS.tagged(map_page(RUNS)))),
        "map-of-other-pages": ("R46", changed, 4, other([(7, 3), (5, 2)])),
        "map-reserved": (
            "R46",
            changed,
            OPEN,
            having(forge.sealed(KEY.uuid, hit(SWAP.map, 4073)[:-4])),
        ),
        "map-overwritten": ("R46", changed, 4, having(noise(PAGE))),
        "map-out-of-order": ("R46", changed, 3, other([*RUNS[::-1]])),
        "claimed": (LOCKED, "not sealed for", OPEN, replace(SWAP, image=claimed)),
        "superblock-of-another-key": ("R46", "the mark is not", OPEN, replace(SWAP, image=of_both)),
        "image-of-another-key": ("R46", "the mark is not", OPEN, replace(SWAP, image=theirs)),
    }
