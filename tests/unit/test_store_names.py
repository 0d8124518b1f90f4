"""Names that lead to the store: those that another device may have at the next boot are told."""

import pytest

from state.conf import Conf
from state.location import Location
from store.choose import Settings
from store.names import passing_names
from tests.unit.fake_machine import GIB, UUID_TEXT, FakeMachine
from tests.unit.test_doctor_faults import Fault, on_command_line, written
from torpor.doctor.finding import Level

SDA2, FREED = f"UUID={UUID_TEXT}", "UUID=eeeeeeee-0000-0000-0000-000000000000"


def settings(command_line: str, conf: str | None = None, location: str = "LABEL=x") -> Settings:
    return Settings(Conf(store=conf), command_line, Location(location))


def kept(name: str) -> Settings:
    """Only what enable kept."""
    return settings("quiet", location=name)


@pytest.mark.parametrize(
    "name",
    [
        *(SDA2, SDA2.upper(), "LABEL=x", "/dev/disk/by-id/usb-1", "/dev/mapper/swap"),
        *("/dev/vg/swap", "/dev/disk/by-path/pci-1", "/dev/md0", "/dev/md/swap", "/dev/xvda2"),
        *("/dev/drbd0", "/dev/gone", "/store"),
    ],
)
def test_names_that_last(name: str, fake: FakeMachine) -> None:
    _known_as(name, fake)
    assert [*passing_names(settings(f"resume={name}", name), fake.machine())] == []


@pytest.mark.parametrize(
    "name",
    [
        *("/dev/nvme0n1p3", "/dev/sdb", "/dev/vda2", "/dev/mmcblk0p2", "/dev/dm-0", "/dev/md127"),
        *("/dev/md126p1", "/dev/block/8:2", "/dev/disk/by-diskseq/4", "/dev/cciss/c0d0p1"),
        *("8:2", "0x802", "802"),
    ],
)
def test_names_of_this_boot(name: str, fake: FakeMachine) -> None:
    _known_as(name, fake)
    wanted = settings(f"resume={name}", name, "/dev/sda3")
    line, conf = f"resume={name} on the kernel command line", f"store = {name} in /etc/torpor.conf"
    machine = fake.machine()
    found = [*passing_names(wanted, machine), *passing_names(kept(name), machine)]
    assert [doubt.message.partition(" is a name of this boot")[0] for doubt in found] == [
        conf,
        line,
        f"resume={name} in /var/lib/torpor/location",
    ]
    last = SDA2 if "/" not in name or "by-" in name or "block" in name else FREED
    assert all(last in doubt.remedy for doubt in found)
    assert not any(doubt.is_certain for doubt in found)


def _known_as(name: str, fake: FakeMachine) -> None:
    """Have a device of this name: a link to sda2, or one that the kernel calls so."""
    if name.startswith(("/dev/disk/", "/dev/block/", "/dev/mapper/", "/dev/vg/", "/dev/md/")):
        fake.link(name, str(fake.root / "dev/sda2"))
    elif name.startswith("/dev/") and name != "/dev/gone":
        kernels = name.removeprefix("/dev/").replace("/", "!")
        fake.device(kernels, "9:9", GIB, FREED.removeprefix("UUID="))


def test_device_without_a_name_that_lasts(fake: FakeMachine) -> None:
    fake.device("sdb", "8:16", GIB, "")
    (doubt,) = passing_names(kept("/dev/sdb"), fake.machine())
    assert "use a partition or logical volume" in doubt.remedy


def by_name(fake: FakeMachine) -> None:
    text = "resume=/dev/sda2\n"
    fake.write("/var/lib/torpor/location", text)
    fake.initramfs |= {"var/lib/torpor/location": text.encode()}


FAULTS = {
    "resume= by the kernel's name": Fault(
        on_command_line("resume=/dev/sda2"),
        "resume=/dev/sda2 on the kernel command line is a name of this boot",
        f"say resume=UUID={UUID_TEXT} in the boot loader's configuration",
        Level.WARNING,
    ),
    "store by number": Fault(
        written("/etc/torpor.conf", "store = 8:2\n"),
        "store = 8:2 in /etc/torpor.conf is a name of this boot",
        f"say store = UUID={UUID_TEXT} there",
        Level.WARNING,
    ),
    "location by the kernel's name": Fault(
        by_name,
        "resume=/dev/sda2 in /var/lib/torpor/location is a name of this boot",
        f"run torpor enable, which writes UUID={UUID_TEXT}",
        Level.WARNING,
    ),
    "RESUME= by the kernel's name": Fault(
        written("/etc/initramfs-tools/conf.d/resume", "RESUME=/dev/sda2\n"),
        "RESUME=/dev/sda2 in /etc/initramfs-tools/conf.d/resume is a name of this boot",
        f"say RESUME=UUID={UUID_TEXT} there, and rebuild it: update-initramfs",
        Level.WARNING,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_doctor_warns_of_each(name: str, fake: FakeMachine) -> None:
    FAULTS[name].check(fake)
