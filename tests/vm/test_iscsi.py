"""A store and a file system on disks of iSCSI, which the initramfs connects and iscsid again."""

from pathlib import Path

import pytest

from tests.vm.conftest import LONG_LIMIT_SECONDS, Guests
from tests.vm.sealed_lives import WAITS
from tests.vm.whole_lives import hibernate_to_disks
from vm.disks import blank_disk, file_system_disk
from vm.iscsi import IscsiTarget
from vm.lives import Guest

pytestmark = [pytest.mark.vm, pytest.mark.long]


def test_store_and_file_system(guests: Guests, tmp_path: Path) -> None:
    store, data = tmp_path / "store.img", tmp_path / "data.img"
    blank_disk(store, 1024)
    file_system_disk(data, "ext4")
    with IscsiTarget(tmp_path, store, data) as target:
        guest = guests.make("netroot", "6.1", append=f"{target.kernel_words} {WAITS}")
        guest.network, guest.limit = True, LONG_LIMIT_SECONDS
        guest.boot()
        guest.run("systemctl start iscsid.service")
        said = hibernate_to_disks(guest, "/dev/sd?")
        assert "iscsid connects disks again" in said
        assert "WARNING:" not in said, said
        see_that_iscsid_has_to_run(guest)


def see_that_iscsid_has_to_run(guest: Guest) -> None:
    guest.run("systemctl stop iscsid.socket iscsid.service; ! pidof iscsid")
    refused = guest.run("torpor hibernate", check=False)
    assert refused.status != 0
    why = "iscsid, which has to connect it again afterwards, does not run"
    assert why in refused.output, refused.output
