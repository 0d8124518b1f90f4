"""An image is stale once a file system that it holds mounted was changed, not as it is mounted."""

import os
from pathlib import Path

import pytest

from format.tables import GuardEntry
from guard import stale
from guard.device import Device, new_buffer
from guard.kinds import KINDS, recognize
from guard.layers import describe
from guard.stale import why_stale
from linux.mounts import Mount
from linux.root import HOST
from store.header import read_header
from tests.forge import PAGE, header_page
from tests.premises.volumes import kind_of
from tests.sources import opened
from tests.unit.marked import Made, put_image
from tests.unit.mounted import Mounted, on
from vm.host import run


def entry_of(mounted: Mounted) -> GuardEntry:
    """Return what an image would hold of the device as it is now."""
    buffer = new_buffer()
    with Device(mounted.device, buffer) as device:
        method, identity = recognize(mounted.kind, device.read)
        fingerprint = KINDS[method].fingerprint(device.read, device.size)
        names = (kind_of(mounted.kind), mounted.device, device.identity, "/mnt")
        layers = describe(device.number, HOST, buffer)
        return GuardEntry(method, identity, device.size, fingerprint, *names, layers)


@pytest.fixture
def image(mounted: Mounted, tmp_path: Path) -> Path:
    """An image that holds the file system mounted, which is mounted again now."""
    path = tmp_path / "swap"
    path.write_bytes(header_page(64) + bytes(63 * PAGE))
    run("umount", mounted.folder)
    put_image(path, bytes(PAGE), [(1, 63)], Made(guard=[entry_of(mounted)]))
    run("mount", mounted.device, mounted.folder)
    return path


def reason(image: Path) -> str:
    with opened(image) as fd:
        return why_stale(read_header(fd, str(image)))


@on("ext4", "xfs", "btrfs")
def test_what_was_written_counts_at_once(image: Path, mounted: Mounted) -> None:
    (mounted.folder / "written").write_bytes(b"by this boot")
    assert "has changed since the image was made" in reason(image)


@pytest.mark.parametrize(
    ("fs_type", "is_stale"), [("nfs4", True), ("cifs", True), ("ext4", False), ("overlay", False)]
)
def test_a_root_on_a_server_is_changed_unseen(
    fs_type: str, is_stale: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "swap"
    path.write_bytes(header_page(64) + bytes(63 * PAGE))
    put_image(path, bytes(PAGE), [(1, 63)], Made(guard=[]))
    mounts = [Mount(1, "0:1", "/", "rootfs", "none"), Mount(2, "0:44", "/", fs_type, "server:/x")]
    monkeypatch.setattr(stale, "read_mounts", lambda: mounts)
    assert bool(reason(path)) == is_stale
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert reason(path) == ""


@on("btrfs")
def test_a_mount_to_which_nothing_is_written_does_not_count(image: Path, mounted: Mounted) -> None:
    assert os.access(mounted.folder, os.W_OK)
    assert reason(image) == ""
