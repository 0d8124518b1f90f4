"""A store and a file system on disks of NVMe over TCP, which the kernel itself connects again."""

from pathlib import Path

import pytest

from tests.vm.conftest import LONG_LIMIT_SECONDS, Guests
from tests.vm.whole_lives import hibernate_and_resume
from vm.disks import blank_disk, file_system_disk
from vm.nvme import DRACUT_WORDS, connect, join, serve

pytestmark = [pytest.mark.vm, pytest.mark.long]

STORE, DATA = "/dev/nvme0n1", "/dev/nvme0n2"


def test_store_and_file_system(guests: Guests, tmp_path: Path) -> None:
    store, data = tmp_path / "store.img", tmp_path / "data.img"
    blank_disk(store, 1024)
    file_system_disk(data, "ext4")
    target = guests.make("nvme-target", "6.12", [store, data], suite="13")
    guest = guests.make("dracut-nvme", "6.12", append=DRACUT_WORDS, suite="13")
    guest.limit = target.limit = 2 * LONG_LIMIT_SECONDS
    join(target, guest)
    target.boot()
    serve(target, "/dev/vdb", "/dev/vdc")
    guest.boot()
    connect(guest)
    guest.run(f"mkdir /data && mount {DATA} /data && torpor mkstore {STORE}")
    guest.rebuild_outside()
    guest.run(f"torpor enable --store {STORE}")
    guest.run("echo before >/data/file && sync")
    hibernate_and_resume(guest)
    said = guest.run("dmesg").output
    assert "mark cleared" in said, said
    assert "I/O error" not in said, said
    guest.run("grep before /data/file && echo after >/data/file && sync")
    guest.run("echo 3 >/proc/sys/vm/drop_caches && grep after /data/file")
    guest.power_off()
    target.power_off()
