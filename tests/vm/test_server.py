"""Images on an S3 server, of Debian guests whose initramfs brings the network up."""

import pytest

from tests.conftest import HIBERNATED
from tests.vm.conftest import Guests, Recorder
from tests.vm.cuts import refusals
from tests.vm.sealed_lives import (
    ASKS_PASSPHRASE,
    LIMIT_SECONDS,
    WAITS,
    MachineKind,
    move_to_server,
    on_server,
    resume,
)
from tests.vm.test_sealed_mkinitcpio import STAND_IN
from tests.vm.whole_lives import hibernated_row
from vm.lives import Guest, GuestError
from vm.mkinitcpio import RUNS_HOOK, MkinitcpioGuest
from vm.networked import IPCONFIG, is_empty, nothing_is_left
from vm.s3_server import S3Server

MOST_MIB, STEP_MIB = 336, 16
"""What a guest has in a file in memory; half of its 768 MiB have to be free for the snapshot."""

pytestmark = [pytest.mark.vm, pytest.mark.long]

MACHINES: list[MachineKind] = [
    ("initramfs-tools-network", "12", "6.1"),
    ("dracut-network", "13", "6.12"),
    ("dracut-shell-network", "12", "6.1"),
]


@pytest.mark.parametrize("kind", MACHINES, ids="-".join)
def test_hibernates_and_resumes(
    kind: MachineKind, guests: Guests, s3_server: S3Server, record_property: Recorder
) -> None:
    guest, url = on_server(kind, guests, s3_server)
    guest.run(is_empty(url))
    guest.hibernate()
    resume(guest, ASKS_PASSPHRASE)
    generator, suite, _ = kind
    row = hibernated_row(guest, suite, generator, "S3 server, sealed", dict(guest.seconds))
    record_property(HIBERNATED, row)
    nothing_is_left(guest, url)
    goes_on_without(guest, s3_server)


def test_with_mkinitcpio(guests: Guests, s3_server: S3Server, record_property: Recorder) -> None:
    """Its stand-in runs our hook, with klibc's ipconfig."""
    plain = guests.make("initramfs-tools-network", "6.1", suite="12")
    guest = MkinitcpioGuest(
        plain.installed,
        plain.folder,
        append=WAITS,
        limit=LIMIT_SECONDS,
        network=True,
        stand_in=STAND_IN,
    )
    guests.made.append(guest)
    guest.boot()
    guest.run(IPCONFIG)
    url = move_to_server(guest, s3_server)
    assert RUNS_HOOK in guest.console
    guest.hibernate()
    resume(guest, ASKS_PASSPHRASE)
    row = hibernated_row(guest, "12", "mkinitcpio", "S3 server, sealed", dict(guest.seconds))
    record_property(HIBERNATED, row)
    nothing_is_left(guest, url)


def test_with_little_memory(guests: Guests, s3_server: S3Server) -> None:
    """Ever more of it is free, until it suffices: each try before is refused, and none hangs."""
    guest, url = on_server(MACHINES[0], guests, s3_server)
    tried = [hibernates(guest, full) for full in range(MOST_MIB, 0, -STEP_MIB) if guest.is_on]
    assert tried[-1], tried
    assert len(tried) > 1, "there was room from the beginning"
    resume(guest, ASKS_PASSPHRASE)
    nothing_is_left(guest, url)


def hibernates(guest: Guest, full: int) -> bool:
    """Hibernate with so many MiB of memory that cannot be freed, and return whether that went."""
    guest.run(f"head -c {full}M /dev/urandom >/dev/shm/full")
    try:
        guest.hibernate("torpor hibernate")
    except GuestError as error:
        refused = str(error)
    else:
        return True
    assert "takes no snapshot" in refused, refused
    return False


def goes_on_without(guest: Guest, s3_server: S3Server) -> None:
    """Hibernate while the server is gone: that is said, and nothing else has changed."""
    s3_server.kill()
    try:
        refused = guest.run("torpor hibernate", check=False)
        assert refused.status == 6, refused.output
        assert "connection refused" in refused.output
        guest.power_off()
        guest.boot()
        (refusal,) = refusals(guest)
        assert "connection refused" in refusal
    finally:
        s3_server.start()
