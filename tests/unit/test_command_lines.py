"""Every reader of the kernel command line against the same table of them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from errors import ConfigurationError
from initramfs.generators import dracut
from initramfs.generators.generator import Boot, foresee
from linux import cmdline
from linux.root import Root
from resume.request import Request
from state.conf import Conf
from state.location import Location, named_location
from store.choose import Settings
from tests.unit.command_lines import LINES, Line
from torpor.doctor.facts import Facts, Machine

EACH = pytest.mark.parametrize("line", LINES, ids=lambda line: line.text[:40])


def by_doctor(text: str, root: Path) -> dict[str, str]:
    (root / "proc").mkdir()
    (root / "proc/cmdline").write_text(f"{text}\n")
    return Facts(Machine(str(root))).parameters


def by_dracut(text: str, root: Path) -> dict[str, str]:
    held = foresee({"/etc/cmdline.d/10-default.conf": text})
    return dict(dracut._Words(Boot(Root(str(root)), "", held, []))._all)


PARAMETERS: dict[str, Callable[[str, Path], dict[str, str]]] = {
    "grammar": lambda text, _root: cmdline.parse(text),
    "doctor": by_doctor,
    "a file that dracut has in the initramfs": by_dracut,
}
"""Readers that take all parameters, by name."""


@EACH
@pytest.mark.parametrize("reader", PARAMETERS)
def test_parameters(reader: str, line: Line, tmp_path: Path) -> None:
    found = PARAMETERS[reader](line.text, tmp_path)
    assert line.parameters.items() <= found.items()
    assert not found.keys() & {*line.absent}


def by_location(text: str) -> tuple[str, int]:
    found = named_location(cmdline.parse(text)) or Location("")
    return found.resume, found.offset


def by_settings(text: str) -> tuple[str, int]:
    """Ask as hibernate, enable, announce and doctor do."""
    found = Settings(Conf(), text, None).named or Location("")
    return found.resume, found.offset


PLACES: dict[str, Callable[[str], tuple[str, int]]] = {
    "location": by_location,
    "settings": by_settings,
}
"""Readers of where the store is: device, "" for none, and page. Where that is none they raise."""


@EACH
@pytest.mark.parametrize("reader", PLACES)
def test_place(reader: str, line: Line) -> None:
    if line.page is None:
        with pytest.raises(ConfigurationError, match=line.complaint):
            PLACES[reader](line.text)
    else:
        assert PLACES[reader](line.text) == (line.resume, line.page)


@EACH
@pytest.mark.parametrize("kept", [None, Location("LABEL=kept", 77, "ab" * 16, "/swapfile")])
def test_the_resumer(line: Line, kept: Location | None) -> None:
    """What enable kept stands where the command line is silent; what is no number is named."""
    request = Request(line.text, kept)
    places = [(place.resume, place.offset) for place in request.places]
    named = [(line.resume, line.page or 0)] if line.resume else []
    assert places == (named or ([("LABEL=kept", 77)] if kept else []))
    assert request.is_named == bool(line.resume)
    assert (request.delay, request.timeout) == (line.delay, line.timeout)
    assert request.machine_id == (kept.machine_id if kept else "")
    assert [line.complaint in words for words in request.complaints] == [True] * bool(
        line.complaint
    )


@EACH
def test_what_forbids_a_resume(line: Line) -> None:
    assert cmdline.forbids_resume(cmdline.parse(line.text)) == line.forbidden_by


def test_a_parameter_given_twice_is_there_twice() -> None:
    assert cmdline.parameters('a=1 b "a=2 3"') == [("a", "1"), ("b", ""), ("a", "2 3")]
