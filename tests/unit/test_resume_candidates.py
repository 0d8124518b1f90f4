"""Which image is restored where several devices carry one, and what becomes of the others."""

import os
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
    OtherKernelError,
    SpentError,
)
from format.mark import MarkState
from format.tables import GuardEntry, Method
from linux import kmsg
from resume import images
from state.location import Location
from store.image import open_image
from tests.forge import PAGE
from tests.unit.booting import KERNEL_IMAGE, PAGES, Boot
from tests.unit.conftest import Handed
from tests.unit.marked import INSTALLATION, ROOT, Made, mark_of, set_mark
from tests.unit.restoring import (
    FOREIGN,
    OTHER_KERNEL,
    OURS,
    damage,
    holds_image,
    image,
    refused,
    restored,
)

pytestmark = pytest.mark.usefixtures("restoring")


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
    return boot.image(made=Made(guard=[ROOT._replace(mount_point="/changed")], day=day))


@pytest.fixture
def changed(restoring: None, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_what_cannot_be_restored_is_discarded_if_it_is_ours(boot: Boot) -> None:
    one, two = image(boot, 3), image(boot, 5)
    for path in (one, two):
        mark = mark_of(path)
        assert mark
        set_mark(path, mark._replace(state=MarkState.CLAIMED))
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


@pytest.mark.parametrize("guard", [[], [ROOT._replace(method=Method.SWAP)]], ids=["none", "swap"])
def test_image_that_holds_nothing_mounted_has_to_be_named(
    guard: list[GuardEntry], boot: Boot
) -> None:
    """A machine without a disk has none: its root is on the network, or in memory."""
    empty = boot.image(made=Made(guard=guard))
    assert restored(boot, f"resume={empty}") == empty
    boot.image(made=Made(guard=guard))
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
    for guard in ([], [ROOT._replace(identity=b"x" * 16)], [ROOT._replace(method=Method.XFS)]):
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
