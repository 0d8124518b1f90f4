"""Where a Debian guest can keep its image, and which guests are tried with which of the places.

What the host and the guest prepare for each; of generator, suite, kernel and place every pair
occurs, as tests/unit/test_guests.py proves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vm.debian import GENERATORS
from vm.disks import blank_disk, file_system_disk, partitioned_swap_disk
from vm.lives import Guest
from vm.suites import NEWEST

DISK_MIB = 1024
MIB = 700
PASSPHRASE = "secret"
LUKS = "--pbkdf pbkdf2 --pbkdf-force-iterations 1000 -q luksFormat DISK"
LUKS_UUID = "11111111-2222-3333-4444-555555555555"


EMPTY = partial(blank_disk, mib=DISK_MIB)
PARTITION = partial(partitioned_swap_disk, mib=DISK_MIB)
BTRFS = partial(file_system_disk, kind="btrfs", mib=DISK_MIB)
XFS = partial(file_system_disk, kind="xfs", mib=DISK_MIB)


@dataclass(frozen=True, slots=True)
class Place:
    """A place for an image: what makes its disk, the guest's commands, the store.

    In commands and store DISK stands for the disk's node, DATA for a folder of its own.
    """

    name: str
    disk: Callable[[Path], object]
    commands: list[str]
    store: str
    passphrase: str = ""
    """Typed at the resume, half a minute late."""
    inside: bool = False
    """Whether initramfs-tools has to see the guest's devices, and so to run in it."""

    def make(self, guest: Guest, disk: str) -> None:
        """Make the place on that disk of a guest that runs."""
        for command in self.commands:
            guest.run(_on(disk, command))
        guest.run("systemctl daemon-reload")

    def prepare(self, guest: Guest, disk: str) -> None:
        """Make the place on that disk of a guest that runs, and enable Torpor there."""
        self.make(guest, disk)
        if self.inside and guest.installed.generator == "initramfs-tools":
            guest.rebuild_inside()
        else:
            guest.rebuild_outside()
        guest.run(f"torpor enable --store {_on(disk, self.store)}")


def _on(disk: str, command: str) -> str:
    return command.replace("DISK", disk).replace("DATA", disk.replace("/dev", "/mnt"))


def mounted(kind: str) -> list[str]:
    """Mount the disk, now and at each boot."""
    return [f"echo DISK DATA {kind} defaults 0 0 >>/etc/fstab", "mkdir DATA", "mount DATA"]


def swap_on(device: str) -> list[str]:
    """Use a device or file as swap, now and at each boot."""
    return [f"mkswap {device}", f"echo {device} none swap sw 0 0 >>/etc/fstab", "swapon -a"]


def swap_file(file: str) -> list[str]:
    return [f"fallocate -l {MIB}M {file}", f"chmod 600 {file}", *swap_on(file)]


TAKE_KEYS_ALONG = """\
if [ -d /etc/cryptsetup-initramfs ]; then \
echo "KEYFILE_PATTERN='/etc/keys/*'" >>/etc/cryptsetup-initramfs/conf-hook; echo UMASK=0077 \
>/etc/initramfs-tools/conf.d/umask; else echo 'install_items+=" /etc/keys/safe.key "' \
>/etc/dracut.conf.d/keys.conf; fi"""
OPENED = ["systemctl daemon-reload", *swap_on("/dev/mapper/safe")]

SWAP_PARTITION = Place("swap partition", PARTITION, swap_on("DISK1"), "DISK1")
PLACES = [
    SWAP_PARTITION,
    Place("swap file on ext4", EMPTY, swap_file("/swap"), "/swap"),
    Place("swap file on xfs", XFS, [*mounted("xfs"), *swap_file("DATA/swap")], "DATA/swap"),
    Place(
        "swap file on btrfs",
        BTRFS,
        [*mounted("btrfs"), "touch DATA/swap", "chattr +C DATA/swap", *swap_file("DATA/swap")],
        "DATA/swap",
    ),
    Place(
        "swap on a logical volume",
        EMPTY,
        [
            "pvcreate DISK",
            "vgcreate group DISK",
            f"lvcreate -L {MIB}M -n swap group",
            *swap_on("/dev/group/swap"),
        ],
        "/dev/group/swap",
    ),
    Place(
        "swap on LUKS, key file",
        EMPTY,
        [
            "umask 077 && mkdir /etc/keys && head -c 64 /dev/urandom >/etc/keys/safe.key",
            TAKE_KEYS_ALONG,
            f"cryptsetup --uuid {LUKS_UUID} {LUKS} /etc/keys/safe.key",
            f"echo safe UUID={LUKS_UUID} /etc/keys/safe.key luks >>/etc/crypttab",
            "cryptsetup open --key-file /etc/keys/safe.key DISK safe",
            *OPENED,
        ],
        "/dev/mapper/safe",
        inside=True,
    ),
    Place(
        "swap on LUKS, late passphrase",
        EMPTY,
        [
            f"printf {PASSPHRASE} | cryptsetup --uuid {LUKS_UUID} {LUKS} -",
            f"echo safe UUID={LUKS_UUID} none luks >>/etc/crypttab",
            f"printf {PASSPHRASE} | cryptsetup open --key-file - DISK safe",
            *OPENED,
        ],
        "/dev/mapper/safe",
        passphrase=PASSPHRASE,
        inside=True,
    ),
    Place("store device", EMPTY, ["torpor mkstore DISK"], "DISK"),
    Place(
        "store file on xfs",
        XFS,
        [*mounted("xfs"), f"torpor mkstore --size {MIB}M DATA/store"],
        "DATA/store",
    ),
    Place("store file on ext4", EMPTY, [f"torpor mkstore --size {MIB}M /store"], "/store"),
]


MachineKind = tuple[str, str, str]
"""Generator, suite, series of the kernel."""

ROUNDS: list[list[MachineKind]] = [
    [("initramfs-tools", "12", "6.1"), ("dracut", "12", "6.1"), ("dracut-shell", "12", "6.1")],
    [("initramfs-tools", "13", "6.12"), ("dracut", "13", "6.12"), ("dracut-shell", "12", "6.12")],
    [(generator, "13", NEWEST) for generator in GENERATORS],
    [(generator, "unstable", NEWEST) for generator in GENERATORS],
]
"""One kernel each. In each round all places occur, and each next round gives each place to the
next generator."""


def rows() -> Iterator[tuple[MachineKind, Place]]:
    """Yield all rows, a machine and one of its places; those of one machine follow each other."""
    for turn, machines in enumerate(ROUNDS):
        for third, machine in enumerate(machines):
            for number, place in enumerate(PLACES):
                if (number + turn) % len(machines) == third:
                    yield machine, place


def places_of(machine: MachineKind) -> list[Place]:
    """Return the places to which one machine hibernates."""
    return [place for which, place in rows() if which == machine]
