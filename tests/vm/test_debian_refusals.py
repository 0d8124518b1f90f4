"""What a Debian guest refuses to hibernate to or resume from, and what it says."""

import re
import shutil

import pytest

from tests.vm.conftest import Guests
from tests.vm.test_debian import refusals, with_swap
from vm.disks import blank_disk, ext4_complaints, swap_disk

pytestmark = pytest.mark.vm

MEMORY_MIB = 768
STORE_MIB = 512


def test_places_that_do_not_last_or_do_not_suffice(guests: Guests) -> None:
    disk = guests.folder / "disk.img"
    swap_disk(disk, 8)
    guest = guests.make("initramfs-tools", "6.1", [disk])
    guest.boot()
    life = guest.life()
    guest.run("modprobe zram && echo 256M >/sys/block/zram0/disksize")
    guest.run("mkswap /dev/zram0 && swapon /dev/zram0")
    for command in ("torpor hibernate", "torpor hibernate --store /dev/zram0", "torpor enable"):
        refused = guest.run(command, check=False)
        assert refused.status == 8, refused
        assert "zram" in refused.output
    guest.run("echo random /dev/vdb /dev/urandom swap >>/etc/crypttab")
    guest.run("swapoff -a; cryptsetup open --type plain --key-file /dev/urandom /dev/vdb random")
    guest.run("mkswap /dev/mapper/random && swapon /dev/mapper/random")
    refused = guest.run("torpor hibernate --store /dev/mapper/random", check=False)
    assert refused.status == 8, refused
    assert "random key" in refused.output
    guest.run("swapoff -a; cryptsetup close random; mkswap /dev/vdb && swapon /dev/vdb")
    refused = guest.run("torpor hibernate", check=False)
    assert refused.status == 9, refused
    assert "exit code 9" in guest.run("torpor status").output
    assert guest.life().continues(life)


@pytest.mark.long
def test_newest_of_two_images(guests: Guests) -> None:
    stores = [guests.folder / "older.img", guests.folder / "newer.img"]
    for store in stores:
        blank_disk(store, STORE_MIB)
    guest = guests.make("initramfs-tools", "6.1", stores)
    guest.memory = MEMORY_MIB
    guest.boot()
    guest.run("torpor mkstore /dev/vdb && torpor mkstore /dev/vdc")
    guest.hibernate("torpor hibernate --store /dev/vdb")
    kept = guests.folder / "kept.img"
    shutil.copy(stores[0], kept)
    guest.resume()
    assert guest.same_life()
    guest.hibernate("torpor hibernate --store /dev/vdc")
    shutil.copy(kept, stores[0])
    guest.resume()
    assert guest.same_life()
    assert re.search(r"torpor-resume: .*skipped.*/dev/vdb", guest.console)
    guest.power_off()
    assert ext4_complaints(guest.root) == ""


@pytest.mark.long
def test_kept_image_goes_once_the_root_is_mounted(guests: Guests) -> None:
    """An image for less memory; torpor-stale.service gives the machine its swap back."""
    guest = with_swap(guests, "initramfs-tools")
    guest.rebuild_outside()
    guest.run("torpor enable")
    guest.hibernate()
    guest.memory += 128
    guest.boot()
    assert "the image on /dev/vdb1 is kept" in refusals(guest)[0]
    guest.run("timeout 120 sh -c 'until grep vdb1 /proc/swaps; do sleep 1; done'")
    said = guest.run("journalctl --no-pager -o cat -u torpor-stale.service").output
    assert "the image on /dev/vdb1 is discarded: the ext4 of /, on /dev/vda, has changed" in said
    guest.power_off()
    guest.boot()
    assert refusals(guest) == []
    assert "vdb1" in guest.run("cat /proc/swaps").output
    skipped = guest.run("systemctl show -P ConditionResult torpor-stale.service").output
    assert skipped.strip() == "no"
