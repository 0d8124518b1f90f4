"""The devices of a guard found again: unchanged, changed, gone, there twice, and by other names."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from errors import ChangedError
from format.tables import GuardEntry, Method
from guard.compare import compare, is_held
from guard.device import Device, new_buffer
from guard.kinds import KINDS
from guard.layers import describe
from tests.sources import opened
from tests.unit.fake_root import UUID_1, UUID_2, Disks, btrfs, ext


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path)


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


def test_a_users_bytes_hold_no_file(disks: Disks) -> None:
    """On ext4 a block at 64 KiB may be a user's, who writes a superblock of btrfs there."""
    both = btrfs(UUID_2)
    path = disks.add("sda", ext(UUID_1) + both[8192:])
    entry = entry_of(disks, path)
    assert entry.method is Method.EXT
    with opened(disks.path(path), os.O_RDONLY) as fd:
        assert is_held(fd, path, [entry])
        for method in Method:
            forged = entry._replace(method=method, identity=UUID_2)
            assert not is_held(fd, path, [forged])


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
    entry = sample._replace(file_system="ntfs3")
    disks.add("sda", b"more" * 2048)
    disks.add("sdb", b"some" * 2048)
    compare([entry], in_no_time, disks)
    disks.add("sdb", b"some" * 2047 + b"body")
    assert refusal(disks, entry).endswith("sda then, is not there, or has changed")


def test_a_drive_with_a_medium_is_found_by_its_name(disks: Disks) -> None:
    entry = entry_of(disks, disks.add("sr0", ext()))
    compare([entry], in_no_time, disks)
    assert "is not there" in refusal(disks, entry._replace(device="/dev/sr1"))


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
