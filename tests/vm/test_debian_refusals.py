"""What a Debian guest refuses to hibernate to or resume from, also through LVM and LUKS."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ENDED
from tests.vm.conftest import Guests, Recorder
from tests.vm.cuts import refusals
from tests.vm.places import LUKS, LUKS_UUID, SWAP_PARTITION
from tests.vm.whole_lives import enable, hibernate_and_resume
from vm.disks import blank_disk, copy_disk, ext4_complaints, swap_disk
from vm.lives import Guest

pytestmark = pytest.mark.vm

MEMORY_MIB = 768
STORE_MIB = 512


@pytest.mark.long
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
    """An image for less memory; the machine has its swap back, and hibernates to it again."""
    guest = guests.with_swap(options="sw,nofail")
    enable(guest)
    guest.hibernate()
    guest.memory += 128
    guest.boot()
    assert "the image on /dev/vdb1 is kept" in refusals(guest)[0]
    journal = "journalctl --no-pager -b -o cat -u torpor-stale.service"
    is_over = f"{journal} | grep Finished"
    guest.run(f"timeout 120 sh -c 'until grep vdb1 /proc/swaps && {is_over}; do sleep 1; done'")
    said = guest.run(journal).output
    # swapon(8) may come first: it takes such an image for useless, and puts the signature back.
    assert re.search(r"/dev/vdb1 is discarded: the ext4 of /, on /dev/vda, has|no image on", said)
    guest.power_off()
    guest.boot()
    assert refusals(guest)[0].startswith("no image: ")
    assert "vdb1" in guest.run("cat /proc/swaps").output
    skipped = guest.run("systemctl show -P Result torpor-stale.service").output
    assert skipped.strip() == "exec-condition"
    hibernate_and_resume(guest)


KEY = "/etc/keys/data.key"


@dataclass(frozen=True, slots=True)
class Layer:
    """What lies between the disk /dev/vdc and its file system."""

    name: str
    make: list[str]
    open: list[str]
    """Makes the device appear in a system that has not seen it."""
    device: str
    change: str
    """Leaves the contents as they are, but not where they lie, or not their key."""


OPEN_LUKS = f"cryptsetup open --key-file {KEY} /dev/vdc files"
LAYERS = [
    Layer(
        "LVM",
        ["pvcreate /dev/vdc", "vgcreate data /dev/vdc", "lvcreate -L 48M -n files data"],
        ["vgchange -ay data"],
        "/dev/data/files",
        "pvmove --alloc anywhere /dev/vdc:0-11 /dev/vdc:12-23",
    ),
    Layer(
        "LUKS",
        [f"cryptsetup --uuid {LUKS_UUID} {LUKS.replace('DISK', '/dev/vdc')} {KEY}", OPEN_LUKS],
        [OPEN_LUKS],
        "/dev/mapper/files",
        f"cryptsetup close files && cryptsetup reencrypt -q --key-file {KEY} /dev/vdc",
    ),
]
MAKE_KEY = f"mkdir -p /etc/keys && printf key-of-the-tests >{KEY}"


def hibernated(layer: Layer, guests: Guests) -> tuple[Guest, Path]:
    swap, data = guests.folder / "swap.img", blank_disk(guests.folder / "data.img", 128)
    SWAP_PARTITION.disk(swap)
    guest = guests.make("initramfs-tools", "6.1", [swap, data])
    guest.boot()
    for command in (MAKE_KEY, *layer.make, f"mke2fs -q -t ext4 {layer.device}"):
        guest.run(command)
    guest.run(f"mount {layer.device} /mnt && echo kept >/mnt/kept && sync")
    if layer.name == "LUKS":
        guest.run(f"echo files UUID={LUKS_UUID} {KEY} luks,initramfs >>/etc/crypttab")
        guest.run("echo \"KEYFILE_PATTERN='/etc/keys/*'\" >>/etc/cryptsetup-initramfs/conf-hook")
    SWAP_PARTITION.prepare(guest, "/dev/vdb")
    if layer.name == "LUKS":
        guest.rebuild_inside()
        guest.run("update-initramfs -u")
    guest.hibernate()
    return guest, data


@pytest.mark.long
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_file_system_in_a_layer(layer: Layer, guests: Guests, record_property: Recorder) -> None:
    """Resumed as it was left; refused when another system has written to it."""
    guest, data = hibernated(layer, guests)
    guest.resume()
    assert guest.same_life()
    assert guest.run("cat /mnt/kept").output.strip() == "kept"
    guest.hibernate()
    write = f"mount {layer.device} /mnt && grep -q kept /mnt/kept && echo new >/mnt/new"
    do_elsewhere([*layer.open, write], data, guests)
    check_refused("ext4 of /mnt.* has changed", guest)
    record_property(ENDED, (f"ext4 on {layer.name} written elsewhere", "swap", "-", "refused"))


@pytest.mark.long
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_layer_that_has_changed(layer: Layer, guests: Guests, record_property: Recorder) -> None:
    """The file system in it is as it was."""
    guest, data = hibernated(layer, guests)
    do_elsewhere([*layer.open, layer.change], data, guests)
    check_refused("ext4 of /mnt.* lies elsewhere than when the image was made", guest)
    guest.boot()
    assert guest.run(f"mount {layer.device} /mnt && cat /mnt/kept").output.strip() == "kept"
    record_property(ENDED, (f"{layer.name} below ext4 changed elsewhere", "swap", "-", "refused"))


def check_refused(why: str, guest: Guest) -> None:
    guest.power_on("stale").wait_console("agent.service|not resuming")
    (refusal,) = refusals(guest)
    assert re.search(why, refusal), refusal
    guest.kill()


def do_elsewhere(commands: list[str], data: Path, guests: Guests) -> None:
    """Run them in another system that has the disk with the data."""
    copy = copy_disk(data, guests.folder / "copy.img")
    other = guests.make("initramfs-tools", "6.1", [blank_disk(guests.folder / "none.img", 1), copy])
    other.boot()
    for command in (MAKE_KEY, *commands):
        other.run(command)
    other.power_off()
    copy_disk(copy, data)
    assert ext4_complaints(other.root) == ""


@pytest.mark.long
def test_file_system_that_the_next_boot_does_not_open(guests: Guests) -> None:
    """Each resume would wait for it in vain: no hibernation begins until it is unmounted."""
    swap, data = guests.folder / "swap.img", blank_disk(guests.folder / "data.img", 128)
    SWAP_PARTITION.disk(swap)
    guest = guests.make("initramfs-tools", "6.1", [swap, data])
    guest.boot()
    SWAP_PARTITION.prepare(guest, "/dev/vdb")
    luks = LAYERS[1]
    for command in (MAKE_KEY, *luks.make, f"mke2fs -q -t ext4 {luks.device}"):
        guest.run(command)
    guest.run(f"mkdir /data && mount {luks.device} /data")
    refused = guest.run("torpor hibernate", check=False)
    assert refused.status == 16, refused
    assert "to open files, on which /data lies" in refused.output
    assert "before you hibernate: umount /data; or" in refused.output
    assert "to open files, on which /data lies" in guest.run("torpor doctor", check=False).output
    guest.run("umount /data && cryptsetup close files")
    hibernate_and_resume(guest)
