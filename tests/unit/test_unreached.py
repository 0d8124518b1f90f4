"""What the next boot does not reach: doctor tells, and torpor hibernate refuses what is certain."""

from collections.abc import Callable

import pytest

from store.find import look_at
from tests.unit.fake_initramfs import Link
from tests.unit.fake_machine import GIB, HOME_UUID, IMAGE, MOUNTS, RELEASE, FakeMachine
from tests.unit.test_doctor_kinds import DASHED, LUKS, dracut, hold, mkinitcpio, systemd
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, Level
from torpor.doctor.unreached import unreached

HOME_LUKS = LUKS.replace("swap_crypt", "home")
PCI = "pci0000:00/0000:00:1f.2"
ISCSI = "platform/host4/session3/target4:0:0/4:0:0:1/block"
MD_UUID = "01234567-89ab-cdef-0123-456789abcdef"
MODULES = f"usr/lib/modules/{RELEASE}/kernel/drivers"

Change = Callable[[FakeMachine], object]


def attach(fake: FakeMachine, name: str, place: str, **drivers: str) -> None:
    """Have the device lie there in /sys/devices, driven by modules by folders of the place."""
    entry, attached = (
        fake.root / "sys/class/block" / name,
        fake.root / "sys/devices" / place / name,
    )
    attached.parent.mkdir(parents=True, exist_ok=True)
    entry.rename(attached)
    entry.symlink_to(attached)
    for part, module in drivers.items():
        folder = next(each for each in attached.parents if each.name.endswith(part))
        driver = f"/sys/bus/pci/drivers/{module}"
        fake.write(f"/sys/module/{module}/refcnt", "1\n")
        fake.link(f"{driver}/module", str(fake.root / f"sys/module/{module}"))
        fake.link("/" + str((folder / "driver").relative_to(fake.root)), str(fake.root) + driver)


def load(fake: FakeMachine, *modules: str) -> None:
    """Have these be modules, not built in."""
    for module in modules:
        fake.write(f"/sys/module/{module}/initstate", "live\n")


def home_on(fake: FakeMachine, name: str, place: str, **drivers: str) -> None:
    """Mount /home on a disk."""
    fake.device(name, "8:32", GIB, HOME_UUID)
    fake.write("/proc/self/mountinfo", f"{MOUNTS}30 21 8:32 / /home rw - ext4 /dev/{name} rw\n")
    attach(fake, name, place, **drivers)


def on_controller(*in_initramfs: str, module: str = "mpt3sas", name: str = "mpt3sas") -> Change:
    def change(fake: FakeMachine) -> None:
        home_on(fake, "sdc", f"{PCI}/host7/target7:0:0/7:0:0:0/block", **{":1f.2": name})
        load(fake, module)
        hold(fake, *in_initramfs)

    return change


def built_in(fake: FakeMachine) -> None:
    home_on(fake, "sdc", f"{PCI}/host7/target7:0:0/7:0:0:0/block", **{":1f.2": "ahci"})


def as_the_root(fake: FakeMachine) -> None:
    built_in(fake)
    load(fake, "ahci")
    attach(fake, "sda1", f"{PCI}/host8/block/sda", **{":1f.2": "ahci"})


def stick(fake: FakeMachine) -> None:
    home_on(fake, "sdc", "pci0/usb2/2-1/2-1:1.0/host6/block", **{":1.0": "uas", "pci0": "xhci_pci"})
    load(fake, "uas", "xhci_pci")
    hold(fake, f"{MODULES}/usb/host/xhci-pci.ko.zst", f"{MODULES}/usb/storage/usb-storage.ko")


def iscsi(*in_initramfs: str, driver: str = "iscsi_tcp", root_too: bool = False) -> Change:
    def change(fake: FakeMachine) -> None:
        home_on(fake, "sdc", ISCSI)
        fake.write("/sys/class/scsi_host/host4/proc_name", f"{driver}\n")
        fake.write("/sys/class/iscsi_session/session3/targetname", "iqn.2026-11.x:data\n")
        fake.write("/proc/4711/comm", "iscsid\n")
        hold(fake, *in_initramfs)
        if root_too:
            attach(fake, "sda1", ISCSI.replace(":1/", ":2/"))

    return change


def nvme(*transports: str, has_paths: bool = False) -> Change:
    def change(fake: FakeMachine) -> None:
        subsystem = "virtual/nvme-subsystem/nvme-subsys0"
        fabrics = "virtual/nvme-fabrics/ctl/nvme0"
        home_on(fake, "nvme0n1", subsystem if has_paths else fabrics)
        for number, transport in enumerate(transports):
            folder = f"virtual/nvme-fabrics/ctl/nvme{number}"
            fake.write(f"/sys/devices/{folder}/transport", f"{transport}\n")
            fake.write(f"/sys/devices/{folder}/subsysnqn", "nqn.2026-11.x:data\n")
            if has_paths:
                path = f"/sys/devices/{subsystem}/nvme{number}"
                fake.link(path, str(fake.root / f"sys/devices/{folder}"))
        above = subsystem if has_paths else fabrics
        disk = f"/sys/devices/{above}/nvme0n1"
        fake.link(f"{disk}/device", str(fake.root / f"sys/devices/{above}"))

    return change


def bcache(fake: FakeMachine) -> None:
    home_on(fake, "bcache0", "virtual/block")
    fake.write("/sys/class/block/bcache0/bcache/state", "no cache\n")


def array(
    words: str = "quiet", *in_initramfs: str, by: Change = hold, version: str = "1.2"
) -> Change:
    def change(fake: FakeMachine) -> None:
        home_on(fake, "md127", "virtual/block")
        fake.write("/sys/class/block/md127/md/uuid", f"{MD_UUID}\n")
        fake.write("/sys/class/block/md127/md/metadata_version", f"{version}\n")
        by(fake)
        hold(fake, *in_initramfs)
        fake.replace("/proc/cmdline", "quiet", words)

    return change


def luks(*in_initramfs: str, by: Change = hold, table: str = "") -> Change:
    def change(fake: FakeMachine) -> None:
        fake.device("sdb1", "8:17", GIB, "")
        fake.home("home", HOME_LUKS, below="sdb1")
        by(fake)
        fake.initramfs["sbin"] = Link("usr/sbin")
        fake.write("/etc/crypttab", f"home UUID={DASHED} none luks\n")
        hold(fake, *in_initramfs)
        if table:
            hold(fake, "cryptroot/crypttab", data=table.encode())

    return change


def mapped(dm_uuid: str, *in_initramfs: str, crypttab: str = "") -> Change:
    def change(fake: FakeMachine) -> None:
        fake.home("home", dm_uuid)
        fake.write("/etc/crypttab", crypttab)
        hold(fake, *in_initramfs)

    return change


def both(*changes: Change) -> Change:
    def change(fake: FakeMachine) -> None:
        for each in changes:
            each(fake)

    return change


def root_shut(fake: FakeMachine) -> None:
    """What / is on was opened at this boot by what nobody knows, so that may open others, too."""
    luks("usr/sbin/cryptsetup")(fake)
    fake.layer(7, GIB, DASHED, "sda1", ("root", HOME_LUKS.replace("0815", "4711")))
    fake.replace("/proc/self/mountinfo", "8:1 / / rw", "254:7 / / rw")


def store_on_luks(fake: FakeMachine) -> None:
    fake.mapped("swap_crypt", LUKS)
    hold(fake, "usr/sbin/cryptsetup")
    fake.initramfs["sbin"] = Link("usr/sbin")


def words(more: str) -> Change:
    return lambda fake: fake.replace("/proc/cmdline", "quiet", f"quiet {more}")


ISTART = "usr/sbin/iscsistart"
TOLD = "cryptroot/crypttab"
REFUSED = {
    "driver": (on_controller(), "lacks mpt3sas.ko, a driver of sdc, on which /home lies"),
    "UAS": (stick, "lacks uas.ko, a driver of sdc"),
    "iSCSI": (iscsi(), f"{IMAGE} has no iscsistart to connect iqn.2026-11.x:data, on which /home"),
    "iSCSI by a card": (iscsi(driver="bnx2i"), "has no iscsistart to connect"),
    "iSCSI, nothing tells": (iscsi(ISTART), f"nothing tells {IMAGE} to connect iqn.2026-11.x:data"),
    "iSCSI, another file": (iscsi(ISTART, "etc/initiatorname.iscsi"), "nothing tells"),
    "iSCSI, dracut": (
        both(iscsi(ISTART), dracut, words("netroot=nfs4:1.2.3.4:/ ip=dhcp root=UUID=1")),
        f"nothing tells {IMAGE} to connect iqn.2026-11.x:data",
    ),
    "NVMe over TCP": (nvme("tcp"), f"{IMAGE} has no nvme to connect nqn.2026-11.x:data, on which"),
    "NVMe over RDMA, two paths": (nvme("rdma", "rdma", has_paths=True), "has no nvme to connect"),
    "Ceph": (lambda fake: home_on(fake, "rbd0", "rbd/0/block"), "has no rbd to map rbd0"),
    "DRBD": (lambda fake: home_on(fake, "drbd1", "virtual/block"), "no drbdadm to start drbd1"),
    "bcache": (bcache, "to register bcache0"),
    "multipath": (mapped("mpath-3600"), "has no multipath to map home"),
    "dmraid": (mapped("DMRAID-isw_a"), "has no dmraid to activate home"),
    "array": (array(), f"{IMAGE} has no mdadm to assemble md127, on which /home lies"),
    "array, dracut": (
        array("quiet", "usr/sbin/mdadm", by=dracut),
        f"nothing tells {IMAGE} to assemble md127",
    ),
    "another array, dracut": (
        array(f"rd.md.uuid={'f' * 32}", "usr/sbin/mdadm", by=systemd),
        "rd.md.uuid= on the kernel command line leaves out md127",
    ),
    "arrays off, dracut": (
        array(f"rd.md.uuid={MD_UUID} rd.md=0", "usr/sbin/mdadm", by=dracut),
        "rd.md=0 on the kernel command line keeps",
    ),
    "LUKS": (luks("usr/sbin/cryptsetup"), f"nothing tells {IMAGE} to open home, on which /home"),
    "LUKS, no cryptsetup": (luks(), f"{IMAGE} has no cryptsetup to open home"),
    "LUKS, dracut": (luks("usr/lib/systemd/systemd-cryptsetup", by=systemd), "nothing tells"),
    "LUKS, mkinitcpio": (luks("usr/bin/cryptsetup", by=mkinitcpio), "to open home"),
    "logical volume": (mapped("LVM-" + "x" * 64), f"{IMAGE} has no lvm to activate home"),
    "random key": (
        mapped("CRYPT-PLAIN-home", crypttab="home /dev/sda5 /dev/urandom tmp\n"),
        "/home is encrypted with a new random key at each boot (home in /etc/crypttab)",
    ),
    "plain, by hand": (mapped("CRYPT-PLAIN-home", "usr/sbin/cryptsetup"), "to open home"),
    "store": (store_on_luks, f"nothing tells {IMAGE} to open swap_crypt, on which the store lies"),
}
WARNED = {
    "iSCSI, perhaps": (
        iscsi(ISTART, "etc/iscsi.initramfs"),
        "can connect iqn.2026-11.x:data, on which",
    ),
    "iSCSI, by a word": (both(iscsi(ISTART), words("iscsi_target_name=iqn.x")), "can connect iqn."),
    "iSCSI, dracut": (both(iscsi(ISTART), dracut, words("netroot=iscsi:1.2.3.4")), "can connect"),
    "iSCSI, dracut's firmware": (
        both(iscsi(ISTART), systemd, words("rd.iscsi.firmware=1")),
        "can connect iqn.",
    ),
    "iSCSI, by dracut's configuration": (
        both(
            iscsi(ISTART),
            dracut,
            lambda fake: hold(
                fake, "etc/cmdline.d/95iscsi.conf", data=b" netroot=iscsi:10.0.0.1::::iqn.x\n"
            ),
        ),
        "can connect iqn.",
    ),
    "NVMe, perhaps": (both(nvme("tcp"), lambda fake: hold(fake, "usr/sbin/nvme")), "can connect"),
    "dm-integrity": (mapped("CRYPT-INTEGRITY-home"), "what opens home, on which /home lies, is"),
    "Stratis": (mapped("stratis-1-a"), "what opens home, on which /home lies, is unknown"),
    "key file": (
        luks("usr/sbin/cryptsetup", table="home /dev/sda5 /etc/home.key luks\n"),
        f"{IMAGE} does not hold the key file /etc/home.key",
    ),
    "unknown generator": (
        both(luks(), lambda fake: fake.initramfs.pop("scripts/local-premount/ORDER")),
        f"what {IMAGE} opens is unknown",
    ),
    "the root by what is unknown": (root_shut, f"nothing tells {IMAGE} to open home"),
    "no initramfs": (both(luks(), lambda fake: fake.initramfs.clear()), "no initramfs of the ker"),
}
REACHED = {
    "a disk as the root's": as_the_root,
    "a driver in the kernel": built_in,
    "a driver in it": on_controller(f"{MODULES}/scsi/mpt3sas/mpt3sas.ko.xz"),
    "a driver of another spelling": on_controller(
        f"{MODULES}/nvme/host/nvme-core.ko", module="nvme_core", name="nvme_core"
    ),
    "the root's target": iscsi(ISTART, "etc/iscsi.initramfs", root_too=True),
    "iSCSI by its firmware": iscsi(driver="qla4xxx"),
    "NVMe inside": nvme("pcie"),
    "NVMe inside, two paths": nvme("pcie", "pcie", has_paths=True),
    "an array": array("quiet", "usr/sbin/mdadm"),
    "an array that the kernel assembles": array(version="0.90"),
    "an array that dracut is told": array(f"rd.md.uuid={MD_UUID}", "usr/sbin/mdadm", by=dracut),
    "the same, as mdadm writes it": array(
        "rd.md.uuid=01234567:89abcdef:01234567:89abcdef", "usr/sbin/mdadm", by=systemd
    ),
    "all arrays": array("rd.auto", "usr/sbin/mdadm", by=dracut),
    "multipath": mapped("mpath-3600", "usr/sbin/multipath"),
    "LUKS": luks("usr/sbin/cryptsetup", table=f"home UUID={DASHED} none luks\n"),
}


def refused(fake: FakeMachine) -> list[Finding]:
    machine = fake.machine()
    store = look_at("/dev/dm-0" if "dm-0" in fake.text("/proc/swaps") else "/dev/sda2", machine)
    return unreached(Facts(machine, store=store))


@pytest.mark.parametrize("name", REFUSED)
def test_certain_loss_is_refused_and_told(name: str, fake: FakeMachine) -> None:
    change, message = REFUSED[name]
    change(fake)
    (found,) = refused(fake)
    assert message in found.message
    assert found.remedy
    assert found.remedy.startswith("before you hibernate: umount /home; or ") == (name != "store")
    (told,) = fake.bad()
    assert (told.message, told.level) == (found.message, Level.PROBLEM)


@pytest.mark.parametrize(
    ("change", "module"),
    [
        (iscsi(), "iscsi"),
        (nvme("tcp"), "nvmf"),
        (mapped("mpath-3600"), "multipath"),
        (array(), "md"),
    ],
)
def test_dracut_is_told_which_module(change: Change, module: str, fake: FakeMachine) -> None:
    change(fake)
    dracut(fake)
    (found,) = refused(fake)
    assert f'put add_dracutmodules+=" {module}' in found.remedy, found.remedy


@pytest.mark.parametrize("name", WARNED)
def test_doubtful_is_told_only(name: str, fake: FakeMachine) -> None:
    change, message = WARNED[name]
    change(fake)
    assert refused(fake) == []
    assert any(message in each for each in fake.complaints())


@pytest.mark.parametrize("name", REACHED)
def test_what_is_reached(name: str, fake: FakeMachine) -> None:
    REACHED[name](fake)
    assert refused(fake) == []
    assert fake.complaints() == []


def test_what_comes_with_the_root_reads_no_initramfs(fake: FakeMachine) -> None:
    as_the_root(fake)
    machine = fake.machine()
    fake.remove(IMAGE)
    facts = Facts(machine, store=look_at("/dev/sda2", machine))
    assert unreached(facts) == []
    assert "_initramfs" not in vars(facts)
