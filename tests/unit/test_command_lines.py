"""One table of kernel command lines. Whoever reads one is run against all of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
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
from torpor.doctor.facts import Facts


@dataclass(frozen=True, slots=True)
class Line:
    """A command line and what it means."""

    text: str
    parameters: dict[str, str] = field(default_factory=dict)
    """Those that the row is about, by name; "" for one without a value."""
    absent: tuple[str, ...] = ()
    """Names that are not given."""
    resume: str = ""
    """The device that resume= names, "" for none."""
    page: int | None = 0
    """What resume_offset= adds to it; None where it says no number, which is refused or named."""
    forbidden_by: str = ""
    """What forbids a resume."""
    delay: float = 0
    timeout: float = 10
    """Seconds to let pass, and to wait for the device."""
    complaint: str = ""
    """A part of what is said of it."""


def named(text: str, resume: str, page: int | None = 0, **more: object) -> Line:
    """Return a row about where the store is."""
    complaint = "is no number of a page" if page is None else ""
    return Line(text, {"resume": resume}, (), resume, page, complaint=complaint, **more)  # type: ignore[arg-type]


LINES = (
    Line(""),
    Line("quiet  ro\t", {"quiet": "", "ro": ""}, ("resume",)),
    # Names: whole, the last one counts, - is _, what follows -- is init's.
    Line("xresume=/dev/a resumex=/dev/b root=/dev/c", {"root": "/dev/c"}, ("resume",)),
    Line("my.resume=/dev/a RESUME=/dev/b", {}, ("resume",)),
    named("resume=UUID=1-2 resume=/dev/b", "/dev/b"),
    Line("resume=/dev/a resume=", {"resume": ""}),
    Line("resume", {"resume": ""}),
    named("resume=/dev/a -- resume=/dev/b", "/dev/a"),
    Line("quiet -- resume=/dev/b noresume", {"quiet": ""}, ("resume", "noresume")),
    named('resume=/dev/a "--" resume=/dev/b', "/dev/a"),
    named("resume=/dev/a --= '--' resume=/dev/b", "/dev/b"),
    named("resume=/dev/a --x -- y", "/dev/a"),
    named("resume=/dev/a resume-offset=7", "/dev/a", 7),
    # Values have = in them, quotes hold blanks together.
    named("resume=UUID=1=2", "UUID=1=2"),
    named('resume="PARTLABEL=Linux swap" quiet', "PARTLABEL=Linux swap"),
    named('"resume=PARTLABEL=Linux swap" quiet', "PARTLABEL=Linux swap"),
    named('resume=PARTLABEL="Linux swap" quiet', "PARTLABEL=Linux swap"),
    named('resume=UUID="1-2"', "UUID=1-2"),
    named('resume="UUID=1-2" resume_offset="8"', "UUID=1-2", 8),
    # Single quotes are letters: they hold nothing together.
    named("resume='LABEL=x'", "'LABEL=x'"),
    named("resume='PARTLABEL=a resume_offset=9 b'", "'PARTLABEL=a", 9),
    named(r"resume=/dev/disk/by-label/a\x20b", r"/dev/disk/by-label/a\x20b"),
    named("resume=LABEL=größe\u2028\u00a0x ro", "LABEL=größe\u2028\u00a0x"),
    Line(
        'dyndbg="func resume=/dev/wrong +p"', {"dyndbg": "func resume=/dev/wrong +p"}, ("resume",)
    ),
    named('resume=/dev/a dyndbg="file x resume=/dev/wrong +p" ro', "/dev/a"),
    Line('a="open quote resume=/dev/b', {"a": "open quote resume=/dev/b"}, ("resume",)),
    Line('x="a b"c', {"x": "a bc"}),
    # Pages: the number in front, as the kernel has it.
    named("resume=/dev/a resume_offset=34816", "/dev/a", 34816),
    named("resume_offset=34816 resume=/dev/a", "/dev/a", 34816),
    named("resume=/dev/a resume_offset=4711..", "/dev/a", 4711),
    named("resume=/dev/a resume_offset=08", "/dev/a", 8),
    named("resume=/dev/a resume_offset=0x10", "/dev/a", 0),
    named("resume=/dev/a resume_offset=5 resume_offset=6", "/dev/a", 6),
    named("resume=/dev/a resume_offset=999999999999999", "/dev/a", 999999999999999),
    named("resume=/dev/a resume_offset=", "/dev/a", None),
    named("resume=/dev/a resume_offset", "/dev/a", None),
    named("resume=/dev/a resume_offset=-1", "/dev/a", None),
    named("resume=/dev/a resume_offset=x7", "/dev/a", None),
    named("resume=/dev/a resume_offset=\u0667", "/dev/a", None),
    named("resume=/dev/a resume_offset=$(reboot)", "/dev/a", None),
    named("resume=/dev/a resume_offset=1000000000000000", "/dev/a", None),
    named(f"resume=/dev/a resume_offset={'9' * 5000}", "/dev/a", None),
    Line("resume_offset=34816", {"resume_offset": "34816"}),
    Line("resume_offset=x", {"resume_offset": "x"}),
    # What forbids a resume.
    Line("noresume", forbidden_by="noresume"),
    Line("noresume=1", forbidden_by="noresume"),
    Line("nohibernate", forbidden_by="nohibernate"),
    Line("hibernate=noresume", forbidden_by="hibernate=noresume"),
    Line("hibernate=no", forbidden_by="hibernate=no"),
    Line("hibernate=nocompress", {"hibernate": "nocompress"}),
    Line("hibernate=protect_image", {"hibernate": "protect_image"}),
    named("noresume resume=/dev/a", "/dev/a", forbidden_by="noresume"),
    # Times.
    named("resumedelay=5 resume=8:2", "8:2", delay=5),
    Line("resumedelay=0x10", delay=16),
    Line("resumedelay=010", delay=8),
    Line("resumedelay=99999", delay=300),
    Line("resumedelay=soon", complaint="resumedelay=soon "),
    Line("resumedelay=08", complaint="resumedelay=08 "),
    Line("resumedelay=5s", complaint="resumedelay=5s "),
    Line("resumedelay=", complaint="resumedelay= "),
    Line("resumedelay=-1", complaint="resumedelay=-1 "),
    Line(f"resumedelay={'9' * 400}", complaint="resumedelay=99"),
    named('resume="LABEL=my swap" resumewait', "LABEL=my swap", timeout=300),
    Line("torpor.timeout=25", timeout=25),
    Line("torpor.timeout=08", timeout=8),
    Line("torpor.timeout=0", timeout=0),
    Line("torpor.timeout=99999", timeout=3600),
    Line("torpor.timeout=25 resumewait", timeout=25),
    Line("torpor.timeout=ever", complaint="torpor.timeout=ever "),
    Line("torpor.timeout=soon resumewait", timeout=300, complaint="torpor.timeout=soon "),
    Line("torpor.timeout=", complaint="torpor.timeout= "),
)


EACH = pytest.mark.parametrize("line", LINES, ids=lambda line: line.text[:40])


def by_doctor(text: str, root: Path) -> dict[str, str]:
    (root / "proc").mkdir()
    (root / "proc/cmdline").write_text(f"{text}\n")
    return Facts(Root(str(root))).parameters


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


PLACES: dict[str, Callable[[str], Location | None]] = {
    "location": lambda text: named_location(cmdline.parse(text)),
    "hibernate, enable, announce and doctor": lambda text: Settings(Conf(), text, None).named,
}
"""Readers of where the store is. Where its page is none they raise."""


@EACH
@pytest.mark.parametrize("reader", PLACES)
def test_place(reader: str, line: Line) -> None:
    if line.page is None:
        with pytest.raises(ConfigurationError, match=line.complaint):
            PLACES[reader](line.text)
    else:
        found = PLACES[reader](line.text) or Location("")
        assert (found.resume, found.offset) == (line.resume, line.page)


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
    assert [line.complaint in words for words in request.complaints] == [True] * bool(
        line.complaint
    )


@EACH
def test_what_forbids_a_resume(line: Line) -> None:
    assert cmdline.forbids_resume(cmdline.parse(line.text)) == line.forbidden_by


def test_a_parameter_given_twice_is_there_twice() -> None:
    assert cmdline.parameters('a=1 b "a=2 3"') == [("a", "1"), ("b", ""), ("a", "2 3")]
