"""A store and a file system on disks of NVMe over TCP, which the kernel itself connects again."""

from pathlib import Path

import pytest

from tests.vm.conftest import LONG_LIMIT_SECONDS, Guests
from tests.vm.sealed_lives import WAITS
from tests.vm.whole_lives import disks_of_a_server, hibernate_to_disks
from vm.cable import join
from vm.nvme import DRACUT_WORDS, connect, serve

pytestmark = [pytest.mark.vm, pytest.mark.long]


def test_store_and_file_system(guests: Guests, tmp_path: Path) -> None:
    target = guests.make("target", "6.12", disks_of_a_server(tmp_path), suite="13")
    guest = guests.make("dracut-nvme", "6.12", append=f"{DRACUT_WORDS} {WAITS}", suite="13")
    guest.limit = target.limit = 2 * LONG_LIMIT_SECONDS
    join(target, guest)
    target.boot()
    serve(target, "/dev/vdb", "/dev/vdc")
    guest.boot()
    connect(guest)
    hibernate_to_disks(guest, "/dev/nvme*n*")
    guest.power_off()
    target.power_off()
