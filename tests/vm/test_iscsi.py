"""A store and a file system on disks of iSCSI, which the initramfs connects and iscsid again."""

from pathlib import Path

import pytest

from tests.vm.conftest import LONG_LIMIT_SECONDS, Guests
from tests.vm.disks_of_servers import (
    SERVED,
    disks_of_a_server,
    hibernate_to_disks,
    initiator_and_target,
)
from tests.vm.sealed_lives import WAITS
from vm import lio
from vm.iscsi import IscsiTarget
from vm.lives import Guest

pytestmark = [pytest.mark.vm, pytest.mark.long]


def test_with_initramfs_tools(guests: Guests, tmp_path: Path) -> None:
    with IscsiTarget(tmp_path, *disks_of_a_server(tmp_path)) as target:
        guest = guests.make("netroot", "6.1", append=f"{target.kernel_words} {WAITS}")
        guest.network, guest.limit = True, LONG_LIMIT_SECONDS
        guest.boot()
        guest.run("systemctl start iscsid.service")
        hibernate_and_see_who_goes_first(guest)


def test_with_dracut(guests: Guests, tmp_path: Path) -> None:
    guest, target = initiator_and_target(guests, "dracut-iscsi", lio.DRACUT_WORDS, tmp_path)
    lio.serve(target, *SERVED)
    guest.boot()
    lio.log_in(guest)
    hibernate_and_see_who_goes_first(guest)
    guest.power_off()
    target.power_off()


def hibernate_and_see_who_goes_first(guest: Guest) -> None:
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
