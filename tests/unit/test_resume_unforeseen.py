"""An error that nobody foresaw is told in a line, and costs no image that a boot may restore."""

from pathlib import Path

import pytest

import resume.__main__ as program
from errors import ChangedError, UnforeseenError
from resume import images
from state.boot import BootRecord
from store.protocol import Slot
from tests.forge import PAGE
from tests.tools import failing
from tests.unit.booting import Boot
from tests.unit.conftest import Torpor
from tests.unit.fake_snapshot import FakeSnapshot


def header_of(path: Path) -> bytes:
    return path.read_bytes()[:PAGE]


def plain_header(path: Path) -> bytes:
    return path.with_name("header").read_bytes()


@pytest.mark.parametrize("place", ["restore", "compare", "_name_others"])
@pytest.mark.parametrize("error", [MemoryError(), ImportError("no lz4"), KeyError("\x1b")])
def test_bug_costs_no_image(
    error: Exception,
    place: str,
    hibernated: Path,
    boot: Boot,
    device: FakeSnapshot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This boot may be ended before it mounts anything; else the guard refuses the image."""
    before = hibernated.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(images, place, failing(error))
        outcome = boot.resume(f"resume={hibernated}")
    assert isinstance(outcome.error, UnforeseenError)
    assert f"{type(error).__name__} {error} (/" in str(outcome.error)
    assert outcome.kept == [(str(hibernated), 0)]
    assert hibernated.read_bytes() == before
    monkeypatch.setattr(images, "compare", failing(ChangedError("it has changed")))
    assert boot.resume(f"resume={hibernated}").discarded == [str(hibernated)]
    assert header_of(hibernated) == plain_header(hibernated)


def test_bug_keeps_no_image_that_no_boot_restores(
    hibernated: Path, boot: Boot, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restore(_image: object, slot: Slot, _report: object) -> None:
        slot.claim()
        raise ValueError

    monkeypatch.setattr(images, "restore", restore)
    assert boot.resume(f"resume={hibernated}").discarded == [str(hibernated)]
    assert header_of(hibernated) == plain_header(hibernated)


def test_bug_is_told_to_the_booted_system(
    torpor_resume: Torpor, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "find", failing(RecursionError("too deep")))
    assert torpor_resume("--cmdline", "quiet").code == 1
    record = BootRecord.read()
    assert record
    assert record.message.startswith("an error of Torpor's own: RecursionError too deep (/")
