"""Stores on real devices: loop devices as they are, and files on file systems on them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import NoSpaceError, StoreRefusedError
from format.records import Superblock
from linux.mounts import SwapArea
from store import file_store, place
from store.device import DeviceStore
from store.file_store import FileStore, make_file_store, page_runs
from store.find import open_store
from store.header import read_header
from store.place import Place, own_extents, place_of
from store.swap import SwapStore
from tests.forge import PAGE
from tests.premises.volumes import loop_device, skip_unless_mountable
from tests.sources import image_to, opened, read_file
from tests.tools import Result, failing
from tests.unit import marked
from tests.unit.conftest import STREAM, Torpor
from tests.unit.mounted import MIB, Mounted, new_swap_file, on
from tests.unit.sealing import passphrase_slot, sender, trusted
from tests.vectors import devices
from tests.vectors.images import noise
from vm.host import SEARCH_PATH, run

PAGES = 512


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delitem(place.VOLATILE, "loop")
    monkeypatch.setenv("PATH", SEARCH_PATH)
    skip_unless_mountable("ext4")
    backing = tmp_path / "disk"
    backing.write_bytes(bytes(PAGES * PAGE))
    with loop_device(backing) as device:
        yield device


def put_image(store: DeviceStore | FileStore, stream: bytes) -> None:
    store.slot.set_mark(image_to(store.sink(), stream))


def hibernate_to(path: str, stream: bytes) -> None:
    with DeviceStore(path) as store:
        put_image(store, stream)


def test_life_of_a_store(device: str, torpor: Torpor) -> None:
    made = torpor("mkstore", device)
    assert (made.code, "boot with resume=UUID=" in made.out) == (0, True)
    said = f"torpor: no image: the store {device} is empty\n"
    assert torpor("verify", device) == Result(3, "", said)
    stream = noise(60 * PAGE)
    hibernate_to(device, stream)
    assert torpor("verify", device).code == 0
    assert read_file(Path(device)) == stream
    assert torpor("discard", device).code == 0
    assert torpor("verify", device).code == 3


def test_mkstore_again_discards(device: str, torpor: Torpor) -> None:
    torpor("mkstore", device)
    hibernate_to(device, noise(PAGE))
    assert torpor("mkstore", device).code == 0
    assert torpor("verify", device).code == 3


@pytest.mark.parametrize("words", [["mkstore"], ["mkstore", "--force"], ["discard"]])
def test_a_sealed_image_that_goes_leaves_nobody_its_key(
    words: list[str], device: str, torpor: Torpor
) -> None:
    """The pages of the image itself stay, until they are written to."""
    trusted()
    torpor("mkstore", device)
    marked.put_image(
        Path(device), STREAM, [(8, 480)], marked.Made(sender=sender(passphrase_slot()))
    )
    mark = marked.mark_of(device)
    assert mark
    page = Path(device).read_bytes()[mark.header_page * PAGE :][:PAGE]
    seal = Superblock.parse(page).seal
    assert seal
    assert torpor(*words, device).code == 0
    assert torpor("verify", device).code == 3
    left = Path(device).read_bytes()
    pieces = [seal.recipients[at : at + 16] for at in range(0, len(seal.recipients) - 16, 16)]
    assert not [piece for piece in pieces if piece in left]


def test_store_in_use_is_refused(device: str, torpor: Torpor) -> None:
    torpor("mkstore", device)
    with DeviceStore(device):
        with pytest.raises(StoreRefusedError, match="is in use"):
            DeviceStore(device)
        refused = torpor("mkstore", device)
        assert (refused.code, "is in use" in refused.err) == (8, True)


def test_image_without_a_mark_is_explained(device: str, torpor: Torpor) -> None:
    """A file written to a device with dd: where it ends, nothing says."""
    Path(device).write_bytes(devices.IMAGE)
    verified = torpor("verify", device)
    assert (verified.code, "holds an image's bytes, but no mark" in verified.err) == (3, True)


def test_full_store(device: str, torpor: Torpor) -> None:
    torpor("mkstore", device)
    with pytest.raises(NoSpaceError, match="no room left"):
        hibernate_to(device, noise(PAGES * PAGE))
    assert torpor("verify", device).code == 3


def test_swap_store_wants_swaps_header(device: str) -> None:
    with pytest.raises(StoreRefusedError, match="no swap header of version 1"):
        SwapStore(SwapArea(device, is_partition=True, size=PAGES * PAGE, used=0), Place(device, 0))
    with pytest.raises(StoreRefusedError, match="neither swap in use nor a store"):
        open_store(device)
    with pytest.raises(StoreRefusedError, match="is no store any more"):
        DeviceStore(device)


def test_no_device(torpor: Torpor, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(PAGES * PAGE))
    missing = tmp_path / "nowhere"
    assert torpor("mkstore", missing) == Result(7, "", f"torpor: {missing} does not exist\n")
    for path in (tmp_path / "file", tmp_path, Path("/dev/null")):
        said = f"torpor: {path} is not a block device\n"
        assert torpor("mkstore", path) == Result(8, "", said)


def test_images_of_files_do_not_go_to_devices(device: str, torpor: Torpor, tmp_path: Path) -> None:
    stream = tmp_path / "stream"
    stream.write_bytes(noise(3 * PAGE))
    packed = torpor("pack", stream, device)
    assert (packed.code, "is a block device, not a file" in packed.err) == (8, True)
    with open(device, "rb") as file:
        assert not file.read().strip(b"\0")


@on("ext4")
def test_swap_file_that_is_not_in_use_is_refused(mounted: Mounted) -> None:
    path = new_swap_file(mounted)
    with pytest.raises(StoreRefusedError, match="is swap that is not in use"):
        open_store(str(path))


@on("ext4", "xfs", "btrfs")
def test_place_of_a_swap_file_holds_its_header(mounted: Mounted) -> None:
    path = new_swap_file(mounted)
    place = place_of(str(path))
    assert os.path.samefile(place.device, mounted.device)
    run("sync", "-f", path)
    with opened(mounted.device) as fd:
        assert os.pread(fd, PAGE, place.page * PAGE) == path.read_bytes()[:PAGE]
    store = SwapStore(SwapArea(str(path), is_partition=False, size=20 * MIB, used=0), place)
    with store:
        assert store.slot.page == place.page
        assert store.slot.uuid.strip("-0")


@on("ext4", "xfs")
def test_image_in_a_file_store(mounted: Mounted, torpor: Torpor) -> None:
    other = mounted.folder / "other"
    other.write_bytes(noise(777 * PAGE))
    path = str(mounted.folder / "store")
    place = make_file_store(path, 8 * MIB)
    stream = noise(6 * MIB)
    with FileStore(path, place_of(path)) as store:
        assert store.room == 8 * MIB - PAGE
        put_image(store, stream)
    assert read_file(Path(path)) == stream
    verified = torpor("verify", path)
    assert (verified.code, "sound" in verified.out) == (0, True)
    assert not Path(path).read_bytes().strip(b"\0"), "the file system knows nothing of it"
    assert torpor("discard", path).code == 0
    verified = torpor("verify", path)
    assert (verified.code, f"the store {path} is empty" in verified.err) == (3, True)
    run("umount", mounted.folder)
    run("mount", mounted.device, mounted.folder)
    assert other.read_bytes() == noise(777 * PAGE)
    assert place_of(path) == place


@on("ext4")
def test_store_in_pieces_uses_them_all_and_nothing_else(mounted: Mounted) -> None:
    full = mounted.folder / "full"
    with full.open("wb") as file:
        for _ in range(40):
            file.write(noise(MIB))
            file.flush()
            os.fsync(file.fileno())
    with full.open("r+b") as file:
        for at in range(1, 40, 2):
            run("fallocate", "--punch-hole", "-o", str(at * MIB), "-l", str(MIB), full)
    before = full.read_bytes()
    path = str(mounted.folder / "store")
    free = os.statvfs(mounted.folder).f_bavail * PAGE
    make_file_store(path, free - 2 * MIB)
    with FileStore(path, place_of(path)) as store:
        assert len(store.runs) > 5
        stream = noise(store.room - 4 * MIB)
        put_image(store, stream)
    assert read_file(Path(path)) == stream
    run("umount", mounted.folder)
    run("e2fsck", "-fn", mounted.device)
    run("mount", mounted.device, mounted.folder)
    assert full.read_bytes() == before


@on("ext4")
def test_full_file_store(mounted: Mounted) -> None:
    path = str(mounted.folder / "store")
    make_file_store(path, MIB)
    with (
        FileStore(path, place_of(path)) as store,
        pytest.raises(NoSpaceError, match=f"no room left on {path}"),
    ):
        put_image(store, noise(2 * MIB))
    with FileStore(path, place_of(path)) as store:
        put_image(store, noise(MIB // 2))


@on("ext4")
def test_files_that_cannot_be_made(mounted: Mounted) -> None:
    path = str(mounted.folder / "store")
    with pytest.raises(NoSpaceError, match=f"no room for 1024 MiB at {path}"):
        make_file_store(path, 1 << 30)
    assert not os.path.exists(path)
    with pytest.raises(StoreRefusedError, match="too small"):
        make_file_store(path, 4096)
    Path(path).write_text("precious")
    with pytest.raises(StoreRefusedError, match="exists already"):
        make_file_store(path, MIB)
    assert Path(path).read_text() == "precious"
    with pytest.raises(StoreRefusedError, match=r"has a hole|is no store any more"):
        FileStore(path, place_of(path))


@on("xfs")
def test_blocks_shared_with_another_file_are_not_written_to(mounted: Mounted) -> None:
    path = str(mounted.folder / "store")
    make_file_store(path, MIB)
    with FileStore(path, place_of(path)) as store:
        with open(path, "r+b") as file:
            file.write(noise(MIB))
        run("cp", "--reflink=always", path, mounted.folder / "copy")
        run("sync", "-f", path)
        with pytest.raises(StoreRefusedError, match="shares blocks"):
            store.allocate(1)
    with pytest.raises(StoreRefusedError, match="shares blocks"):
        FileStore(path, place_of(path))


@on("ext4")
def test_file_that_moves_under_an_open_store_is_noticed(mounted: Mounted) -> None:
    path = mounted.folder / "store"
    make_file_store(str(path), MIB)
    with FileStore(str(path), place_of(str(path))) as store:
        run("fallocate", "--collapse-range", "-o", "0", "-l", str(64 * PAGE), path)
        (mounted.folder / "filler").write_bytes(noise(64 * PAGE))
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), MIB - 64 * PAGE, 64 * PAGE)
        with pytest.raises(StoreRefusedError, match="moved"):
            store.allocate(1)


@on("btrfs")
def test_btrfs_takes_no_file_store(mounted: Mounted) -> None:
    path = mounted.folder / "store"
    with pytest.raises(StoreRefusedError, match="is on btrfs; a file can be a store on ext4 and"):
        make_file_store(str(path), MIB)
    assert not path.exists()
    path.write_bytes(b"small files lie in the tree")
    run("sync", "-f", path)
    with pytest.raises(StoreRefusedError, match="no place of its own"):
        place_of(str(path))


def test_file_on_no_block_device() -> None:
    path = Path("/dev/shm/torpor-test")
    path.write_bytes(bytes(PAGE))
    try:
        with pytest.raises(StoreRefusedError, match=r"does not tell where|not on a block device"):
            place_of(str(path))
    finally:
        path.unlink()


@on("ext4")
def test_file_on_a_file_system_that_the_guard_samples(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mounted.folder / "swap"
    path.write_bytes(bytes(MIB))
    assert place_of(str(path)).device == mounted.device
    real = place.mount_of
    monkeypatch.setattr(place, "mount_of", lambda *args: real(*args)._replace(fs_type="f2fs"))
    with pytest.raises(StoreRefusedError, match="is on f2fs, whose files cannot hold an image"):
        place_of(str(path))


@on("ext4")
def test_sparse_file_and_folder_have_no_place(mounted: Mounted) -> None:
    path = mounted.folder / "sparse"
    with path.open("wb") as file:
        file.truncate(MIB)
        file.write(b"x")
    with pytest.raises(StoreRefusedError, match="has a hole at byte 4096"):
        place_of(str(path))
    with pytest.raises(StoreRefusedError, match="neither a block device nor a file"):
        place_of(str(mounted.folder))


@on("ext4")
def test_first_page_is_not_given_away(mounted: Mounted) -> None:
    path = str(mounted.folder / "store")
    place = make_file_store(path, MIB)
    with opened(path) as fd:
        runs = page_runs(own_extents(fd, path, sync=True), place.page)
    pages = {page for start, count in runs for page in range(start, start + count)}
    assert len(pages) == MIB // PAGE - 1
    assert place.page not in pages
    with opened(mounted.device) as fd:
        assert read_header(fd, path, place.page).is_store


def test_place_is_refused_before_anything_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """On zram or a random key, say: the file is gone again and no device was opened."""
    refuse = failing(StoreRefusedError("it does not last"))
    monkeypatch.setattr(file_store, "refuse_volatile", refuse)
    monkeypatch.setattr(file_store, "check_file_system", lambda *_: None)
    monkeypatch.setattr(file_store, "file_place", lambda *_: Place("/dev/nonexistent", 5))
    with pytest.raises(StoreRefusedError, match="does not last"):
        make_file_store(str(tmp_path / "store"), MIB)
    assert not (tmp_path / "store").exists()
