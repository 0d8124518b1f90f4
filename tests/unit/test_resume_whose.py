"""Whose an image is: another installation's, or nobody's that is known, is not thrown away."""

import pytest

from errors import ChangedError, OtherInstallationError, UnsupportedError
from format.first_page import MARK_OFFSET, SUPERBLOCK_MAGIC
from format.mark import MarkState
from format.records import Identity
from resume import images
from state.location import Location
from tests.forge import PAGE
from tests.tools import failing
from tests.unit.booting import Boot
from tests.unit.marked import HERE, INSTALLATION, mark_of, set_mark
from tests.unit.restoring import (
    FOREIGN,
    OURS,
    damage,
    holds_image,
    image,
    refused,
    restored,
)

pytestmark = pytest.mark.usefixtures("restoring")


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
    foreign = image(boot, 3, FOREIGN._replace(kernel_release="1.0"))
    mark = mark_of(foreign)
    assert mark
    set_mark(foreign, mark._replace(state=state))
    if at:
        damage(foreign, at)
    monkeypatch.setattr(images, "compare", failing(ChangedError("it has changed")))
    for location in (Location(foreign, 0, INSTALLATION), OURS):
        outcome = boot.resume(f"{text} resume={foreign}", location)
        assert (outcome.kept, outcome.discarded) == ([(foreign, 0)], [])
        assert outcome.handed_on == ""
        assert holds_image(foreign)


NO_ID = HERE._replace(machine_id="")


@pytest.mark.parametrize("text", ["quiet", "noresume"])
@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize(
    ("machine_id", "identity", "why"),
    [
        ("", HERE, "(this one has no machine id)"),
        ("", NO_ID, "(this one has no machine id)"),
        (INSTALLATION, NO_ID, "(it has no machine id)"),
    ],
)
def test_image_of_nobody_knows_whom_is_not_thrown_away(
    machine_id: str, identity: Identity, why: str, is_named: bool, text: str, boot: Boot
) -> None:
    """Two systems on one machine have all in common but their ids."""
    boot.machine_id = machine_id
    path = image(boot, 3, identity)
    named = f" resume={path}" if is_named else ""
    if text == "quiet" and is_named:
        assert restored(boot, f"{text}{named}") == path
        return
    outcome = boot.resume(f"{text}{named}")
    assert outcome.kept == [(path, 0)] * is_named
    assert (outcome.discarded, outcome.handed_on) == ([], "")
    assert holds_image(path)
    if text == "quiet":
        assert str(outcome.error) == f"image is of an unknown installation, {HERE.host_name} {why}"


@pytest.mark.parametrize("is_named", [True, False])
@pytest.mark.parametrize("at", [0, 1], ids=["superblock", "mark"])
def test_image_of_a_newer_torpor_is_not_thrown_away(at: int, is_named: bool, boot: Boot) -> None:
    """Whose it is cannot be read; that system may restore it."""
    path = image(boot, 3)
    damage(path, (PAGE + len(SUPERBLOCK_MAGIC), MARK_OFFSET + 8)[at])
    outcome = refused(boot, UnsupportedError, f"resume={path}" if is_named else "quiet")
    assert (outcome.kept, outcome.discarded) == ([(path, 0)] * is_named, [])
    assert holds_image(path)
