"""A machine without disks, its root and its image on servers, wakes up on another host."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import HIBERNATED
from tests.vm.conftest import Guests, Recorder
from tests.vm.sealed_lives import (
    ASKS_PASSPHRASE,
    LIMIT_SECONDS,
    WAITS,
    MachineKind,
    boot_cold,
    resume,
    seal,
)
from tests.vm.whole_lives import hibernated_row
from vm.diskless import Diskless, NfsRoot
from vm.iscsi import IscsiTarget
from vm.networked import CREDENTIALS, give_credentials, nothing_is_left, url_of
from vm.s3_server import S3Server

pytestmark = [pytest.mark.vm, pytest.mark.long]

ON_NFS: list[MachineKind] = [("dracut-nfs", "13", "6.12"), ("initramfs-tools-nfs", "12", "6.1")]


@pytest.fixture
def on_iscsi(guests: Guests, tmp_path: Path) -> Iterator[Diskless]:
    plain = guests.make("netroot", "6.1", suite="12")
    made = Diskless(plain.installed, plain.folder, limit=LIMIT_SECONDS, network=True)
    guests.made.append(made)
    with IscsiTarget(tmp_path, made.root) as target:
        made.append = f"root=/dev/sda {WAITS} {target.kernel_words}"
        yield made
        made.kill()


def test_with_its_root_on_iscsi(
    on_iscsi: Diskless, s3_server: S3Server, record_property: Recorder
) -> None:
    url = begin(on_iscsi, s3_server)
    on_iscsi.run("systemctl start iscsid.service")
    wake_up_elsewhere(on_iscsi, url, "12", record_property)


@pytest.mark.parametrize("kind", ON_NFS, ids="-".join)
def test_with_its_root_on_nfs(
    kind: MachineKind, guests: Guests, s3_server: S3Server, record_property: Recorder
) -> None:
    generator, suite, series = kind
    plain = guests.make(generator, series, suite=suite)
    guest = NfsRoot(plain.installed, plain.folder, limit=LIMIT_SECONDS, network=True)
    guests.made.append(guest)
    words = guest.server.words[generator.removesuffix("-nfs")]
    guest.append = f"{words} {WAITS} net.ifnames=0"
    url = begin(guest, s3_server)
    wake_up_elsewhere(guest, url, suite, record_property)


def begin(guest: Diskless, server: S3Server) -> str:
    """Boot a guest and put its store on the server; return its URL."""
    guest.boot()
    give_credentials(guest, server)
    url = url_of(server, "elsewhere")
    seal(guest, "passphrase", store=f"{url} --credentials {CREDENTIALS}")
    return url


def wake_up_elsewhere(guest: Diskless, url: str, suite: str, record_property: Recorder) -> None:
    """On another host of the same shape, and not on one with more memory."""
    guest.hibernate()
    guest.host = 2
    resume(guest, ASKS_PASSPHRASE)
    took = dict(guest.seconds)
    generator = guest.installed.generator
    row = hibernated_row(guest, suite, generator, "S3 server, elsewhere", took)
    record_property(HIBERNATED, row)
    nothing_is_left(guest, url)
    guest.run("echo after >/root/file && sync && echo 3 >/proc/sys/vm/drop_caches")
    guest.run("grep after /root/file")
    guest.hibernate()
    guest.memory += 256
    assert "memory" in boot_cold(guest)
    assert ASKS_PASSPHRASE not in guest.console
    nothing_is_left(guest, url)  # this boot writes to the root
