"""Which image a boot restores, and what becomes of the others: see the fixture `restoring`."""

import os

import pytest

from errors import TorporError
from format.records import Identity
from resume.outcome import Outcome
from state.location import Location
from store.header import StoreHeader, read_header
from tests.sources import opened
from tests.unit.booting import Boot
from tests.unit.marked import HERE, INSTALLATION, Made

OURS = Location("", machine_id=INSTALLATION)
FOREIGN = HERE._replace(machine_id="cd" * 16, host_name="puma")
OTHER_KERNEL = HERE._replace(kernel_release="1.0")


class Restored(BaseException):
    """What ends a boot that restores, with the device."""

    def __init__(self, header: StoreHeader) -> None:
        super().__init__(header.name)
        self.name = header.name


def stand_in(_image: object, header: StoreHeader, _report: object) -> None:
    """Restore an image as far as its mark is concerned."""
    header.clear()
    raise Restored(header)


def image(boot: Boot, day: int, identity: Identity = HERE, page: int = 0) -> str:
    """A store with an image of the first `day`s of 1970."""
    return boot.image(made=Made(identity, day=day), page=page)


def restored(boot: Boot, text: str = "quiet", location: Location = OURS) -> str:
    """Return the device that was restored from."""
    with pytest.raises(Restored) as caught:
        boot.resume(text, location)
    return caught.value.name


def refused(
    boot: Boot, kind: type[TorporError], text: str = "quiet", location: Location = OURS
) -> Outcome:
    """Return how a boot went that did not resume for this reason."""
    outcome = boot.resume(text, location)
    assert type(outcome.error) is kind
    return outcome


def holds_image(path: str) -> bool:
    with opened(path) as fd:
        return read_header(fd, path).holds_image()


def damage(path: str, at: int) -> None:
    with opened(path) as fd:
        os.pwrite(fd, b"\xff" * 8, at)
