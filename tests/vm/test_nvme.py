"""A store and a file system on disks of NVMe over TCP, which the kernel itself connects again."""

from pathlib import Path

import pytest

from tests.vm.conftest import Guests
from tests.vm.disks_of_servers import SERVED, hibernate_to_disks, initiator_and_target
from vm.nvme import DRACUT_WORDS, connect, serve

pytestmark = [pytest.mark.vm, pytest.mark.long]


def test_store_and_file_system(guests: Guests, tmp_path: Path) -> None:
    guest, target = initiator_and_target(guests, "dracut-nvme", DRACUT_WORDS, tmp_path)
    serve(target, *SERVED)
    guest.boot()
    connect(guest)
    hibernate_to_disks(guest, "/dev/nvme*n*")
    guest.power_off()
    target.power_off()
