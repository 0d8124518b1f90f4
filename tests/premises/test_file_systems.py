"""What changes a file system's fingerprint, and what does not. tests/vm does it for the FATs, too.

docs/RELIABILITY.md, "The guard", rests on this.
"""

import os
from pathlib import Path

import pytest

from tests.premises.volumes import LONG_AGO, Volume, make_volume, skip_unless_mountable
from vm.disks import check_disk, ext4_complaints

ALL = ("ext4", "xfs", "btrfs", "vfat", "exfat")
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
    check_disk(volume.path, fs_type)
    assert (volume.fingerprint(), volume.digest()) == before


def test_a_frozen_ext4_is_clean(tmp_path: Path) -> None:
    volume = filled(tmp_path, "ext4")
    with volume.mounted("rw") as root:
        sync_written(root / "new")
        crashed = volume.copy("crashed")
        frozen = volume.frozen_copy(root)
    assert ext4_complaints(frozen.path) == ""
    assert "journal" in ext4_complaints(crashed.path)
