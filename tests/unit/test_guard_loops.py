"""Loop devices: of a block device that one is guarded, which a boot finds; of a file that file."""

from contextlib import suppress
from pathlib import Path

import pytest

from errors import ChangedError, KernelRefusedError
from format.tables import GuardEntry
from guard.compare import compare
from guard.device import new_buffer
from guard.layers import describe
from linux.mounts import Mount
from tests.unit.fake_root import UUID_1, UUID_2, Disks, ext
from tests.unit.test_guard_take import mount, taken

DEV = "0:6"
PAGE = 4096


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    """A disk sda, and a loop device of it, with the numbers 8:0 and 8:1."""
    made = Disks(tmp_path)
    made.add("sda", bytes(PAGE) + ext() + bytes(PAGE))
    made.add("loop0", ext())
    made.hold("loop0", "/dev/sda", DEV, device="8:0", offset=PAGE)
    return made


MNT = mount("8:1", "/mnt")


def entry(disks: Disks, at: Mount = MNT) -> GuardEntry:
    """Return what the guard keeps; then the machine is off, and loop devices are gone."""
    (found,), notes = taken(disks, at)
    assert notes == []
    for name in {"loop0", "loop1"}.intersection(disks.names("/sys/class/block")):
        disks.remove(name)
    return found


def refusal(disks: Disks, found: GuardEntry) -> str:
    with pytest.raises(ChangedError) as caught:
        compare([found], lambda: False, disks)
    return str(caught.value)


def test_a_part_of_a_device(disks: Disks) -> None:
    found = entry(disks)
    assert (found.device, found.device_size) == ("/dev/sda", 4 * PAGE)
    assert found.layers == f"loop offset {PAGE} size {2 * PAGE}\ndisk"
    compare([found], lambda: False, disks)
    disks.add("sda", b"x" * PAGE + ext() + b"x" * PAGE)
    compare([found], lambda: False, disks)
    disks.add("sda", bytes(PAGE) + ext(mounts=8) + bytes(PAGE))
    assert refusal(disks, found) == (
        "the ext4 of /mnt, on /dev/sda, has changed since the image was made: "
        "it was mounted or repaired"
    )
    disks.add("sda", bytes(2 * PAGE) + ext())
    assert "is not there" in refusal(disks, found)


def test_a_whole_device(disks: Disks) -> None:
    """As if the device itself was mounted."""
    disks.add("sda", ext())
    disks.hold("loop0", "/dev/sda", DEV, device="8:0")
    (plain,), _ = taken(disks, mount("8:0", "/mnt"))
    assert entry(disks) == plain


def test_a_partition_of_a_loop_device_of_a_volume(disks: Disks) -> None:
    data = bytes(3 * PAGE) + ext() + bytes(PAGE)
    disks.add("dm-0", data, ("vg-guest", "LVM-abc"))
    disks.map("dm-0", "0 40 linear 8:0 0")
    disks.add("loop1", data[PAGE:])
    disks.add("loop1p1", ext())
    disks.partition("loop1p1", "loop1", 2 * PAGE // 512)
    disks.hold("loop1", "/dev/vg/guest", DEV, device="8:2", offset=PAGE)
    found = entry(disks, mount("8:4", "/mnt"))
    assert (found.device, found.device_identity) == ("/dev/mapper/vg-guest", "LVM-abc")
    assert found.layers.splitlines() == [
        f"loop offset {3 * PAGE} size {2 * PAGE}",
        "linear 0+40 #0 0",
        "disk",
    ]
    compare([found], lambda: False, disks)


def test_a_loop_device_of_a_loop_device(disks: Disks) -> None:
    disks.add("loop1", ext())
    disks.hold("loop1", "/dev/loop0", DEV, device="8:1")
    found = entry(disks, mount("8:2", "/mnt"))
    assert found.layers == f"loop offset {PAGE} size {2 * PAGE}\ndisk"
    compare([found], lambda: False, disks)


def test_the_device_lies_elsewhere(disks: Disks) -> None:
    disks.add("sda1", bytes(PAGE) + ext())
    disks.partition("sda1", "sda", 2048)
    disks.hold("loop0", "/dev/sda1", DEV, device="8:2", offset=PAGE)
    found = entry(disks)
    compare([found], lambda: False, disks)
    (disks.folder / "sys/class/block/sda1/start").write_text("4096\n")
    assert "lies elsewhere than when the image was made: partition from" in refusal(disks, found)


@pytest.mark.parametrize("size", ["0", "1", "9" * 19])
@pytest.mark.parametrize("offset", ["0", "1", str(PAGE), "9" * 19])
def test_whatever_an_image_says(offset: str, size: str, disks: Disks) -> None:
    found = entry(disks)._replace(layers=f"loop offset {offset} size {size}\ndisk")
    with suppress(ChangedError):
        compare([found], lambda: False, disks)


@pytest.mark.parametrize("below", [("loop0",), ("loop1", "sda"), ("loop0", "loop1")])
def test_other_layers_upon_it(below: tuple[str, ...], disks: Disks) -> None:
    """No boot would have them; loop1 is a file's."""
    disks.add("loop1")
    disks.hold("loop1", "/file", "8:7")
    disks.add("dm-0", ext(UUID_2), ("secret", "CRYPT-LUKS2-abc"))
    for name in below:
        disks.stack("dm-0", name)
    with pytest.raises(KernelRefusedError, match=r"/mnt lies on .*, and that on a loop device"):
        taken(disks, mount("8:3", "/mnt"))


@pytest.mark.parametrize("below", [("loop1",), ("loop1", "zram0"), ("ram0",)])
def test_what_is_in_files_and_memory_only(below: tuple[str, ...], disks: Disks) -> None:
    for name in ("loop1", "zram0", "ram0", "dm-0"):
        disks.add(name, ext(UUID_1))
    disks.hold("loop1", "/file", "8:7")
    for name in below:
        disks.stack("dm-0", name)
    assert taken(disks, mount("8:5", "/mnt"), mount("8:2", "/in")) == ([], [])


def test_bcache_is_on_what_it_is_on(disks: Disks) -> None:
    disks.add("bcache0", ext())
    disks.stack("bcache0", "sda")
    number = disks.device_number("/dev/bcache0") or ""
    assert describe(number, disks, new_buffer()).splitlines() == ["bcache", "disk"]
