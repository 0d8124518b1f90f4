"""Every place for an image, on every suite with its kernels, by every initramfs generator: one
life of a machine after another, each hibernated to one place and resumed from it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import HIBERNATED
from tests.vm.conftest import Guests, Recorder, show
from tests.vm.places import MachineKind, Place, places_of, rows
from tests.vm.whole_lives import (
    RESUMER,
    TRACE,
    executed,
    hibernate_and_resume,
    hibernated_row,
    started_for_us,
)
from vm.disks import ext4_complaints
from vm.lives import Guest

pytestmark = [pytest.mark.vm, pytest.mark.long]

# A Debian with systemd has something of its own that resumes; so it stays the fallback.
STOCK = {
    "initramfs-tools": "scripts/local-premount/resume",
    "dracut": "usr/lib/systemd/system/systemd-hibernate-resume",
    "dracut-shell": "usr/lib/dracut/resume.sh",
}


class Debian:
    """A machine that goes from place to place; after a failure it starts anew."""

    def __init__(self, kind: MachineKind, guests: Guests) -> None:
        self.kind = kind
        self._guests = guests
        self._guest: Guest | None = None

    def guest(self) -> Guest:
        """Return the machine, which runs, with a disk for each of its places.

        There is no image at its first boot: nothing of ours is started but the resumer.
        """
        if self._guest is None or not self._guest.is_on:
            folder = self._guests.folder / f"disks{len(self._guests.made)}"
            folder.mkdir()
            disks = []
            for number, place in enumerate(places_of(self.kind)):
                disks.append(folder / f"{number}.img")
                place.disk(disks[-1])
            generator, suite, series = self.kind
            self._guest = self._guests.make(generator, series, disks, TRACE, suite)
            self._guest.limit = 1500
            self._guest.boot()
            assert STOCK[self._guest.installed.generator] in self._guest.installed.listing
            assert set(started_for_us(executed(self._guest))) <= {RESUMER}
        return self._guest

    def end(self) -> None:
        """Shut it down; after all its lives its root is clean."""
        if self._guest is not None and self._guest.is_on:
            self._guest.power_off()
            assert ext4_complaints(self._guest.root) == ""

    def disk_of(self, place: Place) -> str:
        return f"/dev/vd{'bcdefgh'[places_of(self.kind).index(place)]}"


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
    return [pytest.param(kind, place, id="-".join((*kind, place.name))) for kind, place in rows()]


@pytest.mark.parametrize(("debian", "place"), cases(), indirect=["debian"], scope="module")
def test_place(
    debian: Debian, place: Place, request: pytest.FixtureRequest, record_property: Recorder
) -> None:
    took: dict[str, float] = {}
    guest = debian.guest()
    try:
        place.prepare(guest, debian.disk_of(place))
        hibernate_and_resume(guest, place.passphrase)
        took = dict(guest.seconds)
    except Exception:
        show(request, guest.logs[-1], "call")
        guest.kill()
        raise
    finally:
        generator, suite, _ = debian.kind
        row = hibernated_row(guest, suite, generator, place.name, took)
        record_property(HIBERNATED, row)
