"""What asks for the mounts of a system does no more for 2,000 of a file system than for 20."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hibernate.filesystems import FileSystems, to_freeze
from hibernate.served import refuse_served
from hibernate.unlisted import refuse_unlisted
from linux import block, mounts, tasks
from linux.mounts import Mount, MountTable, parse_mounts, read_mounts
from linux.root import Root
from tests.tools import ROOT
from tests.unit.fake_root import Disks, ext
from workingset import trees as trees_module
from workingset.trees import trees

LOOKS = ("data", "names", "exists", "device_name", "device_number")
"""The methods of a root that look at its files."""


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often a root is looked at, and mount points are opened."""
    counted: Counter[str] = Counter()

    def counting(name: str, really: Callable[..., object]) -> Callable[..., object]:
        def call(*words: object) -> object:
            counted[name] += 1
            return really(*words)

        return call

    for name in LOOKS:
        kind = Disks if name in vars(Disks) else Root
        monkeypatch.setattr(kind, name, counting(name, getattr(Disks, name)))
    opened = counting("open_mount", lambda *_: os.open("/", os.O_RDONLY))
    monkeypatch.setattr(trees_module, "open_mount", opened)
    monkeypatch.setattr("hibernate.filesystems.open_mount", opened)
    monkeypatch.setattr(tasks, "pids", list)
    monkeypatch.setattr(block, "claim", lambda path, _flags: os.open(path, os.O_RDONLY))
    return counted


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    made = Disks(tmp_path)
    made.add("sda", ext())
    made.add("sdb", ext())
    return made


def bound(count: int, device: str = "8:0", kind: str = "ext4") -> list[Mount]:
    """Return the root and so many bind mounts of its folders."""
    root = Mount(1, device, "/", kind, "/dev/sda")
    folders = (f"/srv/{number}" for number in range(count))
    return [root, *(Mount(9, device, f"/mnt{name}", kind, "/dev/sda", name) for name in folders)]


def stacked(count: int) -> list[Mount]:
    """Return so many mounts of a file system at one place."""
    return [Mount(number, "8:0", "/mnt", "ext4", "/dev/sda") for number in range(count)]


def in_memory(count: int) -> list[Mount]:
    """Return the root and so many file systems on no device."""
    numbers = range(50, 50 + count)
    return [*bound(0), *(Mount(n, f"0:{n}", f"/t/{n}", "tmpfs", "tmpfs") for n in numbers)]


def without_root(count: int) -> list[Mount]:
    """Return mounts of a folder of a file system and of folders below it, the deepest first."""
    names = ["/a" * (1 + number % 40) for number in range(count)]
    return [Mount(9, "8:0", f"/m{n}", "ext4", "/dev/sda", n) for n in sorted(names, reverse=True)]


def ask(table: MountTable) -> None:
    refuse_unlisted(table, "/dev/sdb")
    some = to_freeze(table)
    refuse_served(some, table)
    FileSystems(some).close()
    trees(table)


@pytest.mark.parametrize("made", [bound, stacked, in_memory, without_root])
def test_a_file_system_is_looked_at_once(
    made: Callable[[int], list[Mount]], disks: Disks, looks: Counter[str]
) -> None:
    counts = []
    for many in (20, 2000):
        looks.clear()
        ask(disks.table(*made(many)))
        counts.append(dict(looks))
    assert counts[0] == counts[1]


def test_no_path_takes_longer_with_many(looks: Counter[str], disks: Disks) -> None:
    """Of the mounts above it, not of all."""
    table = disks.table(*bound(2000))
    for number in range(2000):
        found = table.mount_above(f"/mnt/srv/{number}/file")
        assert found
        assert found.root == f"/srv/{number}"
    assert not looks


ODD = (
    rb"a\040b",
    rb"a\012b",
    rb"a\134040b",
    b"a\x1b[31m",
    b"\xff\xfe",
    b"a\r",
    b" - ".replace(b" ", rb"\040"),
)
"""Names of mount points as the kernel writes them: blank, newline, backslash, what is no UTF-8."""


def lines(count: int) -> Iterator[bytes]:
    for number in range(count):
        place = b"/m/%d/%s" % (number, ODD[number % len(ODD)] * (1 + number % 300))
        yield b"%d 1 8:0 / %s rw shared:1 - ext4 /dev/sda rw\n" % (number, place)


def test_odd_names_are_told_apart() -> None:
    found = parse_mounts(os.fsdecode(b"".join(lines(7))))
    names = [os.fsencode(mount.mount_point).rpartition(b"/")[2] for mount in found]
    long = [name[: len(name) // times] for times, name in enumerate(names, 1)]
    assert long == [b"a b", b"a\nb", rb"a\040b", b"a\x1b[31m", b"\xff\xfe", b"a\r", b" - "]
    assert len(parse_mounts(os.fsdecode(b"".join(lines(5000))))) == 5000


_MOUNTING = """
import ctypes, os, sys
from linux import mounts
libc = ctypes.CDLL(None)
parsed = []
really = mounts.parse_mounts
mounts.parse_mounts = lambda text: parsed.append(text) or really(text)
def points():
    return {mount.mount_point for mount in mounts.read_mounts()}
def mount(source, place, kind, flags):
    assert libc.mount(source, place.encode(), kind, flags, None) == 0
folder = sys.argv[1]
before = points()
assert points() == before and len(parsed) == 1
mount(b"none", folder, b"tmpfs", 0)
assert points() == before | {folder} and points() and len(parsed) == 2
os.mkdir(f"{folder}/a")
child = os.fork()
if child == 0:
    mount(b"none", f"{folder}/a", b"tmpfs", 0)
    os._exit(0 if f"{folder}/a" in points() else 1)
assert os.waitpid(child, 0)[1] == 0
assert f"{folder}/a" in points() and len(parsed) == 3
assert libc.umount2(f"{folder}/a".encode(), 0) == 0
assert f"{folder}/a" not in points()
"""


def test_mounts_are_read_again_once_there_are_others(tmp_path: Path) -> None:
    """A child that has seen a change first takes nothing away from its parent."""
    if os.geteuid():
        pytest.skip("only root can mount")
    command = ["unshare", "--mount", sys.executable, "-c", _MOUNTING, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_mounts_of_another_root_are_its_own(disks: Disks) -> None:
    text = "7 1 8:0 / / rw - ext4 /dev/sda rw\n"
    Path(disks.path("/proc/self")).mkdir(parents=True)
    Path(disks.path(mounts._OURS)).write_text(text)
    assert [mount.mount_id for mount in read_mounts(disks)] == [7]
