"""Finding a device by what resume= says, where udev knows it and where nobody does."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from errors import DeviceNotFoundError
from store import locate
from store.locate import find_device, find_devices, is_external
from tests import forge
from tests.tools import put
from tests.unit.fake_root import Disks, FakeRoot, add_device, say_udev

UUID_1 = "11111111-2222-3333-4444-abcdefabcdef"
KERNEL_SAYS = ("PARTUUID", "PARTNAME")


class Add:
    """Adds a device with these contents and udev properties, returns its path."""

    def __init__(self, folder: Path) -> None:
        self.root = FakeRoot(str(folder))
        self.folder = folder
        self._count = 0

    def __call__(self, contents: bytes = b"", properties: dict[str, str] | None = None) -> str:
        name, number = f"sd{self._count}", f"8:{self._count}"
        self._count += 1
        known = {key: value for key, value in (properties or {}).items() if key not in KERNEL_SAYS}
        said = {key: value for key, value in (properties or {}).items() if key in KERNEL_SAYS}
        add_device(self.folder, name, number, 4096, **known)
        numbers = self.folder / "sys/dev/block" / number
        numbers.mkdir(parents=True)
        (numbers / "uevent").write_text("".join(f"{key}={said[key]}\n" for key in said))
        (self.folder / "dev" / name).write_bytes(contents)
        return f"/dev/{name}"

    def find(self, spec: str) -> str | None:
        return find_device(spec, self.root)


@pytest.fixture
def add(tmp_path: Path) -> Add:
    return Add(tmp_path)


@pytest.mark.parametrize(
    ("tag", "name", "value"),
    [
        ("UUID", "ID_FS_UUID", UUID_1),
        ("LABEL", "ID_FS_LABEL_ENC", "sleep"),
        ("PARTUUID", "ID_PART_ENTRY_UUID", "0a1b2c3d-02"),
        ("PARTLABEL", "ID_PART_ENTRY_NAME", "swap"),
        ("PARTUUID", "PARTUUID", "0a1b2c3d-02"),
        ("PARTLABEL", "PARTNAME", "swap"),
    ],
)
def test_tags_that_udev_or_the_kernel_knows(add: Add, tag: str, name: str, value: str) -> None:
    add()
    add(properties={name: "other"})
    path = add(properties={name: value})
    for spec in (f"{tag}={value}", f'{tag}="{value}"'):
        assert add.find(spec) == path
    assert add.find(f"{tag}={value}x") is None
    assert add.find(f"{tag}={value.upper()}") == (path if tag.endswith("UUID") else None)


@pytest.mark.parametrize(
    ("spec", "known"),
    [
        ("UUID=1-2", {"ID_FS_UUID": "1-2"}),
        ("LABEL=sleep", {"ID_FS_LABEL_ENC": "sleep"}),
        ("PARTUUID=0a1b2c3d-02", {"ID_PART_ENTRY_UUID": "0a1b2c3d-02"}),
        ("PARTLABEL=swap", {"PARTNAME": "swap"}),
        ("/dev/disk/by-id/x", {}),
        ("/dev//disk/by-id/../by-id/x", {}),
    ],
)
def test_of_two_devices_by_one_name_none_is_taken(
    spec: str, known: dict[str, str], add: Add
) -> None:
    """A disk and a copy of it, or a stick that somebody gave its UUID: which came first is chance.

    Of a link, udev's database says who wanted it: one has it.
    """
    first, second = add(properties=known), add(properties=known)
    add(properties={name: f"{value}x" for name, value in known.items()})
    if spec.startswith("/"):
        link = add.folder / "dev/disk/by-id/x"
        link.parent.mkdir(parents=True)
        link.symlink_to(f"../../{os.path.basename(second)}")
        for nth in range(2):
            with (add.folder / f"run/udev/data/b8:{nth}").open("a") as database:
                database.write("S:disk/by-id/x\n")
        named = [spec, first]
    else:
        named = [first, second]
    assert find_devices(spec, add.root) == named
    with pytest.raises(DeviceNotFoundError, match=f"^{spec} names {named[0]} and {named[1]}: "):
        add.find(spec)


def test_what_another_one_lies_on_is_not_meant(tmp_path: Path) -> None:
    """The paths of multipath, the legs of md with its superblock at the end, an LVM snapshot's."""
    disks = Disks(tmp_path)
    for name in ("sda", "sdb", "dm-0", "dm-1"):
        disks.add(name)
        say_udev(tmp_path, disks.device_number(f"/dev/{name}") or "", ID_FS_UUID="1-2")
    for lower in ("sda", "sdb"):
        disks.stack("dm-0", lower)
    disks.stack("dm-1", "dm-0")
    assert find_devices("UUID=1-2", disks) == ["/dev/dm-1"]
    disks.add("sdc")
    say_udev(tmp_path, disks.device_number("/dev/sdc") or "", ID_FS_UUID="1-2")
    assert find_devices("UUID=1-2", disks) == ["/dev/dm-1", "/dev/sdc"]


def test_encoded_label(add: Add) -> None:
    path = add(properties={"ID_FS_LABEL_ENC": r"my\x20\x5cswäp\x2f"})
    assert add.find("LABEL=my \\swäp/") == path


@pytest.mark.parametrize("signature", [forge.SWAP, forge.USER, forge.KERNEL])
def test_tags_from_the_header_itself(add: Add, signature: bytes) -> None:
    """In an initramfs without udevd nobody has probed the device."""
    add(b"too short")
    add(bytes(8192))
    path = add(forge.header_page(10, signature=signature, uuid=UUID(UUID_1)) + bytes(4096))
    assert add.find(f"UUID={UUID_1}") == path
    assert add.find("LABEL=sleep") == path
    assert add.find("LABEL=awake") is None


def test_header_is_not_read_where_udev_has_probed(add: Add) -> None:
    header = forge.header_page(10, uuid=UUID(UUID_1))
    add(header, properties={"ID_FS_TYPE": "ext4"})
    assert add.find(f"UUID={UUID_1}") is None


def test_devices_that_are_not_there_are_skipped(add: Add) -> None:
    os.unlink(add.root.path(add(properties={"ID_FS_UUID": UUID_1})))
    gone = add()
    os.unlink(add.root.path(f"/sys/class/block/{os.path.basename(gone)}/dev"))
    assert add.find(f"UUID={UUID_1}") is None
    path = add(properties={"ID_FS_UUID": UUID_1})
    assert add.find(f"UUID={UUID_1}") == path


def test_paths(add: Add) -> None:
    path = add()
    assert add.find(path) == path
    assert add.find("/dev/nowhere") is None


def test_a_file_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert find_device(str(tmp_path / "file")) is None
    assert find_device("/") is None
    assert find_device("/dev/null") is None


def test_device_number_that_is_not_there() -> None:
    assert find_device("0:0") is None
    assert find_device("99999:1") is None


@pytest.mark.parametrize("spec", ["8:2", "08:02", "802", "0802", "0x802", "0X802", "PARTUUID=here"])
def test_device_number(spec: str, add: Add) -> None:
    """In each form that the kernel takes; leading zeros make no octal number."""
    add(), add()
    assert add.find(spec) is None
    assert add(properties={"ID_PART_ENTRY_UUID": "here"}) == add.find(spec) == "/dev/sd2"


def test_large_device_number(tmp_path: Path) -> None:
    """259:1000 has more than 8 bits for the minor number (new_decode_dev)."""
    add_device(tmp_path, "nvme9n1p1", "259:1000", 4096)
    root = FakeRoot(str(tmp_path))
    assert find_device(f"{0x103E8 | 0x300000:x}", root) == find_device("259:1000", root)
    assert find_device("259:1000", root) == "/dev/nvme9n1p1"


@pytest.mark.parametrize(
    ("encoded", "label"),
    [
        (r"a\x20b", "a b"),
        ("stray\\", "stray\\"),
        (r"cut\x2", r"cut\x2"),
        (r"\xzz", r"\xzz"),
        ("\\N{x}", "\\N{x}"),
    ],
)
def test_stray_backslash_is_no_traceback(encoded: str, label: str, add: Add) -> None:
    """Whoever makes a file system, or a PV of LVM, chooses such text."""
    path = add(properties={"ID_FS_LABEL_ENC": encoded})
    assert add.find(f"LABEL={label}") == path


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "sda1",
        "UUID",
        "UUID=",
        'UUID=""',
        "LABEL=''",
        "uuid=1",
        "ID=1",
        "8:",
        ":1",
        "8:1:2",
        "8:-1",
        "0x",
        "123456789",
        "swap:/dev/sda2",
        "=",
    ],
)
def test_what_names_no_device(add: Add, spec: str) -> None:
    """An empty tag above all: it must not name the first device without one."""
    add()
    with pytest.raises(DeviceNotFoundError, match="does not name a device") as caught:
        add.find(spec)
    assert "PARTLABEL=" in caught.value.hint


def test_names_for_the_next_boot(add: Add) -> None:
    """The first name that finds this device and no other; two may share a UUID (btrfs, copies)."""

    def name(contents: bytes = b"", **properties: str) -> str:
        return locate.name_of(add(contents, properties), add.root)

    assert name(forge.header_page(10, uuid=UUID(UUID_1))) == f"UUID={UUID_1}"
    assert name(ID_FS_UUID="a-b", ID_FS_TYPE="ext4") == "UUID=a-b"
    add(b"", {"ID_FS_UUID": "c-d", "ID_FS_TYPE": "btrfs", "ID_PART_ENTRY_UUID": "1"})
    assert name(ID_FS_UUID="c-d", ID_FS_TYPE="btrfs", ID_PART_ENTRY_UUID="2") == "PARTUUID=2"
    assert locate.name_of("/dev/sd2", add.root) == "PARTUUID=1"
    assert name(DM_NAME="gone") == "/dev/sd4"


@pytest.mark.parametrize(
    ("place", "said", "is_so"),
    [
        ("pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda", {}, False),
        ("pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda", {"": "1"}, True),
        ("pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/block/sda", {}, True),
        ("pci0000:00/0000:05:00.0/nvme/nvme1/nvme1n1", {"../../..": "removable"}, True),
        ("pci0000:00/0000:05:00.0/nvme/nvme1/nvme1n1", {"../../..": "fixed"}, False),
        ("platform/host3/session1/target3:0:0/3:0:0:0/block/sdb", {}, True),
        ("virtual/nvme-fabrics/ctl/nvme2/nvme2n1", {}, True),
        ("virtual/block/nbd0", {}, True),
        ("pci0000:00/0000:00:04.0/virtio1/block/vda", {}, False),
        ("platform/mmc_host/mmc0/mmc0:1234/block/mmcblk0", {"../../type": "SD"}, True),
        ("platform/mmc_host/mmc0/mmc0:1234/block/mmcblk0", {"../../type": "MMC"}, False),
    ],
)
@pytest.mark.parametrize("above", ["", "partition", "mapper"])
def test_what_anybody_may_supply(
    place: str, said: dict[str, str], is_so: bool, above: str, tmp_path: Path
) -> None:
    """And what lies on it."""
    disks = Disks(tmp_path)
    sysfs = tmp_path / "sys/class/block"
    name = place.rpartition("/")[2]
    path = disks.add(name)
    real = tmp_path / "sys/devices" / place
    real.parent.mkdir(parents=True)
    (sysfs / name).rename(real)
    (sysfs / name).symlink_to(real)
    for where, text in said.items():
        put(real, {where if where.endswith("type") else f"{where}/removable".lstrip("/"): text})
    if above == "partition":
        path = disks.add("part")
        (sysfs / "part").rename(real / "part")
        (sysfs / "part").symlink_to(real / "part")
    elif above:
        path = disks.add("dm-0")
        disks.stack("dm-0", name)
    assert is_external(path, disks) == is_so


@pytest.mark.parametrize(
    ("controller", "is_so"), [("virtual/nvme-fabrics/ctl", True), ("pci0", False)]
)
def test_a_disk_of_several_paths_is_where_they_are(
    controller: str, is_so: bool, tmp_path: Path
) -> None:
    """Of NVMe its own place says nothing."""
    disks = Disks(tmp_path)
    path = disks.add("nvme0n1")
    devices, entry = tmp_path / "sys/devices", tmp_path / "sys/class/block/nvme0n1"
    subsystem = devices / "virtual/nvme-subsystem/nvme-subsys0"
    subsystem.mkdir(parents=True)
    (devices / controller / "nvme0").mkdir(parents=True)
    (subsystem / "nvme0").symlink_to(devices / controller / "nvme0")
    entry.rename(subsystem / "nvme0n1")
    entry.symlink_to(subsystem / "nvme0n1")
    (subsystem / "nvme0n1/device").symlink_to(subsystem)
    assert is_external(path, disks) == is_so
