"""File systems in layers, mounted by a hibernated Debian: the guard sees through LVM and LUKS."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ENDED
from tests.vm.conftest import Guests
from tests.vm.places import LUKS, LUKS_UUID, SWAP_PARTITION
from vm.disks import blank_disk, copy_disk, ext4_complaints
from vm.lives import Guest

pytestmark = [pytest.mark.vm, pytest.mark.long]

KEY = "/etc/keys/data.key"


@dataclass(frozen=True, slots=True)
class Layer:
    """What lies between the disk /dev/vdc and its file system."""

    name: str
    make: list[str]
    open: list[str]
    """Makes the device appear in a system that has not seen it."""
    device: str


LVM = Layer(
    "LVM",
    ["pvcreate /dev/vdc", "vgcreate data /dev/vdc", "lvcreate -L 64M -n files data"],
    ["vgchange -ay data"],
    "/dev/data/files",
)
OPEN_LUKS = f"cryptsetup open --key-file {KEY} /dev/vdc files"
LAYERS = [
    LVM,
    Layer(
        "LUKS",
        [f"cryptsetup --uuid {LUKS_UUID} {LUKS.replace('DISK', '/dev/vdc')} {KEY}", OPEN_LUKS],
        [OPEN_LUKS],
        "/dev/mapper/files",
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


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_file_system_in_a_layer(
    layer: Layer, guests: Guests, record_property: Callable[[str, object], None]
) -> None:
    """Resumed as it was left; refused when another system has written to it."""
    guest, data = hibernated(layer, guests)
    guest.resume()
    assert guest.same_life()
    assert guest.run("cat /mnt/kept").output.strip() == "kept"
    guest.hibernate()
    write_elsewhere(layer, data, guests)
    guest.power_on("stale").wait_console("agent.service|not resuming")
    refusal = re.search(r"torpor-resume: not resuming: (.*)", guest.console)
    assert refusal, guest.console[-3000:]
    assert re.search("ext4 of /mnt.* has changed", refusal[1]), refusal[1]
    guest.kill()
    record_property(ENDED, (f"ext4 on {layer.name} written elsewhere", "swap", "-", "refused"))


def write_elsewhere(layer: Layer, data: Path, guests: Guests) -> None:
    copy = copy_disk(data, guests.folder / "copy.img")
    other = guests.make("initramfs-tools", "6.1", [blank_disk(guests.folder / "none.img", 1), copy])
    other.boot()
    for command in (MAKE_KEY, *layer.open):
        other.run(command)
    other.run(f"mount {layer.device} /mnt && grep -q kept /mnt/kept && echo new >/mnt/new")
    other.power_off()
    copy_disk(copy, data)
    assert ext4_complaints(other.root) == ""
