"""What a file system lies on: the same at each boot, another once a layer has changed."""

from collections.abc import Callable
from pathlib import Path

import pytest

from guard.device import new_buffer
from guard.layers import describe
from tests.tools import put
from tests.unit.fake_root import Disks

PAGE = 4096
CRYPT = "0 900 crypt aes-xts-plain64 :32:logon:cryptsetup:1-d0 0 8:1 32768 1 allow_discards"
ARRAY = {"level": "raid1", "raid_disks": "2", "degraded": "0", "uuid": "1:2:3:4"}


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    """A disk sda with a partition sda2, another disk, and devices of dm and md."""
    disks = Disks(tmp_path)
    for name in ("sda", "sda2", "sdb", "dm-0", "dm-1", "md0"):
        disks.add(name, bytes(2 * PAGE))
    disks.partition("sda2", "sda", 2048)
    return disks


def below(disks: Disks, name: str = "dm-0") -> list[str]:
    number = disks.device_number(f"/dev/{name}")
    assert number
    return describe(number, disks, new_buffer()).splitlines()


def array(disks: Disks, slots: dict[str, str], **others: str) -> None:
    """Make md0 an array of these members, and dm-0 a volume on it."""
    disks.map("dm-0", "0 9 linear 8:5 0")
    folder = disks.folder / "sys/class/block/md0/md"
    put(folder, ARRAY | others)
    for name, slot in slots.items():
        number = disks.device_number(f"/dev/{name}") or ""
        said = {"slot": slot, "state": "in_sync", "offset": "2048", "size": "9"}
        put(folder / f"dev-{name}", said | {"block/dev": number})


def luks(disks: Disks, sequence: int = 1) -> None:
    disks.add("sda2", b"LUKS\xba\xbe" + bytes([0, 2, sequence]).ljust(2 * PAGE, b"\0"))
    disks.map("dm-0", CRYPT)


def thin(disks: Disks, root: bytes = b"1", number: int = 1) -> None:
    """Make dm-0 a volume of the pool dm-1."""
    disks.add("sdb", root.ljust(2 * PAGE, b"\0"))
    disks.map("dm-1", "0 900 thin-pool 8:2 8:1 128 32768 1 skip_block_zeroing")
    disks.map("dm-0", f"0 900 thin 8:4 {number}")


def test_what_each_layer_says(disks: Disks) -> None:
    partition = ["partition from sector 2048, of 16", "disk"]
    assert below(disks, "sda2") == partition
    disks.map("dm-0", "0 9 linear 8:1 2048", "9 9 linear 8:2 0", "18 9 linear 8:1 8192")
    assert below(disks) == [
        "linear 0+9 #0 2048",
        "linear 9+9 #1 0",
        "linear 18+9 #0 8192",
        *partition,
        "disk",
    ]
    luks(disks)
    first, *rest = below(disks)
    assert first.startswith("crypt 0+900 aes-xts-plain64 0 #0 32768 ")
    assert rest == partition


def test_a_key_is_neither_told_nor_a_device(disks: Disks) -> None:
    disks.map("dm-0", "0 9 integrity 8:0 0 32 J 1 internal_hash:hmac(sha256):8:2")
    assert below(disks) == ["integrity 0+9 #0 0 32 J 1 internal_hash:hmac(sha256)", "disk"]
    disks.map("dm-0", "0 900 crypt aes-xts-plain64 :32:logon:8:2 0 8:0 0")
    assert below(disks) == ["crypt 0+900 aes-xts-plain64 0 #0 0", "disk"]


Change = Callable[[Disks], object]
CHANGES: dict[str, tuple[Change, Change]] = {
    "the partition begins elsewhere": (
        lambda disks: disks.map("dm-0", "0 9 linear 8:1 0"),
        lambda disks: put(disks.folder, {"sys/class/block/sda2/start": "4096"}),
    ),
    "it is of another size": (
        lambda disks: disks.map("dm-0", "0 9 linear 8:1 0"),
        lambda disks: put(disks.folder, {"sys/class/block/sda2/size": "17"}),
    ),
    "pvmove within a device": (
        lambda disks: disks.map("dm-0", "0 9 linear 8:1 2048"),
        lambda disks: disks.map("dm-0", "0 9 linear 8:1 8192"),
    ),
    "pvmove to another device": (
        lambda disks: disks.map("dm-0", "0 9 linear 8:1 0"),
        lambda disks: disks.map("dm-0", "0 9 linear 8:2 0"),
    ),
    "a snapshot was made": (
        lambda disks: disks.map("dm-0", "0 9 linear 8:1 0"),
        lambda disks: disks.map("dm-0", "0 9 snapshot-origin 8:1"),
    ),
    "LUKS has another header": (luks, lambda disks: luks(disks, 2)),
    "LUKS begins elsewhere": (
        luks,
        lambda disks: disks.map("dm-0", CRYPT.replace("32768", "65536")),
    ),
    "the pool has other maps": (thin, lambda disks: thin(disks, b"2")),
    "another volume of the pool": (thin, lambda disks: thin(disks, number=2)),
    "a member of the array is missing": (
        lambda disks: array(disks, {"sda": "0", "sdb": "1"}),
        lambda disks: array(disks, {"sda": "0", "sdb": "1"}, degraded="1"),
    ),
    "members have changed places": (
        lambda disks: array(disks, {"sda2": "0", "sdb": "1"}),
        lambda disks: array(disks, {"sda2": "1", "sdb": "0"}),
    ),
}


def then_and_now(disks: Disks, steps: tuple[Change, Change]) -> list[list[str]]:
    """Return what lies below after each of the two steps."""
    found = []
    for step in steps:
        step(disks)
        found.append(below(disks))
    return found


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_seen(name: str, disks: Disks) -> None:
    then, now = then_and_now(disks, CHANGES[name])
    assert then != now


SAME: dict[str, tuple[Change, Change]] = {
    "other numbers": (
        lambda disks: disks.map("dm-0", "0 9 linear 8:0 0"),
        lambda disks: disks.map("dm-0", "0 9 linear 8:2 0"),
    ),
    "a key that has another name, and other options": (
        luks,
        lambda disks: disks.map(
            "dm-0", CRYPT.replace("1-d0", "x").replace("1 allow_discards", "1 no_read_workqueue")
        ),
    ),
    "fewer paths": (
        lambda disks: disks.map("dm-0", "0 9 multipath 0 0 1 1 queue-length 0 2 1 8:0 1 8:2 1"),
        lambda disks: disks.map("dm-0", "0 9 multipath 0 0 1 1 queue-length 0 1 1 8:2 1"),
    ),
    "a pool that warns later": (
        thin,
        lambda disks: disks.map("dm-1", "0 900 thin-pool 8:2 8:1 128 1"),
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_what_another_boot_may_have(name: str, disks: Disks) -> None:
    then, now = then_and_now(disks, SAME[name])
    assert then == now
