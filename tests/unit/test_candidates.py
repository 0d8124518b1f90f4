"""Which image is restored where several devices carry one, and what becomes of the others."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import resume.__main__ as program
import resume.find as finding
from errors import (
    DamagedError,
    DeviceNotFoundError,
    ForbiddenError,
    KernelRefusedError,
    NoImageError,
    OtherInstallationError,
    OtherKernelError,
    SpentError,
)
from format.mark import MarkState
from format.records import Identity
from linux import kmsg, power, root
from resume import candidates
from resume.request import Request
from state.location import Location
from state.record import KeptImage
from store.header import StoreHeader, new_store_header, read_header
from store.image import open_image
from tests.forge import KERNEL, header_page
from tests.unit.marked import HERE, INSTALLATION, Made, mark_of, put_image, set_mark

PAGE = 4096
PAGES = 64
OURS = INSTALLATION
FOREIGN = replace(HERE, machine_id="cd" * 16, host_name="puma")
OTHER_KERNEL = replace(HERE, kernel_release="1.0")
Said = list[tuple[int, str]]


class Disks:
    """Files that stand for block devices."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.paths: list[str] = []

    def empty(self, page: int = 0) -> str:
        path = self._folder / f"sd{len(self.paths)}"
        path.write_bytes(bytes(PAGES * PAGE))
        with path.open("r+b") as file:
            new_store_header(file.fileno(), str(path), PAGES, page)
        self.paths.append(str(path))
        return str(path)

    def image(self, day: int, identity: Identity = HERE, page: int = 0) -> str:
        """A store with an image of the first `day`s of 1970."""
        path = self.empty(page)
        runs = [(page + 1, PAGES - 1 - page)]
        made = Made(identity, day=day)
        put_image(Path(path), bytes([day]) * PAGE * 3, runs, made, page)
        return path


class Restored(BaseException):
    def __init__(self, header: StoreHeader) -> None:
        super().__init__(header.name)
        self.name = header.name


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disks:
    made = Disks(tmp_path)

    def restore(_image: object, header: StoreHeader) -> None:
        header.clear()
        raise Restored(header)

    def find(spec: str, *_: object) -> str:
        if spec not in made.paths:
            raise DeviceNotFoundError(f"{spec} did not appear")
        return spec

    monkeypatch.setattr(root, "is_in_memory", lambda: True)
    monkeypatch.setattr(candidates, "whole_devices", lambda: iter(made.paths))
    monkeypatch.setattr(finding, "wait_for_device", find)
    monkeypatch.setattr(program, "restore", restore)
    monkeypatch.setattr(program, "compare", lambda *_: None)
    return made


def resume(text: str = "quiet", location: Location | None = None) -> tuple[str, Said]:
    """Return the device that was restored from, and what was said before."""
    said: Said = []
    request = Request.parse(text, location or Location("", machine_id=OURS))
    with pytest.raises(Restored) as restored:
        program.resume(request, lambda *words: said.append(words), no_image_stays)
    return restored.value.name, said


def no_image_stays(kept: KeptImage) -> None:
    raise AssertionError(f"kept: {kept}")


def refused(
    kind: type[Exception],
    text: str = "quiet",
    location: Location | None = None,
    keep: program.Keep = no_image_stays,
) -> str:
    request = Request.parse(text, location or Location("", machine_id=OURS))
    with pytest.raises(kind) as caught:
        program.resume(request, lambda *_: None, keep)
    return "; ".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def holds_image(path: str) -> bool:
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_header(fd, path).holds_image()
    finally:
        os.close(fd)


def test_the_one_device_with_a_mark_is_found(disks: Disks) -> None:
    disks.empty()
    only = disks.image(3)
    name, said = resume()
    assert name == only
    assert [level for level, _ in said] == [kmsg.INFO]


def test_newest_of_this_machine_is_taken_and_the_older_ones_named_and_discarded(
    disks: Disks,
) -> None:
    older, newest, foreign = disks.image(3), disks.image(5), disks.image(9, FOREIGN)
    name, said = resume()
    assert name == newest
    level, words = said[0]
    assert level == kmsg.WARNING
    assert f"{older} (older, of 1970-01-04 00:00:00 UTC)" in words
    assert f"{foreign} (image is of another installation, puma)" in words
    assert [holds_image(path) for path in (older, newest, foreign)] == [False, False, True]


def test_damaged_image_is_passed_over(disks: Disks) -> None:
    sound, broken = disks.image(3), disks.image(5)
    with open(broken, "r+b") as file:
        file.seek(PAGE + 100)
        file.write(b"\xff" * 8)
    name, said = resume()
    assert name == sound
    assert f"{broken} (superblock has a wrong checksum)" in said[0][1]
    assert holds_image(broken), "whose it is cannot be told"


def test_image_of_another_installation_stays(disks: Disks) -> None:
    foreign = disks.image(3, FOREIGN)
    assert "another installation" in refused(OtherInstallationError)
    assert holds_image(foreign)


def test_without_an_id_the_memory_map_tells_whose_image_it_is(disks: Disks) -> None:
    nameless = Location("")
    other = disks.image(3, replace(FOREIGN, ram_map_digest=bytes(32)))
    assert "of another machine, puma" in refused(OtherInstallationError, location=nameless)
    assert holds_image(other)
    ours = disks.image(2, FOREIGN)
    assert resume(location=nameless)[0] == ours


def test_what_cannot_be_restored_is_discarded_if_it_is_ours(disks: Disks) -> None:
    one, two = disks.image(3), disks.image(5)
    for path in (one, two):
        mark = mark_of(path)
        assert mark
        set_mark(path, replace(mark, state=MarkState.CLAIMED))
    words = refused(SpentError)
    assert f"skipped: {one}" in words
    assert f"the image on {two} is discarded" in words
    assert not holds_image(one)
    assert not holds_image(two)


def test_image_for_another_boot_is_kept_beside_those_that_are_not(disks: Disks) -> None:
    damaged, other_kernel = disks.image(3), disks.image(5, OTHER_KERNEL)
    with open(damaged, "r+b") as file:
        file.seek(PAGE * 2)
        file.write(b"\xff" * 8)
    kept: list[KeptImage] = []
    words = refused(DamagedError, f"resume={damaged}", keep=kept.append)
    assert (kept, f"the image on {damaged} is discarded" in words) == ([], True)
    words = refused(OtherKernelError, keep=kept.append)
    assert kept == [KeptImage(other_kernel, 0)]
    assert f"the image on {other_kernel} is kept" in words
    assert holds_image(other_kernel)
    assert "discarded" in refused(ForbiddenError, "noresume")
    assert not holds_image(other_kernel)


def test_kept_image_of_a_file_is_named_with_its_page(disks: Disks) -> None:
    path = disks.image(3, OTHER_KERNEL, page=7)
    kept: list[KeptImage] = []
    refused(OtherKernelError, f"resume={path} resume_offset=7", keep=kept.append)
    assert kept == [KeptImage(path, 7)]


def test_image_of_this_kernel_is_restored_and_one_of_another_goes(disks: Disks) -> None:
    """They are of one installation: the machine that goes on changes what the other one holds."""
    ours, other = disks.image(3), disks.image(5, OTHER_KERNEL)
    assert resume()[0] == ours
    assert not holds_image(other)


def test_nothing_anywhere(disks: Disks) -> None:
    disks.empty()
    assert refused(NoImageError) == "no image: no device carries a mark"


def test_command_line_names_the_only_one(disks: Disks) -> None:
    named, newer = disks.image(3), disks.image(5)
    assert resume(f"resume={named}")[0] == named
    assert holds_image(newer)
    assert "is empty" in refused(NoImageError, f"resume={disks.empty()}")
    assert "did not appear" in refused(DeviceNotFoundError, "resume=/dev/gone")
    assert holds_image(newer)


def test_kept_place_comes_first_and_is_ours_whoever_made_the_image(disks: Disks) -> None:
    kept, newer = disks.image(3, FOREIGN), disks.image(5)
    assert resume(location=Location(kept, 0, OURS))[0] == kept
    assert holds_image(newer)


@pytest.mark.parametrize("kept", ["empty", "gone"])
def test_without_an_image_in_the_kept_place_others_are_looked_at(kept: str, disks: Disks) -> None:
    place = disks.empty() if kept == "empty" else "/dev/gone"
    other = disks.image(5)
    assert resume(location=Location(place, 0, OURS))[0] == other
    if kept == "gone":
        assert "did not appear" in refused(DeviceNotFoundError, location=Location(place, 0, OURS))


def test_image_in_a_file_is_found_by_its_page(disks: Disks) -> None:
    path = disks.image(3, page=7)
    assert "no image" in refused(NoImageError, f"resume={path}")
    assert resume(f"resume={path} resume_offset=7")[0] == path
    assert "beyond" not in refused(NoImageError, f"resume={path} resume_offset=7")


def test_offset_beyond_the_device(disks: Disks) -> None:
    path = disks.image(3)
    assert f"{path} ends at byte" in refused(DamagedError, f"resume={path} resume_offset=99999")
    assert holds_image(path)


def test_noresume_discards_what_is_ours(disks: Disks) -> None:
    ours, foreign = disks.image(3), disks.image(5, FOREIGN)
    assert "noresume" in refused(ForbiddenError, "noresume")
    assert not holds_image(ours)
    assert holds_image(foreign)


Handed = list[tuple[int, int]]


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Handed:
    """What the kernel was told to resume from; it does not."""
    calls: Handed = []
    monkeypatch.setattr(power, "name_place", lambda *words: calls.append(words))
    return calls


def kernel_image(path: str, page: int) -> None:
    with open(path, "r+b") as file:
        file.seek(page * PAGE)
        file.write(header_page(PAGES, signature=KERNEL))


@pytest.mark.parametrize("page", [0, 9])
def test_image_of_the_kernels_own_is_handed_over(page: int, disks: Disks, handed: Handed) -> None:
    path = disks.empty()
    kernel_image(path, page)
    text = f"resume={path}" + (f" resume_offset={page}" if page else "")
    assert "did not resume from its own image" in refused(KernelRefusedError, text)
    assert handed == [(os.stat(path).st_rdev, page)]
    assert "did not resume" in refused(KernelRefusedError, location=Location(path, page, OURS))


def test_image_of_the_kernels_own_is_left_alone(disks: Disks, handed: Handed) -> None:
    path = disks.empty()
    kernel_image(path, 0)
    before = Path(path).read_bytes()
    assert "noresume" in refused(ForbiddenError, f"resume={path} noresume")
    assert "no device carries a mark" in refused(NoImageError)
    with pytest.raises(NoImageError):
        program.rehearse(f"resume={path}", lambda *_: None)
    assert handed == []
    assert Path(path).read_bytes() == before


def test_rehearsal_discards_nothing(disks: Disks) -> None:
    older, newest = disks.image(3), disks.image(5)
    said: Said = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(program, "read_location", lambda: Location("", machine_id=OURS))
        program.rehearse(None, lambda *words: said.append(words))
    assert "skipped" in said[0][1]
    assert "would resume" in said[1][1]
    with open_image(newest) as source:
        assert source.size
    assert holds_image(older)
