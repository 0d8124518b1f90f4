"""What anybody may plug in supplies no memory to restore, whatever UUID it has."""

import pytest

from errors import DeviceNotFoundError, KernelRefusedError, NoImageError, StoreRefusedError
from state.location import Location
from tests.unit.booting import KERNEL_IMAGE, Boot
from tests.unit.conftest import Handed
from tests.unit.marked import INSTALLATION
from tests.unit.restoring import OURS, Restored, holds_image, image, refused, restored

pytestmark = pytest.mark.usefixtures("restoring")

SPEC = "UUID=a"


def chosen(*, is_external: bool | None) -> Location:
    """Return what torpor enable kept."""
    return Location(SPEC, 0, INSTALLATION, is_external=is_external)


def plugged(boot: Boot, *names: str) -> str:
    """Plug a stick in that has an image that is this machine's."""
    stick = boot.image(*names)
    boot.external.append(stick)
    return stick


@pytest.mark.parametrize("text", ["quiet", "noresume"])
def test_a_stick_is_not_looked_at(text: str, boot: Boot) -> None:
    stick = plugged(boot)
    refused(boot, NoImageError, text)
    assert holds_image(stick)


@pytest.mark.parametrize("text", [f"resume={SPEC}", f"noresume resume={SPEC}", "quiet"])
def test_a_stick_is_refused_that_is_named_but_not_chosen(text: str, boot: Boot) -> None:
    """It may have the UUID of a disk that is absent, or locked; an older Torpor did not note it."""
    stick = plugged(boot, SPEC)
    location = OURS if "resume=" in text else chosen(is_external=None)
    outcome = refused(boot, StoreRefusedError, text, location)
    assert stick in outcome.message
    assert outcome.discarded == []
    assert holds_image(stick)
    assert boot.clock.passed == 0


@pytest.mark.parametrize("text", ["quiet", f"resume={SPEC}"])
def test_a_stick_that_is_chosen_is_a_store(text: str, boot: Boot) -> None:
    stick = plugged(boot, SPEC)
    assert restored(boot, text, chosen(is_external=True)) == stick


@pytest.mark.parametrize("text", ["quiet", f"resume={SPEC}"])
def test_a_stick_of_a_disk_s_uuid_does_not_hide_the_disk(text: str, boot: Boot) -> None:
    """It comes first; the disk is locked until somebody has typed a passphrase."""
    stick = plugged(boot, SPEC)
    disk = image(boot, 3)
    boot.clock.at[5] = lambda: boot.copies.update({SPEC: [disk]})
    assert restored(boot, text, chosen(is_external=False)) == disk
    assert holds_image(stick)


@pytest.mark.parametrize("text", ["quiet", f"resume={SPEC}"])
def test_a_stick_does_not_stand_in_for_a_disk(text: str, boot: Boot) -> None:
    stick = plugged(boot, SPEC)
    outcome = refused(boot, DeviceNotFoundError, text, chosen(is_external=False))
    assert str(outcome.error) == (
        f"{SPEC} did not appear within 10 s, but on {stick}, which anybody may have plugged in"
    )
    assert holds_image(stick)


def test_of_two_disks_by_one_name_none_is_taken(boot: Boot) -> None:
    one, other = boot.image(SPEC), image(boot, 3)
    boot.copies[SPEC] = [other]
    for location in (OURS, chosen(is_external=None), chosen(is_external=False)):
        outcome = refused(boot, DeviceNotFoundError, f"resume={SPEC}", location)
        assert str(outcome.error).startswith(f"{SPEC} names {one} and {other}: ")
    assert holds_image(one)
    assert holds_image(other)


def test_the_copy_may_be_taken_away(boot: Boot) -> None:
    """As the legs of an array give way to the array."""
    one, other = boot.image(SPEC), image(boot, 3)
    boot.copies[SPEC] = [other]
    boot.clock.at[4] = boot.copies.clear
    assert restored(boot, f"resume={SPEC}") == one
    assert boot.clock.passed == 4


@pytest.mark.parametrize(("is_external", "is_taken"), [(None, True), (True, True), (False, False)])
def test_an_image_of_the_kernels_own_on_a_stick(
    is_external: bool | None, is_taken: bool, boot: Boot, handed: Handed
) -> None:
    """The kernel takes it where Torpor is only installed, or the store is a stick."""
    boot.external.append(boot.device(SPEC, first=KERNEL_IMAGE))
    kind = KernelRefusedError if is_taken else DeviceNotFoundError
    refused(boot, kind, "quiet", chosen(is_external=is_external))
    assert bool(handed) == is_taken


def test_what_the_firmware_names_on_a_stick_is_passed_over(boot: Boot) -> None:
    stick = plugged(boot, SPEC)
    assert isinstance(boot.resume(firmware=Location(SPEC)).error, NoImageError)
    assert holds_image(stick)
    disk = image(boot, 3)
    with pytest.raises(Restored, match=disk):
        boot.resume(firmware=Location(SPEC))
