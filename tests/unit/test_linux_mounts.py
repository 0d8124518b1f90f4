"""Which devices lie below a mount, which mount is above a path, and what holds a device."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from linux import cgroups, memory, proc, stack
from linux.mounts import Mount, SwapArea, open_mount, parse_mounts, parse_swaps, read_mounts
from linux.root import Root
from tests.unit.fake_root import Disks
from tests.unit.pace import AT_ANY_PACE

SDA, SDB, SDC, LOOP = "8:0", "8:1", "8:2", "8:3"


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    made = Disks(tmp_path)
    for name in ("sda", "cciss!c0d1", "sdc", "loop12p3"):
        made.add(name)
    made.btrfs("1-2", "sda", "cciss!c0d1")
    made.btrfs("3-4", "sdc")
    (tmp_path / "sys/fs/btrfs/features").mkdir()
    return made


def mount(device: str, fs_type: str, source: str, root: str = "/", options: str = "rw") -> Mount:
    return Mount(1, device, "/mnt", fs_type, source, root, options)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (mount("8:0", "ext4", "/dev/root"), [SDA]),
        (mount("8:0", "ext4", "/dev/sdc", "/folder"), [SDA]),
        (mount("8:33", "vfat", "/dev/gone"), ["8:33"]),
        (
            mount("8:0", "xfs", "/dev/sda", options="rw,logdev=/dev/cciss/c0d1,rtdev=/dev/sdc"),
            [SDA, SDB, SDC],
        ),
        (mount("8:0", "xfs", "/dev/sda", options="rw,logbufs=8,logdev=/dev/gone"), [SDA]),
        (mount("8:0", "vfat", "/dev/sda", options="logdev=/dev/sdc"), [SDA]),
        (mount("8:2", "fuseblk", "/dev/sdc"), [SDC]),
        (mount("0:40", "btrfs", "/dev/sda", "/@home"), [SDB, SDA]),
        (mount("0:41", "btrfs", "/dev/cciss/c0d1"), [SDB, SDA]),
        (mount("0:42", "btrfs", "/dev/root"), [SDB, SDA, SDC]),
        (mount("0:43", "bcachefs", "/dev/sda:/dev/sdc"), [SDA, SDC]),
        (mount(SDA, "bcachefs", "/dev/sda:/dev/sdc"), [SDA, SDC]),
        (mount(SDC, "bcachefs", "/dev/sda:/dev/sdc"), [SDC, SDA]),
        (mount(SDA, "bcachefs", "/dev/sda"), [SDA]),
        (mount(SDA, "bcachefs", "/dev/gone:/dev/sdc"), [SDA, SDC]),
        (mount("0:43", "bcachefs", "/dev/sda:/dev/gone"), [SDA]),
        (mount("0:43", "bcachefs", "sda"), []),
        (mount("0:44", "tmpfs", "/dev/sda"), []),
        (mount("0:45", "overlay", "/dev/sda"), []),
        (mount("0:46", "zfs", "tank/home"), []),
        (mount("0:47", "fuse.sshfs", "host:/dev/sda"), []),
        (mount("0:48", "nfs4", "server:/dev/sda"), []),
    ],
)
def test_devices_below(disks: Disks, found: Mount, expected: list[str]) -> None:
    table = disks.table(found)
    assert table.devices_below(found) == expected
    assert table.is_on_device(found) or not expected
    assert found.is_served == found.fs_type.startswith("fuse")


def test_a_btrfs_whose_source_is_no_device_is_asked(disks: Disks) -> None:
    """By any of its mounts that can be reached."""
    disks.btrfs("3-4", at="/srv")
    hidden = mount("0:42", "btrfs", "/dev/root")
    assert disks.table(hidden).devices_below(hidden) == [SDB, SDA, SDC]
    other = Mount(2, "0:42", "/srv", "btrfs", "/dev/root", "/@", "rw")
    assert disks.table(hidden, other).devices_below(hidden) == [SDC]
    disks.btrfs("5-6", at="/srv")
    assert disks.table(hidden, other).devices_below(hidden) == [SDB, SDA, SDC]


@pytest.mark.parametrize(
    ("options", "is_writable"),
    [
        ("rw", True),
        ("rw,errors=remount-ro", True),
        ("rw,ro_something,noro", True),
        ("", True),
        ("ro", False),
        ("ro,errors=continue", False),
    ],
)
def test_whether_a_file_system_may_be_written_to(options: str, *, is_writable: bool) -> None:
    """A read-only mount of one that is writable says so of itself only, in another field."""
    (found,) = parse_mounts(f"30 21 8:17 / /mnt ro,relatime - ext4 /dev/sdb1 {options}")
    assert found.is_writable == is_writable


@pytest.mark.parametrize(
    ("fs_type", "journal", "expected"),
    [
        ("ext4", (0, 0x802), [SDA, SDC]),
        ("ext3", (0, 0x802), [SDA, SDC]),
        ("ext4", (8, 0x802), [SDA]),
        ("ext4", (0, 0), [SDA]),
        ("ext4", (0, 0x10300FD), [SDA, "768:4349"]),
        ("xfs", (0, 0x802), [SDA]),
    ],
)
def test_journal_on_another_device(
    fs_type: str, journal: tuple[int, int], expected: list[str], disks: Disks
) -> None:
    disks.add("sda", bytes(1024 + 224) + struct.pack("<II", *journal) + bytes(800))
    found = mount("8:0", fs_type, "/dev/sda")
    assert disks.table(found).devices_below(found) == expected


def test_journal_on_a_device_that_nobody_may_read(
    disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container, or as an ordinary user."""

    whole = Root.data

    def data(root: Root, path: str, limit: int = -1) -> bytes | None:
        if path == "/dev/sda":
            raise PermissionError
        return whole(root, path, limit)

    disks.add("sda")
    monkeypatch.setattr(Root, "data", data)
    found = mount("8:0", "ext4", "/dev/sda")
    assert disks.table(found).devices_below(found) == ["8:0"]


def test_layers_are_those_of_all_devices(disks: Disks) -> None:
    disks.add("dm-0", dm=("vg-a", "LVM-x"))
    disks.stack("dm-0", "loop12p3")
    disks.hold("loop12", "/srv/disk image\t", "8:1")
    found = mount("0:43", "bcachefs", "/dev/sda:/dev/dm-0")
    assert disks.table(found).layers_below(found) == [
        stack.Layer("sda", "", ""),
        stack.Layer("dm-0", "vg-a", "LVM-x"),
        stack.Layer("loop12p3", "", "", file="/srv/disk image\t"),
    ]
    assert disks.table(found).layers_below(mount("8:33", "ext4", "/dev/gone")) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", 1),
        ("/file", 1),
        ("/srv", 3),
        ("/srv/", 3),
        ("/srv/a/file", 3),
        ("/srv/a/b/file", 4),
        ("/srvx", 1),
        ("/a/b", 1),
        ("srv", None),
        ("pipe:[5]", None),
        ("", None),
    ],
)
def test_mount_above(disks: Disks, path: str, expected: int | None) -> None:
    """Of several at one place the last one, which hides the others."""
    points = ["/", "/srv", "/srv", "/srv/a/b"]
    mounts = [Mount(number, "8:0", point, "x", "") for number, point in enumerate(points, 1)]
    found = disks.table(*mounts).mount_above(path)
    assert (found.mount_id if found else None) == expected
    assert disks.table(*mounts[1:]).mount_above("/file") is None


def test_a_hidden_mount_is_not_opened() -> None:
    found = next(mount for mount in read_mounts() if mount.mount_point == "/proc")
    os.close(open_mount(found, os.O_DIRECTORY))
    with pytest.raises(OSError, match="hidden by another mount"):
        open_mount(Mount(1 << 30, found.device, "/proc", "proc", "proc"), os.O_DIRECTORY)


def test_a_system_that_does_not_say_what_is_mounted(tmp_path: Path) -> None:
    assert read_mounts(Disks(tmp_path)) == []
    assert len(read_mounts()) > 1


MOUNTINFO = r"""21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:5 / /dev rw,nosuid - devtmpfs udev rw
30 21 0:40 /sub /mnt/with\040blank rw shared:9 master:2 - btrfs /dev/sdb rw
31 21 0:41 / /fuse rw - fuseblk.ntfs /dev/sdc1 rw
"""
MOUNTS = [
    Mount(21, "8:1", "/", "ext4", "/dev/sda1", options="rw"),
    Mount(22, "0:5", "/dev", "devtmpfs", "udev", options="rw"),
    Mount(30, "0:40", "/mnt/with blank", "btrfs", "/dev/sdb", "/sub", "rw"),
    Mount(31, "0:41", "/fuse", "fuseblk.ntfs", "/dev/sdc1", options="rw"),
]
SWAPS = """Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/dev/sda2                               partition\t1048572\t\t256\t\t-2
/swap\\040file                           file\t\t524284\t\t0\t\t-3
/dev/zram0                              partition\t4000000\t\t0\t\t100
/gone\\040(deleted)                      file\t\t8\t\t0\t\t-4
"""
AREAS = [
    SwapArea("/dev/sda2", is_partition=True, size=1048572 << 10, used=256 << 10),
    SwapArea("/swap file", is_partition=False, size=524284 << 10, used=0),
    SwapArea("/dev/zram0", is_partition=True, size=4000000 << 10, used=0),
    SwapArea("/gone (deleted)", is_partition=False, size=8 << 10, used=0),
]

NAMES = st.binary(max_size=60).map(lambda name: os.fsdecode(b"/" + name.replace(b"\0", b"")))
"""What a path may be, as Python has it."""
ODD = "/\x0ca\rb\x0bc\x1cd\x85e\u00a0f\u2028g\udc80 \t\n\\#\udcff\r"
"""Ends of lines and blanks to Python, and what is no UTF-8: nothing of it to the kernel."""
NO_LINES = ["", "what", "1 2", " - ", "a b c d e f - g h i", "1 2 8:x / / rw - ext4 s rw", "\0" * 9]


def escaped(name: str) -> str:
    """Write a name as the kernel does (fs/seq_file.c, mangle_path)."""
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\#" else c for c in name)


@AT_ANY_PACE
@given(NAMES)
@example(ODD)
def test_names_come_back_as_they_are(name: str) -> None:
    written = escaped(name)
    line = f"22 21 0:5 {written} {written} rw - tmpfs {written} rw,name={written}\n"
    mount = Mount(22, "0:5", name, "tmpfs", name, name, f"rw,name={name}")
    assert parse_mounts(MOUNTINFO + line) == [*MOUNTS, mount]
    line = f"{written:39} file\t\t100\t\t4\t\t-3\n"
    assert parse_swaps(SWAPS + line) == [*AREAS, SwapArea(name, False, 100 << 10, 4 << 10)]


@AT_ANY_PACE
@given(st.binary())
def test_no_text_is_too_odd(data: bytes) -> None:
    text = os.fsdecode(data)
    assert parse_mounts(f"{MOUNTINFO}{text}\n{MOUNTINFO}")[:4] == MOUNTS
    assert parse_swaps(f"{SWAPS}{text}\n")[:4] == AREAS
    proc.unescaped(text)


@pytest.mark.parametrize("line", NO_LINES)
def test_a_line_that_cannot_be_understood_costs_itself_only(line: str) -> None:
    assert parse_mounts(f"{line}\n{MOUNTINFO}{line}") == MOUNTS
    assert parse_swaps(f"{SWAPS}{line}\n") == AREAS


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (r"/a\040b\011c\012d\134e\043f", "/a b\tc\nd\\e#f"),
        (r"\134040", r"\040"),
        (r"\303\244\377", "ä\udcff"),
        (r"\400\08\9\\0401\04", r"\400\08\9\ 1\04"),
        ("\\", "\\"),
    ],
)
def test_escapes(written: str, name: str) -> None:
    assert proc.unescaped(written) == name


def test_other_files(tmp_path: Path) -> None:
    assert proc.lines("a\rb\n\nc\u2028d") == ["a\rb", "c\u2028d"]
    (tmp_path / "proc").mkdir()
    meminfo = tmp_path / "proc/meminfo"
    meminfo.write_text("MemTotal:  8 kB\nHugePages: 3\nx\nMemFree: 4 kB\nDirty: y kB\n")
    assert memory.memory(Root(str(tmp_path))) == {"MemTotal": 8192, "MemFree": 4096}
    meminfo.write_text("MemTotal:  8 kB\nMemFree: y kB\n")
    with pytest.raises(OSError, match="meminfo"):
        memory.memory(Root(str(tmp_path)))
    (tmp_path / "memory.stat").write_text("anon 4096\nwhat\nfile x\npgfault 7\n")
    assert cgroups.memory_of(str(tmp_path), "") == {"anon": 4096, "pgfault": 7}
