"""Images on an S3 server, of Debian guests whose initramfs brings the network up."""

import pytest

from tests.conftest import HIBERNATED
from tests.vm.conftest import Guests, Recorder
from tests.vm.cuts import refusals
from tests.vm.sealed_lives import ASKS_PASSPHRASE, LIMIT_SECONDS, MachineKind, resume, seal
from tests.vm.whole_lives import hibernated_row
from vm.lives import Guest
from vm.networked import (
    CREDENTIALS,
    bring_up,
    give_credentials,
    is_empty,
    nothing_is_left,
    url_of,
)
from vm.s3_server import S3Server

pytestmark = [pytest.mark.vm, pytest.mark.long]

MACHINES: list[MachineKind] = [
    ("initramfs-tools-network", "12", "6.1"),
    ("dracut-network", "13", "6.12"),
]


@pytest.mark.parametrize("kind", MACHINES, ids="-".join)
def test_hibernates_and_resumes(
    kind: MachineKind, guests: Guests, s3_server: S3Server, record_property: Recorder
) -> None:
    generator, suite, series = kind
    guest = guests.make(generator, series, suite=suite)
    guest.network, guest.limit = True, LIMIT_SECONDS
    guest.append = "torpor.timeout=60"
    guest.boot()
    bring_up(guest)
    give_credentials(guest, s3_server)
    url = url_of(s3_server, generator)
    seal(guest, "passphrase", store=f"{url} --credentials {CREDENTIALS}")
    bring_up(guest)
    guest.run(is_empty(url))
    guest.hibernate()
    resume(guest, ASKS_PASSPHRASE)
    row = hibernated_row(guest, suite, generator, "S3 server, sealed", dict(guest.seconds))
    record_property(HIBERNATED, row)
    nothing_is_left(guest, url)
    goes_on_without(guest, s3_server)


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
