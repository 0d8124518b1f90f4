"""A machine without disks, its root on iSCSI and its image on S3, wakes up on another host."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.conftest import HIBERNATED
from tests.vm.conftest import Guests, Recorder
from tests.vm.sealed_lives import ASKS_PASSPHRASE, LIMIT_SECONDS, boot_cold, resume, seal
from tests.vm.whole_lives import hibernated_row
from vm.debian import installed
from vm.iscsi import IscsiTarget
from vm.lives import Guest
from vm.machine import Machine
from vm.networked import CREDENTIALS, give_credentials, nothing_is_left, url_of
from vm.s3_server import S3Server

pytestmark = [pytest.mark.vm, pytest.mark.long]

SUITE, SERIES = "12", "6.1"


@dataclass(slots=True)
class Diskless(Guest):
    """A guest with its root on iSCSI, whose kernel and initramfs come as if over the network.

    `host` is the number of the one that it runs on.
    """

    host: int = 1

    def machine(self, log: Path) -> Machine:
        """Return the machine on that host."""
        made = Guest.machine(self, log)
        assert isinstance(made, Machine)
        return replace(made, disks=[], number=self.host)


@pytest.fixture
def guest(guests: Guests, tmp_path: Path) -> Iterator[Diskless]:
    root = installed("netroot", SUITE, SERIES, guests.package)
    made = Diskless(root, tmp_path / "diskless", limit=LIMIT_SECONDS, network=True)
    guests.made.append(made)
    with IscsiTarget(tmp_path, made.root) as target:
        made.append = f"root=/dev/sda torpor.timeout=60 {target.kernel_words}"
        yield made
        made.kill()


def test_wakes_up_on_another_host(
    guest: Diskless, s3_server: S3Server, record_property: Recorder
) -> None:
    url = url_of(s3_server, "elsewhere")
    guest.boot()
    give_credentials(guest, s3_server)
    seal(guest, "passphrase", store=f"{url} --credentials {CREDENTIALS}")
    guest.run("systemctl start iscsid.service")
    guest.hibernate()
    guest.host = 2
    resume(guest, ASKS_PASSPHRASE)
    row = hibernated_row(guest, SUITE, "netroot", "S3 server, elsewhere", dict(guest.seconds))
    record_property(HIBERNATED, row)
    nothing_is_left(guest, url)
    guest.run("echo after >/root/file && sync && echo 3 >/proc/sys/vm/drop_caches")
    guest.run("grep after /root/file")
    guest.hibernate()
    guest.memory += 256
    assert "memory" in boot_cold(guest)
    assert ASKS_PASSPHRASE not in guest.console
