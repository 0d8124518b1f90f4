"""Every place for an image, by every generator, on both kernels: one life of a machine after
another, each hibernated to one place and resumed from it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import HIBERNATED
from tests.vm.conftest import CONSOLE_LINES, Guests
from tests.vm.places import PLACES, SWAP_PARTITION, Place
from tests.vm.trace import TRACE, executed, started_for_us
from vm.disks import ext4_complaints
from vm.lives import Guest

pytestmark = pytest.mark.vm


Combination = tuple[str, str]
"""Generator and kernel."""

COMBINATIONS: list[Combination] = [
    (generator, series)
    for series in ("6.1", "6.12")
    for generator in ("initramfs-tools", "dracut", "dracut-shell")
]
SHORT = {(("dracut", "6.12"), "file store on ext4")}
"""What runs without --long, with the newcomer's swap partition (initramfs-tools, 6.1): both
kernels, systemd in the initramfs and none.
"""

# A Debian with systemd has something of its own that resumes; so it stays the fallback.
STOCK = {
    "initramfs-tools": "scripts/local-premount/resume",
    "dracut": "usr/lib/systemd/system/systemd-hibernate-resume@.service",
    "dracut-shell": "usr/lib/dracut/resume.sh",
}


def places_of(combination: Combination) -> list[Place]:
    """Return the places of one machine: each place is on both kernels, by different generators."""
    turn, third = divmod(COMBINATIONS.index(combination), 3)
    shared = [place for number, place in enumerate(PLACES) if (number + turn) % 3 == third]
    wanted = {name for which, name in SHORT if which == combination}
    more = [place for place in PLACES if place.name in wanted and place not in shared]
    return [SWAP_PARTITION, *more, *shared]


class Debian:
    """A machine that goes from place to place; after a failure it starts anew."""

    def __init__(self, combination: Combination, guests: Guests) -> None:
        self.combination = combination
        self._guests = guests
        self._guest: Guest | None = None

    def guest(self) -> Guest:
        """Return the machine, which runs, with a disk for each of its places.

        There is no image at its first boot: nothing of ours is started but the shell.
        """
        if self._guest is None or not self._guest.is_on:
            folder = self._guests.folder / f"disks{len(self._guests.made)}"
            folder.mkdir()
            disks = []
            for number, place in enumerate(places_of(self.combination)):
                disks.append(folder / f"{number}.img")
                place.disk(disks[-1])
            self._guest = self._guests.make(*self.combination, disks, TRACE)
            self._guest.limit = 1500
            self._guest.boot()
            assert STOCK[self._guest.installed.generator] in self._guest.installed.listing
            assert started_for_us(executed(self._guest)) == []
        return self._guest

    def end(self) -> None:
        """Shut it down; after all its lives its root is clean."""
        if self._guest is not None and self._guest.is_on:
            self._guest.power_off()
            assert ext4_complaints(self._guest.root) == ""

    def disk_of(self, place: Place) -> str:
        return f"/dev/vd{'bcdefgh'[places_of(self.combination).index(place)]}"


@pytest.fixture(scope="module")
def debian(
    request: pytest.FixtureRequest, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Debian]:
    folder = tmp_path_factory.mktemp("debian")
    with Guests(package, folder) as guests:
        debian = Debian(request.param, guests)
        yield debian
        debian.end()


def cases() -> list[object]:
    """Return all machines with all their places; those of one machine follow each other."""
    return [
        pytest.param(
            combination,
            place,
            id=f"{'-'.join(combination)}-{place.name}",
            marks=[] if (combination, place.name) in SHORT else [pytest.mark.long],
        )
        for combination in COMBINATIONS
        for place in places_of(combination)
    ]


@pytest.mark.parametrize(("debian", "place"), cases(), indirect=["debian"], scope="module")
def test_place(
    debian: Debian,
    place: Place,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    guest = debian.guest()
    try:
        place.prepare(guest, debian.disk_of(place))
        guest.hibernate()
        guest.resume(place.passphrase)
        assert guest.same_life()
        assert "resumed" in guest.run("torpor status").output
    except Exception:
        console = guest.console.splitlines()[-CONSOLE_LINES:]
        request.node.add_report_section("call", str(guest.logs[-1]), "\n".join(console))
        guest.kill()
        raise
    took = dict(guest.seconds)
    seconds = (f"{took[what]:.0f}" for what in ("boot", "hibernate", "resume"))
    generator, series = debian.combination
    record_property(HIBERNATED, (generator, place.name, series, *seconds))
