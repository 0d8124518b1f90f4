"""Whatever a user, a disk or an image calls something: it is shown, and no terminal obeys it."""

import json
import subprocess
from pathlib import Path

import pytest

from errors import NotReadyError, StoreRefusedError, command
from linux import kmsg
from linux.line import one_line
from linux.mounts import SwapArea
from resume import report
from resume.outcome import Outcome
from state import conf, location
from state.boot import BootRecord
from state.record import HibernationRecord
from state.record import Outcome as Ended
from store import choose
from tests.tools import Result
from tests.unit.booting import Boot
from tests.unit.conftest import Torpor
from tests.unit.fake_machine import FakeMachine
from tests.unit.marked import FACTS, HERE, ROOT, Made
from torpor.commands import COMMANDS, doctor
from torpor.enable import announce

HOSTILE = "x\n\x1b]0;y\x07\x7f\x9b31m\r\u2028\u202e\u2066\udc9b\udcc2\t\0z"
"""Newlines, sequences of 7 and 8 bits, separators and overrides of Unicode, what is no UTF-8."""
NAME = HOSTILE.rstrip("z").rstrip("\0").replace("/", "")
"""The same as a file may be called."""
SHOWN = one_line(NAME)
CHOSEN = ("doctor", "hibernate", "enable", "announce")
"""What asks the configuration, which store to use."""


@pytest.fixture(autouse=True, name="log")
def _log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kmsg"
    path.touch()
    monkeypatch.setattr(kmsg, "PATH", str(path))
    return path


def harmless(*texts: str) -> bool:
    """Return whether a terminal does nothing with it but show it, line by line."""
    return all(line.isprintable() for text in texts for line in text.split("\n"))


def said(result: Result) -> str:
    """Return what was said: no line begins with what somebody named."""
    assert harmless(result.out, result.err)
    assert "\nz" not in result.out + result.err
    return result.out + result.err


def test_what_is_not_printable_is_escaped() -> None:
    assert one_line("a plain päth, 日本 'x'\\n") == "a plain päth, 日本 'x'\\n"
    assert one_line("a\nb\x1b\x9b\u202e\udc9b") == r"a\nb\x1b\x9b\u202e\udc9b"
    assert one_line("") == ""
    every = "".join(map(chr, range(0x3000)))
    assert one_line(every).isprintable()
    assert one_line(one_line(every)) == one_line(every)


def test_a_command_with_such_a_name_can_be_copied() -> None:
    for word in (NAME, "/a b'\\\n", "é\n"):
        line = command("printf", "%s", word)
        assert harmless(line)
        assert "\n" not in line
        done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
        assert done.stdout.decode("utf-8", "surrogateescape") == word
    assert command("rm", "a b") == "rm 'a b'"


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("word", [NAME, f"/{NAME}", f"--{NAME}"])
def test_arguments(name: str, word: str, torpor: Torpor, tmp_path: Path) -> None:
    words = {
        "hibernate": ["--store", word],
        "enable": ["--store", word],
        "mkstore": ["--", word],
        "discard": ["--", word],
        "verify": ["--", word],
        "inspect": ["--", word],
        "pack": ["--", word, f"{tmp_path}/out"],
        "unpack": ["--", word, f"{tmp_path}/out"],
        "key": ["--", "add", word],
        "list": ["--", word],
        "prune": ["--older-than", "1d", "--", word],
        "workingset": ["--", "replay", word],
    }
    result = torpor(name, *words.get(name, [word]))
    assert result.code
    assert SHOWN in said(result) or "--store: expected one argument" in result.err


@pytest.mark.parametrize("words", [[NAME], ["--mode", NAME], ["verify", "a", NAME], [f"-{NAME}"]])
def test_wrong_usage(words: list[str], torpor: Torpor) -> None:
    result = torpor(*words)
    assert result.code == 2
    said(result)


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_an_images_own_words(option: list[str], torpor: Torpor, boot: Boot) -> None:
    identity = HERE._replace(kernel_release=NAME[:20], host_name=NAME[:30])
    path = boot.image(made=Made(identity=identity))
    for name in ("inspect", "verify"):
        result = torpor(name, *option, path)
        assert result.code == 0
        said(result)
        if option:
            facts = json.loads(result.out)
            assert (facts["kernel_release"], facts["host_name"]) == (NAME[:20], NAME[:30])
    if not option:
        assert SHOWN[:30] in said(torpor("inspect", path))


FOREIGN = {
    "kernel": Made(identity=HERE._replace(kernel_release=NAME[:20])),
    "build": Made(identity=HERE._replace(kernel_version=NAME[:20])),
    "machine": Made(identity=HERE._replace(machine=NAME[:20])),
    "memory": Made(
        identity=HERE._replace(ram_map_digest=bytes(32)), facts=FACTS._replace(ram_map=NAME)
    ),
    "features": Made(facts=FACTS._replace(processor_features=frozenset({"\x1b[m", "a\udcff"}))),
    "processor": Made(facts=FACTS._replace(processor=NAME, processor_features=frozenset("x"))),
    "mount": Made(guard=[ROOT._replace(mount_point=NAME, device=NAME, device_identity=NAME)]),
    "file system": Made(guard=[ROOT._replace(file_system=NAME)]),
    "installation": Made(identity=HERE._replace(machine_id="cd" * 16, host_name=NAME[:30])),
}


@pytest.mark.parametrize("made", FOREIGN.values(), ids=FOREIGN)
def test_an_image_that_is_refused(
    made: Made, boot: Boot, torpor: Torpor, torpor_resume: Torpor, log: Path
) -> None:
    """In the kernel log, on the console, and by torpor status afterwards."""
    device = boot.image("LABEL=x", made=made)
    dry = torpor_resume("--dry-run", "--cmdline", f"resume={device}")
    result = torpor_resume("--cmdline", "resume=LABEL=x torpor.timeout=1")
    assert result.code == dry.code
    assert result.code
    said(result)
    said(dry)
    (line, *others) = log.read_text().split("<3>")[1:]
    assert harmless(line.rstrip("\n"), *others)
    assert "\n" not in line.rstrip("\n")
    record = BootRecord.read()
    assert record is not None
    assert record.exit_code == result.code
    assert "did not resume" in said(torpor("status"))


def test_what_the_resumer_is_told(torpor_resume: Torpor) -> None:
    for text in (f"resume='{NAME}' torpor.timeout=1", f"resume=/dev/x torpor.timeout={NAME}"):
        result = torpor_resume("--dry-run", "--cmdline", text)
        assert result.code
        said(result)
    said(torpor_resume(NAME))


def test_the_console(capsys: pytest.CaptureFixture[str]) -> None:
    report.to_console(HOSTILE)
    report.to_stderr(kmsg.ERR, HOSTILE)
    captured = capsys.readouterr()
    line = f"torpor-resume: {one_line(HOSTILE)}\n"
    assert (captured.out, captured.err) == (line, line)
    Outcome(StoreRefusedError(HOSTILE)).say(report.to_stderr)
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_records(option: list[str], torpor: Torpor) -> None:
    for ended in Ended:
        HibernationRecord(ended, 1000, 2000, "a", NAME, "b", 0, HOSTILE).save()
        BootRecord(2000, 13, HOSTILE, (f"/dev/{NAME[4:]}", 3)).save()
        result = torpor("status", *option)
        said(result)
        if option:
            assert json.loads(result.out)["hibernation"]["message"] == HOSTILE
        else:
            assert result.out.count("\n") <= 2


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("line", [f"store = {NAME}", f"{NAME}", f"mode = {NAME}", "codec = \x9b"])
def test_the_configuration(
    name: str, line: str, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announce, "announce", lambda *_: None)
    Path(conf.PATH).parent.mkdir(exist_ok=True)
    Path(conf.PATH).write_text(line, errors="surrogateescape")
    Path(location.PATH).write_text(f"resume={NAME[2:]}\n", errors="surrogateescape")
    said(torpor(name))


def test_names_of_swap(torpor: Torpor, monkeypatch: pytest.MonkeyPatch) -> None:
    areas = [
        SwapArea(f"/{NAME}", is_partition=kind, size=1 << 30, used=0) for kind in (True, False)
    ]
    monkeypatch.setattr(choose, "active_swaps", lambda _root: areas)
    result = torpor("hibernate")
    assert result.code == 8
    assert SHOWN in said(result)


def spoil(fake: FakeMachine) -> None:
    """Call all on a machine what may be called anything."""
    octal = "".join(f"\\{ord(c):03o}" for c in "x\n\x1b[31m\x9b\u00ff")
    fake.replace("/proc/swaps", "/dev/sda2", f"/dev/{octal}")
    fake.write("/proc/self/mountinfo", f"21 1 8:1 / /{octal} rw - {octal} /dev/{octal} rw\n")
    fake.write("/proc/sys/kernel/osrelease", "6\x1b[m\n")
    fake.write("/sys/kernel/security/lockdown", "none [\x1b[5m]\n")
    fake.write("/var/lib/torpor/location", "resume=UUID=\x1b[5m\nmachine_id=\x9b\n")
    fake.write("/proc/cmdline", "resume=LABEL='\x1b[5m\u202e' RESUME=\x1b\n")
    fake.write("/etc/torpor.conf", "store = LABEL=\x1b[31m\n")
    fake.write("/etc/crypttab", "\x1b[5m \x9b \u202e luks,\x1b\n")
    fake.logind = "\x1b[5m"


def test_doctor(fake: FakeMachine, capsys: pytest.CaptureFixture[str]) -> None:
    sound = {finding.message for finding in fake.examine()}
    spoil(fake)
    found = fake.examine()
    assert len({finding.message for finding in found} - sound) > 4
    assert not harmless(*[finding.message + finding.remedy for finding in found])
    for as_json in (False, True):
        with pytest.raises(NotReadyError):
            doctor.report(found, as_json=as_json)
        captured = capsys.readouterr()
        assert harmless(captured.out, captured.err)
        assert not as_json or len(json.loads(captured.out)) == len(found)


def test_a_long_line_of_the_kernel_log_ends_at_a_character(log: Path) -> None:
    kernel = kmsg.KernelLog("x")
    kernel.write(kmsg.INFO, "€" * 400)
    kernel.close()
    text = log.read_bytes().decode()
    assert text == f"<6>x: {text.count('€') * '€'}\n"
    assert 290 < text.count("€") < 300
