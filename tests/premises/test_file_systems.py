"""What changes a file system's fingerprint, and what does not. tests/vm does it for the FATs, too.

docs/RELIABILITY.md, "The guard", rests on this.
"""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from guard import ntfs
from linux.mounts import MountTable, read_mounts
from linux.root import HOST
from tests.premises.volumes import (
    LONG_AGO,
    Volume,
    kind_of,
    loop_device,
    make_volume,
    mounted,
    own_mounts,
    skip_unless_mountable,
)
from vm.disks import blank_disk, check_disk, copy_disks, ext4_complaints, file_system_disk
from vm.host import run

ALL = ("ext4", "xfs", "btrfs", "vfat", "exfat", "ntfs-3g")
JOURNALED = ("ext4", "xfs", "btrfs")
FILE = "folder/file"


def filled(folder: Path, fs_type: str, *options: str) -> Volume:
    """Return a file system with an old file in it, unmounted."""
    skip_unless_mountable(fs_type)
    volume = make_volume(folder / "volume", fs_type, *options)
    with volume.mounted("rw") as root:
        file = root / FILE
        file.parent.mkdir()
        file.write_bytes(b"x" * 10_000)
        os.utime(file, (LONG_AGO, LONG_AGO))
    return volume


def sync_written(file: Path) -> None:
    """Make a file that is on the device for good, in a journal where there is one."""
    with file.open("wb") as opened:
        opened.write(b"z" * 10_000)
        opened.flush()
        os.fsync(opened.fileno())


@pytest.mark.parametrize("fs_type", ALL)
def test_what_is_written_changes_it(fs_type: str, tmp_path: Path) -> None:
    """A new file, or a byte in one; a mount alone, too, unless it changes nothing at all."""
    volume = filled(tmp_path, fs_type)
    before, digest = volume.fingerprint(), volume.digest()
    with volume.mounted("rw"):
        pass
    mounted = volume.fingerprint()
    assert mounted != before or volume.digest() == digest
    with volume.mounted("rw") as root:
        (root / "new").write_bytes(b"")
    with_file = volume.fingerprint()
    assert with_file != mounted
    with volume.mounted("rw") as root, (root / FILE).open("r+b") as file:
        file.seek(5000)
        file.write(b"y")
    assert volume.fingerprint() != with_file


@pytest.mark.parametrize(
    ("fs_type", "options"), [("ext4", "ro"), ("btrfs", "ro"), ("xfs", "ro,norecovery")]
)
def test_reading_leaves_a_frozen_one(fs_type: str, options: str, tmp_path: Path) -> None:
    """XFS's log is left in need of a replay (xfs_fs_freeze), and a read-only mount writes to it."""
    volume = filled(tmp_path, fs_type)
    with volume.mounted("rw") as root:
        (root / "new").write_bytes(b"y" * 10_000)
        frozen = volume.frozen_copy(root)
    before = frozen.fingerprint(), frozen.digest()
    with frozen.mounted(options) as root:
        assert (root / "new").read_bytes() == b"y" * 10_000
    assert (frozen.fingerprint(), frozen.digest()) == before
    if fs_type == "xfs":
        with frozen.mounted("ro"):
            pass
        assert frozen.fingerprint() != before[0]


@pytest.mark.parametrize("options", ["^orphan_file", "orphan_file"])
def test_a_read_only_mount_that_removes_a_file_changes_it(options: str, tmp_path: Path) -> None:
    """ext4 frees files that were open and have no name, whose process the image still holds."""
    volume = filled(tmp_path, "ext4", "-O", options)
    with volume.mounted("rw") as root, (root / "nameless").open("wb") as file:
        file.write(b"y" * 10_000)
        (root / "nameless").unlink()
        frozen = volume.frozen_copy(root)
    before = frozen.fingerprint()
    with frozen.mounted("ro"):
        pass
    assert frozen.fingerprint() != before


@pytest.mark.parametrize("fs_type", JOURNALED)
def test_a_replay_changes_it(fs_type: str, tmp_path: Path) -> None:
    volume = filled(tmp_path, fs_type)
    with volume.mounted("rw") as root:
        sync_written(root / "new")
        crashed = volume.copy("crashed")
    before = crashed.fingerprint()
    with crashed.mounted("ro") as root:
        assert (root / "new").read_bytes() == b"z" * 10_000
    assert crashed.fingerprint() != before


@pytest.mark.parametrize("fs_type", ALL)
def test_a_check_that_only_looks_leaves_it(fs_type: str, tmp_path: Path) -> None:
    volume = make_volume(tmp_path / "volume", fs_type)
    before = volume.fingerprint(), volume.digest()
    check_disk(volume.path, kind_of(fs_type))
    assert (volume.fingerprint(), volume.digest()) == before


def test_a_frozen_ext4_is_clean(tmp_path: Path) -> None:
    volume = filled(tmp_path, "ext4")
    with volume.mounted("rw") as root:
        sync_written(root / "new")
        crashed = volume.copy("crashed")
        frozen = volume.frozen_copy(root)
    assert ext4_complaints(frozen.path) == ""
    assert "journal" in ext4_complaints(crashed.path)


def test_an_ext4_mounted_by_a_backup_of_its_superblock(tmp_path: Path) -> None:
    """It shows what every other system writes; only one that mounts it so, too, is not seen."""
    volume = filled(tmp_path, "ext4", "-b", "1024")
    by_backup = "rw,sb=8193"
    with volume.mounted(by_backup) as root:
        (root / "new").write_bytes(b"z" * 10_000)
        frozen = volume.frozen_copy(root)
    before = frozen.fingerprint()
    with frozen.mounted(by_backup) as root:
        (root / "another").write_bytes(b"")
    assert frozen.fingerprint() == before
    with frozen.mounted("rw"):
        pass
    assert frozen.fingerprint() != before


def test_a_journal_on_another_device_is_its_file_system_s(tmp_path: Path) -> None:
    """What is written through it changes the file system's superblock, and so does its replay."""
    skip_unless_mountable("ext4")
    journal, volume = blank_disk(tmp_path / "journal", 16), blank_disk(tmp_path / "volume", 64)
    crashed = Volume(volume, "ext4")
    with own_mounts(), loop_device(journal) as beside, loop_device(volume) as device:
        run("mke2fs", "-q", "-b", "4096", "-O", "journal_dev", beside)
        run("mke2fs", "-q", "-b", "4096", "-t", "ext4", "-J", f"device={beside}", device)
        made = crashed.fingerprint()
        with mounted(device, tmp_path / "place", "ext4") as place:
            (mount,) = (each for each in read_mounts() if each.mount_point == str(place))
            below = MountTable([mount]).devices_below(mount)
            assert below == [HOST.device_number(path) for path in (device, beside)]
            sync_written(place / "new")
            copies = copy_disks((journal, volume), tmp_path / "crashed")
        assert crashed.fingerprint() != made
    crashed = Volume(copies[1], "ext4")
    before = crashed.fingerprint()
    with (
        own_mounts(),
        loop_device(copies[0]) as beside,
        loop_device(copies[1]) as device,
        mounted(device, tmp_path / "place", "ext4", f"ro,journal_path={beside}") as place,
    ):
        assert (place / "new").read_bytes() == b"z" * 10_000
    assert crashed.fingerprint() != before


def test_the_log_of_xfs_on_another_device_shows_its_changes(tmp_path: Path) -> None:
    """All of them; the data's device has the superblock only, which a freeze writes."""
    skip_unless_mountable("xfs")
    paths = blank_disk(tmp_path / "log", 70), blank_disk(tmp_path / "volume", 320)
    log, volume = (Volume(path, kind) for path, kind in zip(paths, ("xfs-log", "xfs"), strict=True))
    seen = []
    with own_mounts(), loop_device(paths[0]) as beside, loop_device(paths[1]) as device:
        run("mkfs.xfs", "-q", "-l", f"logdev={beside},size=64m", device)
        for name in ("", "first", "second"):
            with mounted(device, tmp_path / "place", "xfs", f"rw,logdev={beside}") as place:
                if name:
                    sync_written(place / name)
                copies = [each.frozen_copy(place) for each in (log, volume)]
                seen.append(copies[0].fingerprint())
                assert copies[1].fingerprint()
            seen.append(log.fingerprint())
    assert len(set(seen)) == len(seen)
    with (
        own_mounts(),
        loop_device(copies[0].path) as beside,
        loop_device(copies[1].path) as device,
        mounted(device, tmp_path / "place", "xfs", f"ro,norecovery,logdev={beside}") as place,
    ):
        assert (place / "second").read_bytes() == b"z" * 10_000
    assert copies[0].fingerprint() == seen[-2]


def test_a_large_ntfs_shows_a_block_that_was_overwritten(tmp_path: Path) -> None:
    """Whose bytes are a small part of it, anywhere; only the file's record changes besides."""
    skip_unless_mountable("ntfs-3g")
    volume = Volume(file_system_disk(tmp_path / "volume", "ntfs", mib=600), "ntfs-3g")
    with volume.mounted("rw") as root:
        (root / "file").write_bytes(bytes(8 << 20))
    before = volume.fingerprint()
    with volume.mounted("rw") as root, (root / "file").open("r+b") as file:
        file.seek(4 << 20)
        file.write(b"y" * 4096)
    assert volume.fingerprint() != before


def test_a_file_table_in_pieces_is_read_whole(tmp_path: Path) -> None:
    """So many that $MFT takes a list of records for them; ntfscat puts the fixups back."""
    skip_unless_mountable("ntfs-3g")
    path = tmp_path / "volume"
    volume = Volume(file_system_disk(path, "ntfs", "-c", "512", mib=16), "ntfs-3g")
    with volume.mounted("rw") as root:
        with suppress(OSError):  # it is full
            for nth in range(10_000):
                (root / f"a{nth}").write_bytes(b"x" * 2048)
        for nth in range(0, 10_000, 2):
            (root / f"a{nth}").unlink(missing_ok=True)
        for nth in range(4000):
            (root / f"b{nth}").touch()
    with path.open("rb") as file:

        def read(offset: int, size: int) -> bytes:
            return os.pread(file.fileno(), size, offset)

        found = ntfs.identify(read)
        boot = ntfs._parse(read)
        mft = boot.records(read) if boot else None
        assert found
        assert boot
        assert mft
        assert list(boot._listed(read, read(boot.mft, boot.record_size)))
        whole = bytearray(b"".join(mft.read(read, 0, mft.size)))
    run("sh", "-c", 'ntfscat -f -i 0 "$1" >"$2"', "-", path, tmp_path / "table")
    expected = bytearray((tmp_path / "table").read_bytes())
    for data in (whole, expected):
        for at in (510, 511):
            data[at::512] = bytes(len(data) // 512)
    assert whole == expected
