"""The vectors that are copies of devices, ten pages each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests import forge
from tests.forge import PAGE, UUID_B, Parts, Super, map_page, mark
from tests.vectors.images import SMALL, SMALL_STREAM, Broken, built, flipped, noise, run

STORE = b"TORPSTOR"
IMAGE, STREAM = SMALL.build(), SMALL_STREAM
RUNS = ((7, 3), (1, 3))
"""Where the image of five pages lies, in its order, and one that is free."""
MAP = 4
PAGES = 10


@dataclass(frozen=True, slots=True)
class Device:
    """A sound image in swap; change one thing with dataclasses.replace."""

    marked: bytes = mark(len(IMAGE), MAP, len(RUNS))
    map: bytes = map_page(RUNS)
    image: bytes = IMAGE
    start: bytes = b""
    signature: bytes = forge.USER

    def build(self) -> bytes:
        first = forge.header_page(PAGES, self.marked, start=self.start, signature=self.signature)
        return forge.device(PAGES, first, {MAP: self.map}, self.image, RUNS)


def sound() -> dict[str, tuple[bytes, bytes]]:
    """Return the sound devices with their streams."""
    long_image = Parts(Super(), (*SMALL.pieces, run(2, b"C"))).build()
    in_store = Device(start=STORE, marked=mark(len(long_image), MAP, 2), image=long_image)
    return {
        "sound-swap-scattered": (Device().build(), STREAM),
        "sound-store": (in_store.build(), STREAM + b"C" * PAGE),
        "sound-claimed": (
            Device(marked=mark(len(IMAGE), MAP, 2, state=3, loads=2, attempts=1)).build(),
            STREAM,
        ),
    }


def broken() -> dict[str, Broken]:
    """Return all devices that break a rule."""
    return _marks() | _maps() | _extents()


def _marks() -> dict[str, Broken]:
    size = len(IMAGE)
    good, elsewhere = mark(size, MAP, 2), mark(size, MAP, 2, page=3)
    other = replace(SMALL, superblock=Super(uuid=UUID_B))
    cases = {
        "mark-none-on-store": ("R26", "is empty", Device(start=STORE, marked=b"")),
        "mark-without-signature": ("R26", "swap without an image", Device(signature=forge.SWAP)),
        "mark-none": ("R26", "another program", Device(marked=b"")),
        "mark-magic": ("R26", "another program", Device(marked=flipped(good, 0))),
        "signature-of-the-kernel": ("R26", "the kernel's own", Device(signature=forge.KERNEL)),
        "mark-magic-on-store": ("R26", "is empty", Device(start=STORE, marked=flipped(good, 0))),
        "mark-version": ("R28", "version 2", Device(marked=mark(size, MAP, 2, version=2))),
        "mark-checksum": ("R29", "mark has a wrong", Device(marked=flipped(good, 33))),
        "mark-reserved": ("R29", "mark has a wrong", Device(marked=flipped(good, 99))),
        "mark-state": ("R30", "state 4", Device(marked=mark(size, MAP, 2, state=4))),
        "mark-state-zero": ("R30", "state 0", Device(marked=mark(size, MAP, 2, state=0))),
        "mark-of-another-place": ("R38", "belongs at page 3, not 0", Device(marked=elsewhere)),
        "mark-of-another-image": ("R37", "the mark is of image", Device(image=other.build())),
        "mark-size-too-small": ("R8", "no trailer", Device(marked=mark(size - 1, MAP, 2))),
        "mark-size-too-large": ("R8", "no trailer", Device(marked=mark(size + 1, MAP, 2))),
    }
    return built(cases, Device.build)


def _maps() -> dict[str, Broken]:
    size, hurt = len(IMAGE), "extent map, page 4, is damaged"
    absurd = mark(size, MAP, 0xFFFF_FFFF)

    def longer(following: int) -> Device:
        """Claim as many extents as take two pages."""
        return Device(marked=mark(size, MAP, 254), map=map_page(RUNS, following=following))

    cases = {
        "mark-no-extents": ("R31", "claims 0", Device(marked=mark(size, MAP, 0))),
        "mark-absurd-extents": ("R31", "claims 4294967295", Device(marked=absurd)),
        "map-off-the-device": ("R32", "leaves", Device(marked=mark(size, PAGES, 2))),
        "map-far-away": ("R32", "leaves", Device(marked=mark(size, (1 << 64) - 1, 2))),
        "map-on-the-header": ("R27", "is taken", Device(marked=mark(size, 0, 2))),
        "map-magic": ("R33", hurt, Device(map=map_page(RUNS, magic=b"TORPXMAX"))),
        "map-sequence": ("R33", hurt, Device(map=map_page(RUNS, sequence=1))),
        "map-count": ("R33", hurt, Device(map=map_page(RUNS, count=254))),
        "map-checksum": ("R33", hurt, Device(map=flipped(map_page(RUNS), 3000))),
        "map-of-another-image": ("R33", hurt, Device(map=map_page(RUNS, uuid=UUID_B))),
        "map-overwritten": ("R33", hurt, Device(map=noise(PAGE))),
        "map-loop": ("R40", "page 4, which is taken", longer(MAP)),
        "map-goes-on-at-the-header": ("R27", "page 0, which is taken", longer(0)),
        "map-goes-on-off-the-device": ("R32", "leaves the device at page 10", longer(PAGES)),
        "map-too-few": ("R34", "1 of 2", Device(map=map_page(RUNS[:1]))),
        "map-too-many": ("R34", "3 of 2", Device(map=map_page([*RUNS, (5, 1)]))),
    }
    return built(cases, Device.build)


def _extents() -> dict[str, Broken]:
    def having(runs: Sequence[tuple[int, int]], size: int = len(IMAGE)) -> Device:
        return Device(map=map_page(runs), marked=mark(size, MAP, len(runs)))

    wrong = "is impossible"
    cases = {
        "extents-overlap": ("R35", wrong, having([(7, 3), (5, 3)])),
        "extents-twice": ("R35", wrong, having([(7, 3), (7, 3)])),
        "extent-off-the-device": ("R35", wrong, having([(1, 3), (8, 3)])),
        "extent-far-away": ("R35", wrong, having([(7, 3), ((1 << 64) - 1, 2)])),
        "extent-absurd-length": ("R35", wrong, having([(7, 3), (2, (1 << 64) - 1)])),
        "extent-on-the-header": ("R27", wrong, having([(7, 3), (0, 1)])),
        "extent-on-the-map": ("R35", wrong, having([(7, 3), (MAP, 1)])),
        "extent-of-no-pages": ("R35", wrong, having([*RUNS, (5, 0)])),
        "extents-too-short": ("R36", "too short", having([(7, 3)])),
        "image-absurd-size": ("R36", "too short", having(RUNS, 1 << 63)),
    }
    return built(cases, Device.build)
