"""torpor status and the printing of torpor doctor."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from errors import NotReadyError
from state import record
from state.boot import BootRecord
from state.record import HibernationRecord, Outcome
from tests.unit.conftest import Torpor
from torpor.commands import status as command
from torpor.commands.doctor import report
from torpor.doctor.finding import Finding, ok, problem, warning

HERE, ELSEWHERE = "this-boot", "another-boot"
BEGUN = HibernationRecord(Outcome.BEGUN, 1000, 0, HERE, "/dev/sda2", "uuid", 0, "")


@pytest.fixture(autouse=True)
def _this_boot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "boot_id", lambda: HERE)


HEAD = "last hibernation: 1970-01-01 00:16:40 UTC"
TO = f"{HEAD} to /dev/sda2"
LATER = "1970-01-01 00:33:20 UTC"
BOOT = f"this boot, {LATER}, did not resume:"
FAILED = replace(BEGUN, outcome=Outcome.FAILED, ended=1007, message="no room", exit_code=9)
REFUSED = replace(
    BEGUN, outcome=Outcome.REFUSED, boot_id=ELSEWHERE, ended=2000, message="noresume", exit_code=10
)
RESUMED = replace(BEGUN, outcome=Outcome.RESUMED, ended=4600)
NOT_YET = replace(BEGUN, boot_id=ELSEWHERE)
ON = f"{TO}, resumed 1970-01-01 01:16:40 UTC"
NOTHING = BootRecord(2000, 3, "no image")
UNTOLD = "this boot did not resume, and its initramfs does not say why: run torpor doctor"


@pytest.mark.parametrize(
    ("last", "boot", "expected"),
    [
        (None, None, ["no hibernation recorded"]),
        (None, BootRecord(2000, 7, "no disk"), ["no hibernation recorded", f"{BOOT} no disk"]),
        (RESUMED, None, [ON]),
        (replace(RESUMED, downtime=3599), None, [f"{ON}, after a downtime of 60.0 min"]),
        (FAILED, None, [f"{TO}, failed after 7 s: no room (exit code 9)"]),
        (
            replace(FAILED, downtime=5.25),
            None,
            [f"{TO}, failed after 7 s, 5.2 s of it frozen: no room (exit code 9)"],
        ),
        (replace(FAILED, store=""), None, [f"{HEAD}, failed after 7 s: no room (exit code 9)"]),
        (BEGUN, None, [f"{TO}, not finished: it is under way, or was killed"]),
        (NOT_YET, BootRecord(2000, 4, "damaged"), [f"{TO}, not resumed", f"{BOOT} damaged"]),
        (NOT_YET, None, [f"{TO}, not resumed", UNTOLD]),
        (REFUSED, BootRecord(2000, 10, "noresume"), [f"{TO}, not resumed", f"{BOOT} noresume"]),
        (REFUSED, None, [f"{TO}, not resumed by the boot of {LATER}: noresume"]),
        (None, NOTHING, ["no hibernation recorded"]),
        (RESUMED, NOTHING, [ON]),
        (NOT_YET, NOTHING, [f"{TO}, not resumed", f"{BOOT} no image"]),
        (replace(REFUSED, exit_code=3), NOTHING, [f"{TO}, not resumed", f"{BOOT} no image"]),
        (
            REFUSED,
            BootRecord(3000, 7, "no disk"),
            [
                f"{TO}, not resumed by the boot of {LATER}: noresume",
                "this boot, 1970-01-01 00:50:00 UTC, did not resume: no disk",
            ],
        ),
    ],
)
def test_status(
    last: HibernationRecord | None,
    boot: BootRecord | None,
    expected: list[str],
    torpor: Torpor,
) -> None:
    if last:
        last.save()
    if boot:
        boot.save()
    assert torpor("status").out.splitlines() == expected


def test_status_for_a_script(torpor: Torpor) -> None:
    nothing = {"hibernation": None, "boot": None, "replay": None, "boot_id": HERE}
    assert json.loads(torpor("status", "--json").out) == nothing
    BEGUN.save()
    BootRecord(2000, 7, "not there", ("/dev/sda2", 7)).save()
    told = json.loads(torpor("status", "--json").out)
    assert told["hibernation"]["outcome"] == "begun"
    assert told["hibernation"]["downtime"] == 0
    kept = [{"device": "/dev/sda2", "page": 7}]
    assert told["boot"] == {"when": 2000, "exit_code": 7, "message": "not there", "kept": kept}


def test_status_of_damaged_records(torpor: Torpor) -> None:
    BEGUN.save()
    Path(record.HIBERNATION_PATH).write_text("[")
    said = torpor("status")
    assert (said.code, "is not what torpor writes" in said.err) == (21, True)


FINDINGS = [ok("all right"), warning("perhaps", "wait"), problem("no", "do this")]


def test_findings_are_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotReadyError, match=r"not ready to hibernate: 1 problem$"):
        report(FINDINGS, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "ok       all right",
        "warning  perhaps",
        "           wait",
        "PROBLEM  no",
        "           do this",
    ]


def test_findings_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotReadyError, match="2 problems"):
        report([*FINDINGS, Finding(problem("", "").level, "more", "")], as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found[1] == {"level": "warning", "message": "perhaps", "remedy": "wait"}
    assert [one["level"] for one in found] == ["ok", "warning", "problem", "problem"]


def test_warnings_alone_are_no_failure() -> None:
    report(FINDINGS[:2], as_json=False)
