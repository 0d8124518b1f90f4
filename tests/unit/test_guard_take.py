"""What is mounted, on which devices; and these found again, changed, gone, or there twice."""

import errno
import os
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest

from errors import ChangedError, DeviceNotFoundError, KernelRefusedError, UnreadableError
from format.tables import GuardEntry, Method
from guard import ntfs
from guard.compare import compare
from guard.device import PIECE, Device, new_buffer
from guard.kinds import KINDS
from guard.layers import describe
from guard.take import Guarded
from linux import block
from linux.mounts import Mount
from tests.premises.volumes import loop_device, skip_unless_mountable
from tests.tools import failing
from tests.unit.fake_root import UUID_1, UUID_2, Disks, bcachefs, btrfs, ext
from tests.unit.fake_volumes import Memory, ntfs_image, ntfs_record, ntfs_runs, xfs_image


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path)


def mount(device: str, place: str, fs_type: str = "ext4", source: str = "none") -> Mount:
    return Mount(1, device, place, fs_type, source)


def taken(
    disks: Disks, *mounts: Mount, unguarded: Collection[str] = ()
) -> tuple[list[GuardEntry], list[str]]:
    with Guarded(unguarded) as guarded:
        guarded.open_all(disks.table(*mounts))
        return list(guarded.entries()), guarded.notes


def test_each_device_once(disks: Disks) -> None:
    root = disks.add("sda", ext())
    disks.add("sdb", ext(UUID_2), ("vg-home", "LVM-abc"))
    entries, notes = taken(
        disks,
        mount("0:22", "/proc", "proc", "proc"),
        mount("8:0", "/"),
        mount("8:1", "/home", "ext3"),
        mount("8:0", "/var/bound"),
        mount("0:23", "/tmp", "tmpfs", "tmpfs"),
    )
    assert notes == []
    assert [
        (e.method, e.identity, e.device_size, e.file_system, e.device, e.device_identity)
        for e in entries
    ] == [
        (Method.EXT, UUID_1, 8192, "ext4", root, ""),
        (Method.EXT, UUID_2, 8192, "ext3", "/dev/mapper/vg-home", "LVM-abc"),
    ]
    assert [e.mount_point for e in entries] == ["/", "/home"]


def test_fingerprints_are_taken_when_all_is_frozen(disks: Disks) -> None:
    disks.add("sda", ext())
    with Guarded() as guarded:
        guarded.open_all(disks.table(mount("8:0", "/")))
        (before,) = guarded.entries()
        disks.add("sda", ext(mounts=8))
        (after,) = guarded.entries()
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize("below", ["loop0", "zram1", "ram0"])
def test_files_and_memory_are_left_out(below: str, disks: Disks) -> None:
    disks.add("dm-0", ext(), ("secret", "CRYPT-LUKS2-abc"))
    disks.stack("dm-0", below)
    assert taken(disks, mount("8:0", "/mnt")) == ([], [])


SAMPLED = ["ntfs3", "fuseblk", "fuseblk.some", "jfs", "hfsplus", "f2fs", "btrfs", "xfs", "vfat"]
"""Types that are none of ours, and a superblock that is not its type's."""


@pytest.mark.parametrize("fs_type", SAMPLED)
def test_a_writable_one_of_which_there_is_only_a_sample_is_refused(
    fs_type: str, disks: Disks
) -> None:
    path = disks.add("sda", ext())
    sampled = Mount(1, "8:0", "/my disk", fs_type, path, options="rw,errors=ro")
    with pytest.raises(KernelRefusedError, match=f"^{fs_type} on {path}, mounted at /my d") as said:
        taken(disks, sampled)
    assert "umount '/my disk'" in said.value.hint
    assert f"unguarded-file-systems = {fs_type} in /etc/torpor.conf" in said.value.hint


@pytest.mark.parametrize("fs_type", SAMPLED)
def test_a_sample_will_do_where_it_is_allowed_or_nothing_is_written(
    fs_type: str, disks: Disks
) -> None:
    """With a note where it is only allowed."""
    path = disks.add("sda", ext())
    expected = [(Method.SAMPLE, bytes(16))]
    entries, notes = taken(disks, Mount(1, "8:0", "/mnt", fs_type, path, options="ro,errors=rw"))
    assert [(e.method, e.identity) for e in entries] == expected
    assert notes == []
    entries, notes = taken(disks, mount("8:0", "/mnt", fs_type), unguarded=("udf", fs_type))
    assert [(e.method, e.identity) for e in entries] == expected
    assert notes == [f"{fs_type} on {path}, mounted at /mnt: only a sample of it can be compared"]


@pytest.mark.parametrize("name", ["logdev", "rtdev"])
def test_a_part_of_xfs_that_nobody_finds(name: str, disks: Disks) -> None:
    """Its path may be that of another namespace."""
    disks.add("sda", bytes(xfs_image(100, 5)))
    with pytest.raises(DeviceNotFoundError, match="/dev/mine, a part of the xfs at /mnt, is"):
        taken(disks, Mount(1, "8:0", "/mnt", "xfs", "/dev/sda", options=f"rw,{name}=/dev/mine"))


def test_a_realtime_device_is_sampled(disks: Disks) -> None:
    """What is written there shows in the log."""
    disks.add("sda", bytes(xfs_image(100, 5)))
    realtime = disks.add("sdb", b"data" * 2048)
    options = f"rw,rtdev={realtime}"
    entries, notes = taken(disks, Mount(1, "8:0", "/mnt", "xfs", "/dev/sda", options=options))
    assert [e.method for e in entries] == [Method.XFS, Method.SAMPLE]
    assert notes == []


def test_all_devices_of_a_btrfs(disks: Disks) -> None:
    paths = [disks.add(name, btrfs()) for name in ("sda", "cciss!c0d1", "sdc")]
    disks.btrfs("1-2", "sda", "cciss!c0d1")
    disks.btrfs("3-4", "sdc")
    (disks.folder / "sys/fs/btrfs/features").mkdir()
    one, other = mount("0:30", "/", "btrfs", paths[0]), mount("0:31", "/home", "btrfs", paths[1])
    assert [(e.device, e.mount_point) for e in taken(disks, one, other)[0]] == [
        ("/dev/cciss/c0d1", "/"),
        ("/dev/sda", "/"),
    ]
    assert len(taken(disks, mount("0:30", "/", "btrfs", "/dev/root"))[0]) == 3


def test_all_devices_of_a_bcachefs(disks: Disks) -> None:
    """Alike but for their numbers: one of them does not stand in for another."""
    paths = [disks.add(f"sd{nth}", bcachefs(member=nth)) for nth in range(3)]
    member = mount("0:30", "/mnt", "bcachefs", ":".join(paths))
    entries, notes = taken(disks, member)
    assert notes == []
    assert [(e.method, e.device) for e in entries] == [(Method.BCACHEFS, path) for path in paths]
    compare(entries, lambda: False, disks)
    disks.add("sd1", bcachefs(member=1)[:-1] + b"x")
    with pytest.raises(ChangedError, match=f"the bcachefs of /mnt, on {paths[1]}, has changed"):
        compare(entries, lambda: False, disks)


def test_btrfs_whose_devices_nobody_knows(disks: Disks) -> None:
    with pytest.raises(DeviceNotFoundError, match="the devices of the btrfs at /mnt"):
        taken(disks, mount("0:30", "/mnt", "btrfs", "/dev/root"))


def test_what_a_process_wrote_is_on_the_disk_first(
    disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a device whose file system it serves: it writes to the device's page cache."""
    before, after = (ntfs_image(ntfs_record(ntfs_runs((4, count)))) for count in (8, 9))
    disks.add("sda", bytes(before))
    disks.add("sdb", ext())
    monkeypatch.setattr(os, "fsync", lambda _fd: disks.add("sda", bytes(after)))
    with Guarded() as guarded:
        guarded.open_all(disks.table(mount("8:1", "/"), mount("8:0", "/win", "fuseblk")))
        _, entry = guarded.entries()
    assert (entry.method, entry.identity) == (Method.NTFS, b"SERIAL#1".ljust(16, b"\0"))
    assert entry.fingerprint == ntfs.fingerprint(Memory(after).read, len(after))


def test_a_disk_that_was_pulled_out(disks: Disks) -> None:
    pulled, unknown = mount("8:9", "/media/stick"), mount("0:40", "/b", "bcachefs", "/dev/x")
    entries, notes = taken(disks, pulled, unknown)
    assert entries == []
    assert notes == [
        "the device of /media/stick is gone: nothing to compare",
        "the device of /b is not known: nothing to compare",
    ]


def test_a_disk_without_a_node(disks: Disks) -> None:
    os.unlink(disks.path(disks.add("sda")))
    with pytest.raises(DeviceNotFoundError, match="device 8:0, mounted at /mnt, has no node"):
        taken(disks, mount("8:0", "/mnt"))


def test_a_disk_that_cannot_be_opened(disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    path = disks.add("sda", ext())
    error = PermissionError(errno.EPERM, "Operation not permitted")
    monkeypatch.setattr(block, "open_direct", failing(error))
    said = f"cannot open {path}, mounted at /mnt: operation not"
    with pytest.raises(UnreadableError, match=said):
        taken(disks, mount("8:0", "/mnt"))


def test_reading_past_the_page_cache(tmp_path: Path) -> None:
    """Of a device whose end is not a page's."""
    skip_unless_mountable("ext4")
    data = b"".join(bytes([number % 251]) * 512 for number in range(2 * PIECE // 512 + 3))
    (tmp_path / "disk").write_bytes(data)
    with (
        loop_device(tmp_path / "disk") as path,
        Device(path, new_buffer()) as device,
        open(path, "rb") as cached,
    ):
        assert (cached.read(), device.size) == (data, len(data))
        end = len(data)
        for offset, size in ((0, 1), (510, 4), (4095, PIECE), (1024, 1024), (end - 700, 600)):
            assert device.read(offset, size) == data[offset : offset + size]
        assert device.read(end - 5, 4096) == data[-5:]
        for offset in (end, end + 1, 1 << 70):
            assert device.read(offset, 10) == b""
        with (tmp_path / "disk").open("r+b") as file:
            file.write(b"\xff" * 512)
        cached.seek(0)
        assert cached.read(512) == data[:512]
        assert device.read(0, 512) == b"\xff" * 512
        assert not device.is_lasting


def entry_of(disks: Disks, path: str, method: Method = Method.EXT) -> GuardEntry:
    """Return what the guard keeps of a device, which is /home."""
    kind = KINDS[method]
    with Device(path, new_buffer(), disks) as device:
        identity = kind.identify(device.read)
        assert identity
        fingerprint = kind.fingerprint(device.read, device.size)
        names = ("ext4", device.name, device.identity, "/home")
        layers = describe(device.number, disks, new_buffer())
        return GuardEntry(method, identity, device.size, fingerprint, *names, layers)


def in_no_time() -> bool:
    """A wait that must not begin."""
    raise AssertionError("there was nothing to wait for")


def refusal(disks: Disks, *entries: GuardEntry, wait: Callable[[], bool] = lambda: False) -> str:
    with pytest.raises(ChangedError) as caught:
        compare(list(entries), wait, disks)
    assert caught.value.exit_code == 19
    return str(caught.value)


def test_unchanged(disks: Disks) -> None:
    disks.add("sdx", b"too small")
    paths = [disks.add("sda", ext()), disks.add("sdb", ext(UUID_2))]
    entries = [entry_of(disks, path) for path in paths]
    compare(entries, in_no_time, disks)
    compare([], in_no_time, disks)


def test_changed(disks: Disks) -> None:
    kept = entry_of(disks, disks.add("sda", ext()))
    changed = entry_of(disks, disks.add("sdb", ext(UUID_2)))
    path = disks.add("sdb", ext(UUID_2, mounts=8))
    assert refusal(disks, kept, changed, wait=in_no_time) == (
        f"the ext4 of /home, on {path}, has changed since the image was made: "
        "it was mounted or repaired"
    )


def test_found_by_another_name(disks: Disks) -> None:
    entry = entry_of(disks, disks.add("sda", ext()))
    disks.remove("sda")
    disks.add("sda", ext(UUID_2))
    disks.add("sdc", ext())
    compare([entry], in_no_time, disks)
    path = disks.add("sdc", ext(mounts=8))
    assert f"on {path}, has changed" in refusal(disks, entry)


@pytest.mark.parametrize(
    "instead", [ext(UUID_2), ext(size=12288), bytes(8192)], ids=["other", "resized", "wiped"]
)
def test_gone(instead: bytes, disks: Disks) -> None:
    path = disks.add("sda", ext())
    entry = entry_of(disks, path)
    other = entry_of(disks, disks.add("sdb", ext(UUID_2, size=12288)))
    disks.add("sda", instead)
    assert refusal(disks, entry, other) == f"the ext4 of /home, on {path} then, is not there"


def test_waits_for_what_is_missing_then_looks_at_all_once_more(disks: Disks) -> None:
    """What came meanwhile may be the original of a copy that was compared."""
    first = entry_of(disks, disks.add("sda", ext()))
    second = entry_of(disks, disks.add("sdb", ext(UUID_2)))
    disks.remove("sdb")
    waits = 0

    def wait() -> bool:
        nonlocal waits
        waits += 1
        if waits == 3:
            disks.add("sdb", ext(UUID_2))
        return waits < 5

    compare([first, second], wait, disks)
    assert waits == 3
    waits = 0
    disks.remove("sdb")
    disks.add("sdc", ext(mounts=8))
    assert "sdc, has changed" in refusal(disks, first, second, wait=wait)


def test_the_original_may_come_while_another_device_is_awaited(disks: Disks) -> None:
    first = entry_of(disks, disks.add("sda", ext()))
    second = entry_of(disks, disks.add("sdb", ext(UUID_2)))
    for name in ("sda", "sdb"):
        disks.remove(name)
    disks.add("sdc", ext())
    late = [("sda", ext(mounts=8)), ("sdb", ext(UUID_2))]

    def wait() -> bool:
        if late:
            disks.add(*late.pop(0))
        return True

    assert "sda, has changed" in refusal(disks, first, second, wait=wait)


@pytest.mark.parametrize(("copy", "original"), [("sda", "sdb"), ("sdb", "sda"), ("sdc", "sdd")])
def test_no_copy_may_have_changed(copy: str, original: str, disks: Disks) -> None:
    """Whatever they are called: one with the name of then may be the copy."""
    entry = entry_of(disks, disks.add("sda", ext()))
    disks.remove("sda")
    disks.add(copy, ext())
    disks.add(original, ext(mounts=8))
    assert f"{original}, has changed" in refusal(disks, entry, wait=in_no_time)
    disks.add(original, ext())
    compare([entry], in_no_time, disks)


def test_a_layer_is_known_by_its_own_identity(disks: Disks) -> None:
    """A copy that is there before it does not stand in for a volume that is to come."""
    entry = entry_of(disks, disks.add("dm-0", ext(), ("vg-home", "LVM-abc")))
    assert entry.device == "/dev/mapper/vg-home"
    disks.remove("dm-0")
    disks.add("sda", ext(mounts=8))
    disks.add("dm-1", ext(), ("vg-snapshot", "LVM-xyz"))

    def wait() -> bool:
        disks.add("dm-7", ext(), ("vg-home", "LVM-abc"))
        return True

    compare([entry], wait, disks)
    disks.remove("dm-7")
    assert "on /dev/mapper/vg-home then, is not there" in refusal(disks, entry)


def test_luks_is_the_same_by_another_name(disks: Disks) -> None:
    entry = entry_of(disks, disks.add("dm-0", ext(), ("secret", "CRYPT-LUKS2-abc-secret")))
    disks.add("dm-0", ext(), ("luks-abc", "CRYPT-LUKS2-abc-luks-abc"))
    compare([entry], in_no_time, disks)
    disks.add("dm-0", ext(), ("secret", "CRYPT-LUKS2-xyz-secret"))
    assert "is not there" in refusal(disks, entry)


def test_a_sample_is_found_wherever_it_is(disks: Disks) -> None:
    sample = entry_of(disks, disks.add("sda", b"some" * 2048), Method.SAMPLE)
    entry = replace(sample, file_system="ntfs3")
    disks.add("sda", b"more" * 2048)
    disks.add("sdb", b"some" * 2048)
    compare([entry], in_no_time, disks)
    disks.add("sdb", b"some" * 2047 + b"body")
    assert refusal(disks, entry).endswith("sda then, is not there, or has changed")


def test_a_drive_with_a_medium_is_found_by_its_name(disks: Disks) -> None:
    entry = entry_of(disks, disks.add("sr0", ext()))
    compare([entry], in_no_time, disks)
    assert "is not there" in refusal(disks, replace(entry, device="/dev/sr1"))


def test_a_disk_that_cannot_be_read_is_not_the_one(
    disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entry_of(disks, disks.add("sdb", ext()))
    bad = disks.path(disks.add("sda", bytes(8192)))
    real = os.preadv

    def preadv(fd: int, buffers: list[memoryview], offset: int) -> int:
        if os.path.samefile(f"/proc/self/fd/{fd}", bad):
            raise OSError(5, "Input/output error")
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    compare([entry], in_no_time, disks)
    disks.remove("sdb")
    assert "is not there" in refusal(disks, entry)
