"""Images on an S3 server, of Debian guests whose initramfs brings the network up."""

import pytest

from tests.conftest import HIBERNATED
from tests.vm.conftest import Guests, Recorder
from tests.vm.cuts import refusals
from tests.vm.sealed_lives import ASKS_PASSPHRASE, LIMIT_SECONDS, MachineKind, resume, seal
from tests.vm.whole_lives import hibernated_row
from vm.lives import Guest
from vm.s3_server import FROM_A_GUEST, S3Server

pytestmark = [pytest.mark.vm, pytest.mark.long]

MACHINES: list[MachineKind] = [
    ("initramfs-tools-network", "12", "6.1"),
    ("dracut-network", "13", "6.12"),
]
_UP = (
    "name=$(ls /sys/class/net | grep -v lo); ip link set $name up; "
    "ip addr replace 10.0.2.15/24 dev $name; ip route replace default via 10.0.2.2"
)
"""What a daemon of the guest would do, which has none."""


@pytest.mark.parametrize("kind", MACHINES, ids="-".join)
def test_hibernates_and_resumes(
    kind: MachineKind, guests: Guests, s3_server: S3Server, record_property: Recorder
) -> None:
    generator, suite, series = kind
    guest = guests.make(generator, series, suite=suite)
    guest.network, guest.limit = True, LIMIT_SECONDS
    guest.append = "torpor.timeout=60"
    guest.boot()
    guest.run(_UP)
    keys = f"access_key={s3_server.access_key}\\nsecret_key={s3_server.secret_key}\\n"
    guest.run(f"umask 077; printf '{keys}' >/root/keys")
    url = s3_server.url(generator, FROM_A_GUEST)
    seal(guest, "passphrase", store=f"{url} --credentials /root/keys")
    guest.run(_UP)
    assert "empty" in guest.run(f"torpor list {url}").output
    guest.hibernate()
    resume(guest, ASKS_PASSPHRASE)
    row = hibernated_row(guest, suite, generator, "S3 server, sealed", dict(guest.seconds))
    record_property(HIBERNATED, row)
    nothing_is_left(guest, url)
    goes_on_without(guest, s3_server)


def nothing_is_left(guest: Guest, url: str) -> None:
    """See that the restored machine has its image removed."""
    gone = f"torpor list {url} | grep -q 'empty, 0 MiB'"
    guest.run(f"for _ in $(seq 60); do {gone} && exit; sleep 1; done; torpor list {url}; exit 1")


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
