"""Every place for an image, on both kernels: hibernated to and resumed from on Debian."""

from collections.abc import Callable

import pytest

from tests.conftest import ROW
from tests.vm.conftest import Guests
from tests.vm.places import PASSPHRASE, PLACES, Place
from vm.disks import ext4_complaints

pytestmark = pytest.mark.vm

GENERATORS = ("initramfs-tools", "dracut", "dracut-shell")
MEMORY_MIB = 768
"""Without swap, half of the memory has to be free for the snapshot."""


def cases() -> list[tuple[Place, str, str]]:
    """Return each place on both kernels, and with a generator: every pair of the three comes."""
    return [
        (place, GENERATORS[(number + turn) % 3], series)
        for turn, series in enumerate(("6.1", "6.12"))
        for number, place in enumerate(PLACES)
    ]


@pytest.mark.parametrize(
    ("place", "generator", "series"),
    [
        pytest.param(*case, marks=pytest.mark.long, id=f"{case[0].name}-{case[1]}-{case[2]}")
        for case in cases()
    ],
)
def test_place(
    place: Place,
    generator: str,
    series: str,
    guests: Guests,
    record_property: Callable[[str, object], None],
) -> None:
    disk = guests.folder / "second.img"
    place.disk(disk)
    guest = guests.make(generator, series, [disk])
    guest.memory, guest.limit = MEMORY_MIB, 1800
    guest.boot()
    place.prepare(guest)
    guest.hibernate()
    guest.resume(PASSPHRASE if place.late else "")
    assert guest.same_life()
    took = dict(guest.seconds)
    seconds = (f"{took[what]:.0f}" for what in ("boot", "hibernate", "resume"))
    record_property(ROW, (generator, place.name, series, *seconds))
    guest.power_off()
    assert ext4_complaints(guest.root) == ""
