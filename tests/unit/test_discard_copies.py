"""torpor discard on copies: written is what was there before the mark, in its place, or nothing."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from errors import StoreRefusedError
from format.first_page import MARK_OFFSET
from store.header import read_header
from store.place import Place, place_of
from tests.forge import PAGE, header_page
from tests.premises.volumes import skip_unless_mountable
from tests.sources import opened
from tests.tools import Result
from tests.unit.conftest import Torpor
from tests.unit.marked import mark_of, put_image, set_mark
from tests.unit.mounted import MIB, Mounted, new_swap_file, on
from tests.vectors.images import noise
from vm.host import run

PAGES = 64
KINDS = ("ext4", "xfs", "btrfs")


def with_image(mounted: Mounted) -> tuple[Path, Place]:
    """Return a swap file with an image of this machine, as a boot finds it, and its place."""
    path = new_swap_file(mounted)
    place = place_of(str(path))
    put_image(Path(mounted.device), noise(9 * PAGE), [(place.page + 1, 50)], page=place.page)
    anew(mounted)
    return path, place


def anew(mounted: Mounted) -> None:
    """Have all be read from the device."""
    run("umount", mounted.folder)
    run("mount", mounted.device, mounted.folder)


def is_refused(torpor: Torpor, path: Path, why: str) -> None:
    """Without --force, and nothing is written."""
    before = path.read_bytes()
    done = torpor("discard", path)
    assert done.code == 17
    assert f"{path} holds an image which does not tell whose it is: " in done.err
    assert why in done.err
    assert path.read_bytes() == before


def is_swap(path: Path) -> bool:
    with opened(path) as fd:
        header = read_header(fd, str(path))
        return header.signature == b"SWAPSPACE2" and not header.has_mark_magic


def look_for_damage(mounted: Mounted) -> None:
    """All that the file system has can be read, and is as its checksums say."""
    anew(mounted)
    for file in mounted.folder.iterdir():
        assert file.is_dir() or file.read_bytes()
    if mounted.kind == "btrfs":
        assert "Error summary:    no errors found" in run(
            "btrfs", "scrub", "start", "-B", mounted.folder
        )


@on(*KINDS)
def test_original_is_cleared_below_its_file_system(mounted: Mounted, torpor: Torpor) -> None:
    """And the file system shows it at once: it would show the mark that it had read before."""
    path, place = with_image(mounted)
    assert not is_swap(path)
    assert torpor("discard", path).code == 0
    assert is_swap(path)
    assert mark_of(mounted.device, place.page) is None
    look_for_damage(mounted)


@on(*KINDS)
def test_copy_is_cleared_if_forced_and_only_the_copy(mounted: Mounted, torpor: Torpor) -> None:
    """On btrfs the copy has a checksum: written below the file system, it could not be read."""
    path, place = with_image(mounted)
    copy = mounted.folder / "copy"
    run("cp", "--reflink=never", path, copy)
    run("sync", "-f", copy)
    is_refused(torpor, copy, f"the mark on {copy} belongs at page {place.page}, not 0")
    assert torpor("discard", "--stale", copy).code == 17
    look_for_damage(mounted)
    assert torpor("discard", "--force", copy).code == 0
    assert is_swap(copy)
    look_for_damage(mounted)
    assert torpor("verify", path).code == 0


@on("xfs", "btrfs")
def test_copy_that_shares_the_blocks(mounted: Mounted, torpor: Torpor) -> None:
    """Which of both is the original, nobody can tell."""
    path, place = with_image(mounted)
    copy = mounted.folder / "copy"
    copy.touch()
    if mounted.kind == "btrfs":
        run("chattr", "+C", copy)
    run("cp", "--reflink=always", path, copy)
    run("sync", "-f", copy)
    is_refused(torpor, copy, "belongs at page")
    is_refused(torpor, path, "belongs at page")
    assert torpor("discard", "--force", copy).code == 0
    assert is_swap(copy)
    assert mark_of(mounted.device, place.page)
    look_for_damage(mounted)


@on("btrfs")
def test_file_with_checksums_has_no_place(mounted: Mounted) -> None:
    """Whatever page its mark names, as a copy may come to lie where the original lay."""
    path = mounted.folder / "copy"
    path.write_bytes(noise(64 * PAGE))
    with pytest.raises(StoreRefusedError, match="is copied on write"):
        place_of(str(path))


@on("ext4", "xfs")
def test_swap_file_with_a_hole(mounted: Mounted, torpor: Torpor) -> None:
    """It is no swap file any more, and in the place that the mark says all the same."""
    path, place = with_image(mounted)
    run("fallocate", "--punch-hole", "-o", str(10 * MIB), "-l", str(PAGE), path)
    is_refused(torpor, path, "belongs at page")
    assert torpor("discard", "--force", path).code == 0
    assert is_swap(path)
    anew(mounted)
    assert mark_of(mounted.device, place.page) is None


def swap_with_image(path: Path) -> Path:
    """Return the file, which stands for a partition with an image of this machine."""
    path.write_bytes(header_page(PAGES) + bytes((PAGES - 1) * PAGE))
    put_image(path, noise(9 * PAGE), [(1, PAGES - 1)])
    return path


def test_copy_of_a_device_is_what_the_device_would_be(tmp_path: Path, torpor: Torpor) -> None:
    """Only the signature and the mark go; what is behind may be damaged."""
    path = swap_with_image(tmp_path / "copy")
    with path.open("r+b") as file:
        file.seek(3 * PAGE)
        file.write(noise(3 * PAGE))
        file.flush()
        behind = path.read_bytes()[PAGE:]
    assert torpor("discard", path).code == 0
    assert path.read_bytes() == header_page(PAGES) + behind


def superblock_gone(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(PAGE)
        file.write(noise(PAGE))


def mark_elsewhere(path: Path) -> None:
    """A copy of a swap file, on a partition."""
    mark = mark_of(path)
    assert mark
    set_mark(path, mark._replace(page=77))


def mark_damaged(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(MARK_OFFSET + 20)
        file.write(b"damage")


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (partial(os.truncate, length=PAGE), "leaves the device"),
        (partial(os.truncate, length=5 * PAGE), "leaves the device"),
        (superblock_gone, "not an image"),
        (mark_elsewhere, "belongs at page 77, not 0"),
        (mark_damaged, "the mark has a wrong checksum"),
    ],
)
def test_image_that_does_not_tell_whose_it_is(
    damage: Callable[[Path], None], why: str, tmp_path: Path, torpor: Torpor
) -> None:
    """Perhaps another system's: only --force makes an end of it, which leaves swap."""
    path = swap_with_image(tmp_path / "copy")
    damage(path)
    is_refused(torpor, path, why)
    assert torpor("discard", "--force", path).code == 0
    assert path.read_bytes()[:PAGE] == header_page(PAGES)


@pytest.mark.parametrize("before", [PAGE, 512, MIB])
def test_disk_with_the_partition_in_it(before: int, tmp_path: Path, torpor: Torpor) -> None:
    path = swap_with_image(tmp_path / "disk")
    path.write_bytes(bytes(before) + path.read_bytes())
    was = path.read_bytes()
    said = f"torpor: no marked image on {path}: nothing changed\n"
    for options in ([], ["--force"]):
        assert torpor("discard", *options, path) == Result(3, "", said)
    assert path.read_bytes() == was


def test_device_with_large_sectors(tmp_path: Path, torpor: Torpor) -> None:
    skip_unless_mountable("ext4")
    path = swap_with_image(tmp_path / "disk")
    device = run("losetup", "--find", "--show", "--sector-size", "4096", path).strip()
    try:
        assert torpor("discard", device).code == 0
    finally:
        run("losetup", "--detach", device)
    assert path.read_bytes()[:PAGE] == header_page(PAGES)
