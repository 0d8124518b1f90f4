"""What doctor sees of the initramfs of a machine that seals its images."""

import pytest

from tests.unit.fake_machine import IMAGE, FakeMachine
from torpor.doctor import check_sealing, examine
from torpor.doctor.finding import Finding, Level

SEALING = "/var/lib/torpor/sealing"
LISTED = "/usr/lib/torpor/resume/_internal/format/sodium.pyc"
TOOL = "usr/bin/tpm2"
LIBRARY = "usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0"


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys and the TPM are looked at in test_doctor_sealed.py."""
    others = [each for each in examine.CHECKS if each.__module__ != check_sealing.__name__]
    monkeypatch.setattr(examine, "CHECKS", tuple(others))


def seal(fake: FakeMachine, tpm2: str = "yes") -> str:
    """Have a sound machine seal its images; return what says so."""
    text = f"# Written by torpor enable.\nsender=00\ntpm2={tpm2}\nask=no\n"
    fake.write(SEALING, text)
    fake.write("/usr/lib/torpor/resume-sealing.needs", f"{LISTED}\n")
    fake.write(LISTED, b"ours")
    fake.initramfs |= {SEALING[1:]: text.encode(), LISTED[1:]: b"ours"}
    if tpm2 == "yes":
        fake.initramfs |= {TOOL: b"\x7fELF", LIBRARY: b"\x7fELF"}
    return text


def only(fake: FakeMachine) -> Finding:
    """Return what doctor finds, which is one thing."""
    (finding,) = fake.bad()
    return finding


@pytest.mark.parametrize("tpm2", ["no", "yes"])
def test_all_is_there(fake: FakeMachine, tpm2: str) -> None:
    seal(fake, tpm2)
    assert fake.complaints() == []
    said = [finding.message for finding in fake.examine()]
    assert (
        f"{IMAGE} holds the resumer and the {6 if tpm2 == 'yes' else 4} files that it needs" in said
    )
    assert f"{SEALING} in it is the current one" in said


def test_a_machine_that_does_not_seal_needs_none_of_it(fake: FakeMachine) -> None:
    fake.write("/usr/lib/torpor/resume-sealing.needs", f"{LISTED}\n")
    fake.write(LISTED, b"ours")
    assert fake.complaints() == []


@pytest.mark.parametrize("name", [LISTED[1:], TOOL, LIBRARY])
def test_what_is_missing(fake: FakeMachine, name: str) -> None:
    seal(fake)
    del fake.initramfs[name]
    finding = only(fake)
    assert finding.level == Level.PROBLEM
    assert finding.message.startswith(f"{IMAGE} lacks ")
    assert name.rpartition("/")[2] in finding.message
    assert "update-initramfs" in finding.remedy


def test_another_version(fake: FakeMachine) -> None:
    seal(fake)
    fake.initramfs |= {LISTED[1:]: b"older"}
    assert f"holds another version of {LISTED}" in only(fake).message


def test_sealing_is_new(fake: FakeMachine) -> None:
    """The next boot would take any image."""
    seal(fake)
    del fake.initramfs[SEALING[1:]]
    finding = only(fake)
    assert finding.level == Level.PROBLEM
    assert finding.message == f"{IMAGE} does not hold {SEALING}"
    assert "update-initramfs" in finding.remedy


def test_another_sender(fake: FakeMachine) -> None:
    text = seal(fake)
    fake.initramfs |= {SEALING[1:]: text.replace("00", "11").encode()}
    finding = only(fake)
    assert finding.level == Level.PROBLEM
    assert finding.message == f"{IMAGE} holds an older {SEALING}"


def test_sealing_is_over(fake: FakeMachine) -> None:
    """The next boot would take no image."""
    seal(fake)
    fake.remove(SEALING)
    finding = only(fake)
    assert finding.level == Level.PROBLEM
    assert finding.message == f"{IMAGE} holds a {SEALING} that is gone here"
    assert "update-initramfs" in finding.remedy
