"""Where a disk hangs: the same at each boot of a machine, another once the disk was moved."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from errors import ChangedError
from guard.compare import compare
from guard.place import place_of
from tests.tools import put
from tests.unit.fake_root import UUID_1, UUID_2, Disks, ext
from tests.unit.test_guard_compare import entry_of

PCI = "pci0000:00/0000:00"


class Machine:
    """A sysfs with real trees; every disk is sda's like, but for what a driver says of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.disks = Disks(folder)
        self.sysfs = folder / "sys"

    def place(self, path: str, beside: tuple[str, ...] = (), files: Mapping[str, str] = {}) -> str:
        """Return the place of the disk at a path below /sys/devices.

        `beside` are other folders there; `files` are in /sys.
        """
        name = Path(path).name
        for folder in (path, *beside):
            (self.sysfs / "devices" / folder).mkdir(parents=True, exist_ok=True)
        (self.sysfs / "class/block").mkdir(parents=True, exist_ok=True)
        (self.sysfs / "class/block" / name).symlink_to(self.sysfs / "devices" / path)
        if name.startswith("nvme"):
            (self.sysfs / "devices" / path / "device").symlink_to("..")
        put(self.sysfs, {file: f"{text}\n" for file, text in files.items()})
        return place_of(name, self.disks)


@pytest.fixture
def machines(tmp_path: Path) -> list[Machine]:
    return [Machine(tmp_path / name) for name in ("then", "now")]


ATA = f"{PCI}:1f.2/ata{{}}"
USB = f"{PCI}:14.0/usb{{}}"
EXPANDER = "port-{1}:0/expander-{1}:0/port-{1}:0:5/end_device-{1}:0:5"
SAS = f"{PCI}:03.0/0000:{{0}}:00.0/host{{1}}/{EXPANDER}"
HYPER_V = "LNXSYSTM:00/LNXSYBUS:00/PNP0A03:00/device:07/VMBUS:01"

Disk = tuple[str, tuple[str, ...], dict[str, str]]


def disk(path: str, *beside: str, files: dict[str, str] | None = None) -> Disk:
    return path, beside, files or {}


def ata(first: int, port: int, host: int, letter: str) -> Disk:
    """A controller of six ports, whose first has that number."""
    ports = [ATA.format(first + nth) for nth in range(6)]
    target = f"host{host}/target{host}:0:0/{host}:0:0:0/block/sd{letter}"
    return disk(f"{ports[port]}/{target}", *ports)


def usb(bus: int, ports: str, host: int) -> Disk:
    """A controller with a root hub of the old speed and, behind it, one of the new."""
    device = f"{bus}-{ports}/{bus}-{ports}:1.0"
    target = f"host{host}/target{host}:0:0/{host}:0:0:0/block/sdb"
    first = bus - bus % 2
    hubs = [USB.format(first + nth) for nth in range(2)]
    return disk(f"{USB.format(bus)}/{device}/{target}", *hubs)


def iscsi(host: int, session: int, lun: int, name: str = "iqn.2003-01.org:disk") -> Disk:
    path = f"platform/host{host}/session{session}/target{host}:0:0/{host}:0:0:{lun}/block/sdc"
    others = [f"platform/host{nth}" for nth in range(host)]
    return disk(path, *others, files={f"class/iscsi_session/session{session}/targetname": name})


def fibre(host: int, target: int, lun: int, port: str = "0x50060e80") -> Disk:
    rport = f"rport-{host}:0-{target}"
    path = f"{PCI}:03.0/0000:04:00.0/host{host}/{rport}/target{host}:0:{target}"
    address = f"{host}:0:{target}:{lun}"
    named = {f"class/fc_remote_ports/{rport}/port_name": port}
    return disk(f"{path}/{address}/block/sdd", files=named)


def sas(bus: str, host: int, target: int, address: str = "0x5000c500a1") -> Disk:
    end = f"end_device-{host}:0:5"
    path = SAS.format(bus, host)
    named = {f"class/sas_device/{end}/sas_address": address}
    disk_path = f"{path}/target{host}:0:{target}/{host}:0:{target}:0/block/sde"
    return disk(disk_path, files=named)


def nvme(bus: str, number: int, nth: int, nsid: int = 1, slot: str = "00.0") -> Disk:
    path = f"{PCI}:1d.0/0000:{bus}:{slot}/nvme/nvme{number}/nvme{number}n{nth}"
    return disk(path, files={f"devices/{path}/nsid": str(nsid)})


def virtio(slot: str, number: int, letter: str) -> Disk:
    return disk(f"{PCI}:{slot}.0/virtio{number}/block/vd{letter}")


def virtio_scsi(number: int, host: int, target: int, lun: int) -> Disk:
    where = f"host{host}/target{host}:0:{target}/{host}:0:{target}:{lun}"
    return disk(f"{PCI}:05.0/virtio{number}/{where}/block/sda")


def hyper_v(guid: str, host: int, lun: int) -> Disk:
    return disk(f"{HYPER_V}/{guid}/host{host}/target{host}:0:0/{host}:0:0:{lun}/block/sda")


def mmc(slot: str, host: int, card: str) -> Disk:
    return disk(f"{slot}/mmc_host/mmc{host}/mmc{host}:{card}/block/mmcblk{host}")


def dasd(subchannel: str, number: str, letter: str) -> Disk:
    return disk(f"css0/0.0.{subchannel}/0.0.{number}/block/dasd{letter}")


GUID = "00000000-0000-8899-0000-000000000000"
SAME = {
    "ata: another controller was first": (ata(1, 2, 2, "a"), ata(7, 2, 8, "c")),
    "usb: numbers of busses and hosts": (usb(2, "3.1", 6), usb(4, "3.1", 3)),
    "iscsi: sessions and hosts": (iscsi(3, 1, 2), iscsi(7, 4, 2)),
    "fibre channel: the order of ports": (fibre(5, 3, 1), fibre(6, 0, 1)),
    "sas: a target's number": (sas("04", 0, 7), sas("05", 1, 2)),
    "nvme: a card is there before it": (nvme("03", 0, 1), nvme("04", 1, 1)),
    "nvme: namespaces that came in another order": (nvme("03", 0, 1, 2), nvme("03", 0, 2, 2)),
    "virtio: numbers": (virtio("04", 1, "a"), virtio("04", 3, "c")),
    "virtio-scsi: hosts": (virtio_scsi(1, 0, 2, 3), virtio_scsi(4, 2, 2, 3)),
    "hyper-v: hosts": (hyper_v(GUID, 0, 1), hyper_v(GUID, 3, 1)),
    "mmc: hosts and what a card calls itself": (
        mmc(f"{PCI}:1a.0", 0, "aaaa"),
        mmc(f"{PCI}:1a.0", 1, "b368"),
    ),
    "xen": (disk("vbd-51712/block/xvda"), disk("vbd-51712/block/xvdb")),
    "dasd": (dasd("0001", "1234", "a"), dasd("0001", "1234", "c")),
    "vmd: numbers of domains": (
        disk(f"{PCI}:0e.0/pci10000:e0/10000:e0:06.0/nvme/nvme0/nvme0n1"),
        disk(f"{PCI}:0e.0/pci10001:e0/10001:e0:06.0/nvme/nvme1/nvme1n1"),
    ),
    "virtual: any number": (disk("virtual/block/drbd1"), disk("virtual/block/drbd2")),
}
DIFFERENT = {
    "ata: another port": (ata(1, 2, 2, "a"), ata(1, 3, 3, "a")),
    "ata: master and slave": (
        disk(f"{ATA.format(1)}/host0/target0:0:0/0:0:0:0/block/sda"),
        disk(f"{ATA.format(1)}/host0/target0:0:1/0:0:1:0/block/sda"),
    ),
    "usb: another port": (usb(2, "3.1", 6), usb(2, "3.2", 6)),
    "usb: another root hub": (usb(2, "3", 6), usb(3, "3", 6)),
    "iscsi: another LUN": (iscsi(3, 1, 2), iscsi(3, 1, 1)),
    "iscsi: another target": (iscsi(3, 1, 2), iscsi(3, 1, 2, "iqn.2003-01.org:other")),
    "fibre channel: another LUN": (fibre(5, 3, 1), fibre(5, 3, 2)),
    "fibre channel: another port": (fibre(5, 3, 1), fibre(5, 3, 1, "0x50060e81")),
    "sas: another address": (sas("04", 0, 7), sas("04", 0, 7, "0x5000c500a2")),
    "nvme: another namespace": (nvme("03", 0, 1, 1), nvme("03", 0, 1, 2)),
    "nvme: another slot": (nvme("03", 0, 1), nvme("03", 0, 1, slot="01.0")),
    "virtio: another slot": (virtio("04", 1, "a"), virtio("05", 1, "a")),
    "virtio-mmio": (
        disk("platform/virtio-mmio.0/virtio0/block/vda"),
        disk("platform/virtio-mmio.1/virtio0/block/vda"),
    ),
    "virtio-scsi: another target": (virtio_scsi(1, 0, 2, 3), virtio_scsi(1, 0, 1, 3)),
    "virtio-scsi: another LUN": (virtio_scsi(1, 0, 2, 3), virtio_scsi(1, 0, 2, 4)),
    "hyper-v: another controller": (
        hyper_v(GUID, 0, 1),
        hyper_v(GUID.replace("8899", "8898"), 0, 1),
    ),
    "hyper-v: another LUN": (hyper_v(GUID, 0, 1), hyper_v(GUID, 0, 2)),
    "mmc: another slot": (mmc(f"{PCI}:1a.0", 0, "aaaa"), mmc(f"{PCI}:1b.0", 0, "aaaa")),
    "mmc: another platform device": (
        mmc("platform/80860F14:00", 0, "0001"),
        mmc("platform/80860F14:01", 0, "0001"),
    ),
    "xen": (disk("vbd-51712/block/xvda"), disk("vbd-51728/block/xvda")),
    "dasd": (dasd("0001", "1234", "a"), dasd("0001", "1235", "a")),
}


def places(machines: list[Machine], pair: tuple[Disk, Disk]) -> list[str]:
    return [
        machine.place(path, beside, files)
        for machine, (path, beside, files) in zip(machines, pair, strict=True)
    ]


@pytest.mark.parametrize("name", SAME)
def test_what_another_boot_may_have(name: str, machines: list[Machine]) -> None:
    then, now = places(machines, SAME[name])
    assert then == now != ""


@pytest.mark.parametrize("name", DIFFERENT)
def test_a_disk_that_was_moved(name: str, machines: list[Machine]) -> None:
    then, now = places(machines, DIFFERENT[name])
    assert then != now


def test_how_places_read(machines: list[Machine]) -> None:
    machine, _ = machines
    assert [
        machine.place(path, beside, files)
        for path, beside, files in (
            ata(3, 2, 4, "a"),
            usb(3, "4.2", 6),
            iscsi(3, 1, 2),
            sas("04", 0, 7),
            nvme("03", 0, 1),
            virtio("04", 1, "a"),
            mmc(f"{PCI}:1a.0", 0, "aaaa"),
        )
    ] == [
        "pci0000:00/1f.2/ata#2/host#0/0:0:0",
        "pci0000:00/14.0/usb#1/4.2/4.2:1.0/host#0/0:0:0",
        "platform/iqn.2003-01.org:disk/2",
        "pci0000:00/03.0/00.0/0x5000c500a1/0",
        "pci0000:00/1d.0/00.0/nvme/nvme#0 namespace 1",
        "pci0000:00/04.0/virtio#0",
        "pci0000:00/1a.0/mmc_host/mmc#0",
    ]


def subsystem(machine: Machine, *controllers: str, nsid: int = 1) -> str:
    """Return the place of a namespace of controllers at these paths below /sys/devices."""
    above = machine.sysfs / "devices/virtual/nvme-subsystem/nvme-subsys0"
    above.mkdir(parents=True)
    for nth, path in enumerate(controllers):
        put(machine.sysfs / "devices" / path, {"subsysnqn": "nqn.2014-08.org:a\n"})
        (above / f"nvme{nth}").symlink_to(machine.sysfs / "devices" / path)
    path = "virtual/nvme-subsystem/nvme-subsys0/nvme0n1"
    return machine.place(path, (), {f"devices/{path}/nsid": str(nsid)})


def test_a_namespace_with_several_paths(machines: list[Machine]) -> None:
    """It is no controller's child; paths over a network may come and go, in any order."""
    then, now = machines
    ports = [f"{PCI}:1d.{nth}/0000:03:00.0/nvme/nvme{nth}" for nth in range(2)]
    assert subsystem(then, *ports) == subsystem(now, *ports[::-1])
    assert place_of("nvme0n1", now.disks).count("nvme#0") == 2


def test_a_namespace_over_a_network(machines: list[Machine]) -> None:
    then, now = machines
    ways = [f"virtual/nvme-fabrics/ctl/nvme{nth}" for nth in range(3)]
    place = subsystem(then, *ways)
    assert place == subsystem(now, ways[2])
    assert place.endswith("nqn.2014-08.org:a namespace 1")


def exchange(disks: Disks) -> None:
    """Have the disks vda and vdb change their slots: names follow slots."""
    for path, data in (("/dev/vda", ext(UUID_2)), ("/dev/vdb", ext(UUID_1))):
        Path(disks.path(path)).write_bytes(data)


def plug(disks: Disks, name: str, path: str) -> None:
    """Have a disk be at this path below /sys/devices."""
    sysfs = disks.folder / "sys"
    there = sysfs / "devices" / path
    there.mkdir(parents=True)
    (sysfs / "class/block" / name).rename(there / name)
    (sysfs / "class/block" / name).symlink_to(there / name)


def test_disks_that_changed_places_are_refused(tmp_path: Path) -> None:
    """Each is found and unchanged; the restored kernel would write to one what the other holds."""
    disks = Disks(tmp_path)
    paths = [disks.add("vda", ext(UUID_1)), disks.add("vdb", ext(UUID_2))]
    for name, slot in (("vda", "04"), ("vdb", "05")):
        plug(disks, name, f"{PCI}:{slot}.0/virtio{slot[1]}/block")
    entries = [entry_of(disks, path) for path in paths]
    compare(entries, lambda: False, disks)
    exchange(disks)
    with pytest.raises(
        ChangedError,
        match=r": disk pci0000:00/05.0/virtio#0, then disk pci0000:00/04.0/virtio#0$",
    ):
        compare(entries, lambda: False, disks)


@pytest.mark.parametrize("layers", ["", "disk"])
def test_an_image_that_does_not_tell_the_place_is_refused(layers: str, tmp_path: Path) -> None:
    """Version 0.1.0 told nothing of what lies below."""
    disks = Disks(tmp_path)
    path = disks.add("vda", ext())
    plug(disks, "vda", f"{PCI}:04.0/virtio1/block")
    told = entry_of(disks, path)._replace(layers=layers)
    with pytest.raises(ChangedError, match=f": disk pci0000:00/04.*, then {layers or 'nothing'}$"):
        compare([told], lambda: False, disks)
