"""Which image is restored where several devices carry one, and what becomes of the others."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

import resume.__main__ as program
from errors import (
    ChangedError,
    DamagedError,
    DeviceNotFoundError,
    ForbiddenError,
    IncompleteError,
    KernelRefusedError,
    NoImageError,
    OtherInstallationError,
    OtherKernelError,
    SpentError,
    TorporError,
)
from format.mark import MarkState
from format.records import Identity
from format.tables import GuardEntry, Method
from linux import kmsg
from resume import images
from resume.outcome import Outcome
from state.location import Location
from store.header import StoreHeader, read_header
from store.image import open_image
from tests.forge import PAGE
from tests.sources import opened
from tests.tools import failing
from tests.unit.booting import KERNEL_IMAGE, PAGES, Boot
from tests.unit.conftest import Handed
from tests.unit.marked import HERE, INSTALLATION, ROOT, Made, mark_of, set_mark

OURS = Location("", machine_id=INSTALLATION)
FOREIGN = replace(HERE, machine_id="cd" * 16, host_name="puma")
OTHER_KERNEL = replace(HERE, kernel_release="1.0")


class Restored(BaseException):
    def __init__(self, header: StoreHeader) -> None:
        super().__init__(header.name)
        self.name = header.name


@pytest.fixture(autouse=True)
def _restore(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    def restore(_image: object, header: StoreHeader, _report: object) -> None:
        header.clear()
        raise Restored(header)

    monkeypatch.setattr(images, "restore", restore)
    monkeypatch.setattr(images, "compare", lambda *_: None)


def image(boot: Boot, day: int, identity: Identity = HERE, page: int = 0) -> str:
    """A store with an image of the first `day`s of 1970."""
    return boot.image(made=Made(identity, day=day), page=page)


def restored(boot: Boot, text: str = "quiet", location: Location = OURS) -> str:
    """Return the device that was restored from."""
    with pytest.raises(Restored) as caught:
        boot.resume(text, location)
    return caught.value.name


def refused(
    boot: Boot, kind: type[TorporError], text: str = "quiet", location: Location = OURS
) -> Outcome:
    outcome = boot.resume(text, location)
    assert type(outcome.error) is kind
    return outcome


def holds_image(path: str) -> bool:
    with opened(path) as fd:
        return read_header(fd, path).holds_image()


def damage(path: str, at: int) -> None:
    with opened(path) as fd:
        os.pwrite(fd, b"\xff" * 8, at)


def test_the_one_device_with_a_mark_is_found(boot: Boot) -> None:
    boot.device()
    only = image(boot, 3)
    assert restored(boot) == only
    assert [level for level, _ in boot.said] == [kmsg.INFO]


def test_newest_of_this_machine_is_taken_and_the_older_ones_named_and_discarded(boot: Boot) -> None:
    older, newest, foreign = image(boot, 3), image(boot, 5), image(boot, 9, FOREIGN)
    assert restored(boot) == newest
    level, words = boot.said[0]
    assert level == kmsg.WARNING
    assert f"{older} (older, of 1970-01-04 00:00:00 UTC)" in words
    assert f"{foreign} (image is of another installation, puma)" in words
    assert [holds_image(path) for path in (older, newest, foreign)] == [False, False, True]


def image_of_changed(boot: Boot, day: int) -> str:
    return boot.image(made=Made(guard=[replace(ROOT, mount_point="/changed")], day=day))


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is mounted at /changed has changed, nothing else."""

    def compare(guard: list[GuardEntry], _wait: object) -> None:
        if guard[0].mount_point == "/changed":
            raise ChangedError("it has changed")

    monkeypatch.setattr(images, "compare", compare)


@pytest.mark.usefixtures("changed")
def test_stale_image_that_seems_the_newest_is_passed_over(boot: Boot) -> None:
    """The clock was set back between the two."""
    stale, good, older = image_of_changed(boot, 5), image(boot, 3), image(boot, 2)
    assert restored(boot) == good
    assert boot.said[0][1] == (
        f"skipped: {stale} (it has changed), {older} (older, of 1970-01-03 00:00:00 UTC)"
    )
    assert [holds_image(path) for path in (stale, good, older)] == [False] * 3


@pytest.mark.usefixtures("changed")
def test_of_stale_images_none_is_left(boot: Boot) -> None:
    stale = [image_of_changed(boot, day) for day in (5, 3)]
    broken = image(boot, 2)
    damage(broken, PAGE + 100)
    assert refused(boot, ChangedError).message.startswith("it has changed; the image on ")
    assert f"{stale[1]} (it has changed), {broken} (superblock has a wrong" in boot.said[0][1]
    assert [holds_image(path) for path in (*stale, broken)] == [False, False, True]


def test_damaged_image_is_passed_over(boot: Boot) -> None:
    sound, broken = image(boot, 3), image(boot, 5)
    damage(broken, PAGE + 100)
    assert restored(boot) == sound
    assert f"{broken} (superblock has a wrong checksum)" in boot.said[0][1]
    assert holds_image(broken), "whose it is cannot be told"


def test_image_of_another_installation_stays(boot: Boot) -> None:
    foreign = image(boot, 3, FOREIGN)
    outcome = refused(boot, OtherInstallationError)
    assert (outcome.kept, outcome.discarded) == ([], [])
    assert holds_image(foreign)


@pytest.mark.parametrize("text", ["noresume", "quiet"])
@pytest.mark.parametrize("at", [None, PAGE * 2, PAGE * 3 - 8], ids=["sound", "chunk", "end"])
@pytest.mark.parametrize("state", [MarkState.COMPLETE, MarkState.CLAIMED])
def test_image_of_another_installation_is_never_discarded_where_it_is_named(
    text: str, at: int | None, state: MarkState, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two systems share a store; whatever this one finds wrong, the other is hibernated."""
    foreign = image(boot, 3, replace(FOREIGN, kernel_release="1.0"))
    mark = mark_of(foreign)
    assert mark
    set_mark(foreign, replace(mark, state=state))
    if at:
        damage(foreign, at)
    monkeypatch.setattr(images, "compare", failing(ChangedError("it has changed")))
    for location in (Location(foreign, 0, INSTALLATION), OURS):
        outcome = boot.resume(f"{text} resume={foreign}", location)
        assert (outcome.kept, outcome.discarded) == ([(foreign, 0)], [])
        assert outcome.handed_on == ""
        assert holds_image(foreign)


def test_without_an_id_the_memory_map_tells_whose_image_it_is(boot: Boot) -> None:
    nameless = Location("")
    other = image(boot, 3, replace(FOREIGN, ram_map_digest=bytes(32)))
    outcome = refused(boot, OtherInstallationError, location=nameless)
    assert "of another machine, puma" in str(outcome.error)
    assert holds_image(other)
    ours = image(boot, 2, FOREIGN)
    assert restored(boot, location=nameless) == ours


def test_what_cannot_be_restored_is_discarded_if_it_is_ours(boot: Boot) -> None:
    one, two = image(boot, 3), image(boot, 5)
    for path in (one, two):
        mark = mark_of(path)
        assert mark
        set_mark(path, replace(mark, state=MarkState.CLAIMED))
    outcome = refused(boot, SpentError)
    assert outcome.discarded == [one, two]  # the older one first
    assert f"; skipped: {one} (the image is not restored any more: " in outcome.message
    assert outcome.message.endswith(
        f"; the image on {one} is discarded; the image on {two} is discarded"
    )
    assert not holds_image(one)
    assert not holds_image(two)


def test_image_for_another_boot_is_kept_beside_those_that_are_not(boot: Boot) -> None:
    damaged, other_kernel = image(boot, 3), image(boot, 5, OTHER_KERNEL)
    damage(damaged, PAGE * 2)
    outcome = refused(boot, DamagedError, f"resume={damaged}")
    assert (outcome.kept, outcome.discarded) == ([], [damaged])
    outcome = refused(boot, OtherKernelError)
    assert (outcome.kept, outcome.discarded) == ([(other_kernel, 0)], [])
    assert outcome.message.endswith(f"; the image on {other_kernel} is kept")
    assert holds_image(other_kernel)
    assert refused(boot, ForbiddenError, "noresume").discarded == [other_kernel]
    assert not holds_image(other_kernel)


def test_kept_image_of_a_file_is_named_with_its_page(boot: Boot) -> None:
    path = image(boot, 3, OTHER_KERNEL, page=7)
    assert refused(boot, OtherKernelError, f"resume={path} resume_offset=7").kept == [(path, 7)]


def test_image_of_this_kernel_is_restored_and_one_of_another_goes(boot: Boot) -> None:
    """They are of one installation: the machine that goes on changes what the other one holds."""
    ours, other = image(boot, 3), image(boot, 5, OTHER_KERNEL)
    assert restored(boot) == ours
    assert not holds_image(other)


def test_nothing_anywhere(boot: Boot) -> None:
    boot.device()
    assert refused(boot, NoImageError).message == "no image: no device carries a mark"


def test_command_line_names_the_only_one(boot: Boot) -> None:
    named, newer = image(boot, 3), image(boot, 5)
    assert restored(boot, f"resume={named}") == named
    assert holds_image(newer)
    empty = boot.device()
    assert refused(boot, NoImageError, f"resume={empty}").message == (
        f"no image: the store {empty} is empty"
    )
    assert "did not appear" in refused(boot, DeviceNotFoundError, "resume=/dev/gone").message
    assert holds_image(newer)


def test_kept_place_comes_first_and_is_ours_whoever_made_the_image(boot: Boot) -> None:
    kept, newer = image(boot, 3, FOREIGN), image(boot, 5)
    assert restored(boot, location=Location(kept, 0, INSTALLATION)) == kept
    assert holds_image(newer)


@pytest.mark.parametrize("kept", ["empty", "gone"])
def test_without_an_image_in_the_kept_place_there_is_none(kept: str, boot: Boot) -> None:
    """Whoever can plug in a disk, or make one, would otherwise supply the memory to restore."""
    place = Location(boot.device() if kept == "empty" else "/dev/gone", 0, INSTALLATION)
    other = image(boot, 5)
    refused(boot, DeviceNotFoundError if kept == "gone" else NoImageError, location=place)
    assert holds_image(other)


def test_what_anybody_may_plug_in_holds_no_image_unless_it_is_named(boot: Boot) -> None:
    stick = image(boot, 5)
    boot.external.append(stick)
    refused(boot, NoImageError)
    assert holds_image(stick)
    assert restored(boot, f"resume={stick}") == stick


def test_image_without_a_guard_s_entries_has_to_be_named(boot: Boot) -> None:
    """A machine without a disk has none: its root is on the network, or in memory."""
    empty = boot.image(made=Made(guard=[]))
    assert restored(boot, f"resume={empty}") == empty
    boot.image(made=Made(guard=[]))
    assert "nothing names it" in refused(boot, DamagedError).message


def test_image_in_a_file_is_found_by_its_page(boot: Boot) -> None:
    path = image(boot, 3, page=7)
    refused(boot, NoImageError, f"resume={path}")
    assert restored(boot, f"resume={path} resume_offset=7") == path
    refused(boot, NoImageError, f"resume={path} resume_offset=7")


def test_remembered_page_of_another_file_supplies_no_memory(boot: Boot) -> None:
    """The store was deleted or moved: whoever gets the page could forge an image there.

    All but the superblock of the file system, which the last unmount has written.
    """
    for guard in ([], [replace(ROOT, identity=b"x" * 16)], [replace(ROOT, method=Method.XFS)]):
        path = boot.image(made=Made(guard=guard), page=7)
        outcome = refused(boot, DamagedError, location=Location(path, 7, INSTALLATION))
        assert "does not hold its file system mounted" in str(outcome.error)
        assert outcome.discarded == [path]


def test_copy_in_the_remembered_page_is_not_touched(boot: Boot) -> None:
    """A backup of a swap file that has an image says where the original lay."""
    original = image(boot, 3, page=7)
    copy = boot.device(page=9)
    pages = Path(original).read_bytes()
    with Path(copy).open("r+b") as file:
        file.seek(9 * PAGE)
        file.write(pages[7 * PAGE : (PAGES - 2) * PAGE])
    before = Path(copy).read_bytes()
    for text in ("quiet", "noresume", f"resume={copy} resume_offset=9"):
        outcome = boot.resume(text, Location(copy, 9, INSTALLATION))
        assert (outcome.kept, outcome.discarded) == ([], [])
        assert outcome.error.exit_code in (DamagedError.exit_code, ForbiddenError.exit_code)
        assert Path(copy).read_bytes() == before
    assert (
        "belongs at page 7, not 9"
        in refused(boot, DamagedError, f"resume={copy} resume_offset=9").message
    )


def test_offset_beyond_the_device(boot: Boot) -> None:
    path = image(boot, 3)
    outcome = refused(boot, IncompleteError, f"resume={path} resume_offset=99999")
    assert f"{path} ends at byte {99999 * PAGE}" in outcome.message
    assert holds_image(path)


def test_page_far_out_on_a_large_device(boot: Boot) -> None:
    far = (48 << 30) // PAGE + 77
    boot.device("LABEL=far", first=KERNEL_IMAGE, page=far)
    with pytest.raises(NoImageError, match="holds an image of the kernel's own"):
        program.rehearse(f"quiet resume=LABEL=far resume_offset={far}", boot.report)


def test_noresume_discards_what_is_ours(boot: Boot) -> None:
    ours, foreign = image(boot, 3), image(boot, 5, FOREIGN)
    assert "noresume" in refused(boot, ForbiddenError, "noresume").message
    assert not holds_image(ours)
    assert holds_image(foreign)


@pytest.mark.parametrize("page", [0, 9])
def test_image_of_the_kernels_own_is_handed_over(page: int, boot: Boot, handed: Handed) -> None:
    path = boot.device(first=KERNEL_IMAGE, page=page)
    text = f"resume={path}" + (f" resume_offset={page}" if page else "")
    outcome = refused(boot, KernelRefusedError, text)
    assert outcome.message == f"the kernel did not resume from its own image on {path}"
    assert handed == [(os.stat(path).st_rdev, page)]
    refused(boot, KernelRefusedError, location=Location(path, page, INSTALLATION))


def test_image_of_the_kernels_own_is_left_alone(boot: Boot, handed: Handed) -> None:
    path = boot.device(first=KERNEL_IMAGE)
    before = Path(path).read_bytes()
    refused(boot, ForbiddenError, f"resume={path} noresume")
    refused(boot, NoImageError)
    with pytest.raises(NoImageError):
        program.rehearse(f"resume={path}", boot.report)
    assert handed == []
    assert Path(path).read_bytes() == before


def test_rehearsal_discards_nothing(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    older, newest = image(boot, 3), image(boot, 5)
    monkeypatch.setattr("resume.request.read_location", lambda: OURS)
    program.rehearse(None, boot.report)
    assert "skipped" in boot.said[0][1]
    assert "would resume" in boot.said[1][1]
    with open_image(newest) as source:
        assert source.size
    assert holds_image(older)
