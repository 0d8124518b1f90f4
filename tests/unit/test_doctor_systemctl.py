"""What systemd makes of its settings, what logind answers, and what doctor says of both."""

from pathlib import Path

import pytest

from initramfs.generators.systemd import boolean
from linux import efivar
from linux.root import Root
from tests.unit.fake_machine import RELEASE, UUID_TEXT, FakeMachine
from tests.unit.fake_root import write
from tests.unit.test_doctor_faults import Fault, Spoil, both, on_command_line, removed, written
from torpor.doctor.check_systemctl import forbidden_by
from torpor.doctor.finding import Level

SLEEP = "[Sleep]\nAllowHibernation={}\n"
BYPASS = "/etc/systemd/system/systemd-logind.service.d/torpor.conf"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, True) for text in ("1", "yes", "y", "true", "t", "on", "YES", "On")),
        *((text, False) for text in ("0", "no", "n", "false", "f", "off", "N", "False")),
        *((text, None) for text in ("", "2", "nope", "no way", "ja")),
    ],
)
def test_booleans(text: str, value: bool | None) -> None:
    assert boolean(text) is value


ETC, RUN = "/etc/systemd/sleep.conf", "/run/systemd/sleep.conf"
LOCAL, USR = "/usr/local/lib/systemd/sleep.conf", "/usr/lib/systemd/sleep.conf"
NO, YES, NOTHING = SLEEP.format("no"), SLEEP.format("yes"), SLEEP.format("")


@pytest.mark.parametrize(
    ("files", "path"),
    [
        ({}, ""),
        ({ETC: NO}, ETC),
        ({ETC: YES, USR: NO}, ""),
        ({ETC: "", USR: NO}, ""),
        ({USR: NO}, USR),
        ({RUN: NO, USR: YES}, RUN),
        ({LOCAL: NO, USR: YES}, LOCAL),
        ({ETC: YES, f"{USR}.d/a.conf": NO}, f"{USR}.d/a.conf"),
        ({ETC: NO, f"{USR}.d/a.conf": YES}, ""),
        ({f"{USR}.d/a.conf": NO, f"{RUN}.d/a.conf": YES}, ""),
        ({f"{USR}.d/a.conf": YES, f"{RUN}.d/a.conf": NO}, f"{RUN}.d/a.conf"),
        ({f"{USR}.d/a.conf": NO, f"{ETC}.d/a.conf": ""}, ""),
        ({f"{LOCAL}.d/b.conf": NO, f"{ETC}.d/a.conf": YES}, f"{LOCAL}.d/b.conf"),
        ({f"{ETC}.d/a.conf.bak": NO, f"{ETC}.d/b.conf~": NO, f"{ETC}.d/.#c.conf": NO}, ""),
        ({ETC: NO, f"{ETC}.d/a.conf": NOTHING}, ""),
        ({ETC: NO, f"{ETC}.d/a.conf": SLEEP.format("nonsense")}, ETC),
        ({ETC: NO + "AllowHibernation=yes\n"}, ""),
        ({ETC: "[Login]\nAllowHibernation=no\n"}, ""),
        ({ETC: "[Login]\nx=y\n[Sleep]\n AllowHibernation = no \n"}, ETC),
        ({ETC: "[Sleep]\n#AllowHibernation=no\n;AllowHibernation=no\n"}, ""),
        ({ETC: "[Sleep]\nAllowHibernation=\\\nno\n"}, ETC),
        ({ETC: "[Sleep]\nAllowHibernation=\\\n# between\nno\n"}, ETC),
        ({ETC: "[Sleep]\nAllowHybridSleep=no\n"}, ""),
        ({ETC: "[Sleep]\r\nAllowHibernation=no\r\n"}, ETC),
        ({ETC: "[Sleep]\nAllowHibernation=no\\"}, ETC),
    ],
)
def test_what_forbids(root: Root, files: dict[str, str], path: str) -> None:
    write(root, files)
    found = forbidden_by(root, "sleep.conf", "Sleep", "AllowHibernation")
    assert (found[0] if found else "") == path


@pytest.mark.parametrize(
    ("unit", "path", "remedy"),
    [
        ("hibernate.target", "/etc/systemd/system", "systemctl unmask hibernate.target"),
        ("sleep.target", "/run/systemd/system", "systemctl unmask --runtime sleep.target"),
        ("systemd-hibernate.service", "/usr/local/lib/systemd/system", "rm /usr/local/lib/"),
    ],
)
@pytest.mark.parametrize("is_link", [True, False])
def test_masked_unit(
    fake: FakeMachine, unit: str, path: str, remedy: str, *, is_link: bool
) -> None:
    if is_link:
        fake.link(f"{path}/{unit}", "/dev/null")
    else:
        fake.write(f"{path}/{unit}", "")
    (finding,) = fake.bad()
    assert f"{unit} is masked by {path}/{unit}" in finding.message
    assert finding.remedy.startswith(remedy)
    fake.remove(f"{path}/{unit}")
    assert fake.bad() == []


def test_a_unit_of_the_administrator_hides_a_mask(fake: FakeMachine) -> None:
    fake.link("/run/systemd/system/hibernate.target", "/dev/null")
    fake.write("/etc/systemd/system/hibernate.target", "[Unit]\n")
    assert fake.bad() == []


@pytest.mark.parametrize("folder", ["/usr/lib", "/run", "/usr/local/lib"])
def test_a_drop_in_anywhere_can_take_the_service_back(fake: FakeMachine, folder: str) -> None:
    path = f"{folder}/systemd/system/systemd-hibernate.service.d/zz.conf"
    fake.write(path, "[Service]\nExecStart=\nExecStart=/usr/lib/systemd/systemd-sleep hibernate\n")
    (finding,) = fake.bad()
    assert "does not use Torpor" in finding.message
    fake.link(f"/etc/systemd/system/{Path(path).parent.name}/zz.conf", "/dev/null")
    assert fake.bad() == []


@pytest.mark.parametrize(
    ("text", "is_ours"),
    [
        ("ExecStartPre=/bin/x\nExecStopPost=/bin/y\n", True),
        ("ExecStart=/bin/after\n", True),  # of a oneshot each is started
        ("ExecStart=\n", False),
        ("ExecStart=\nExecStart=\\\n/bin/other\n", False),
        ("[Unit]\nExecStart=\n", True),
        ("# ExecStart=\n", True),
    ],
)
def test_a_drop_in_behind_ours(text: str, is_ours: bool, fake: FakeMachine) -> None:
    fake.write(
        f"{Path(BYPASS).parents[1]}/systemd-hibernate.service.d/zz.conf", f"[Service]\n{text}"
    )
    others = ["zz.conf comes last" in message for message in fake.complaints()]
    assert others == ([] if is_ours else [True])


NOT_NAMED = written("/sys/power/resume", "0:0\n")
HALF_NAMED = both(NOT_NAMED, written("/sys/power/resume_offset", "34816\n"))
WITH_EFI = both(HALF_NAMED, written("/sys/firmware/efi/runtime", ""))


def nothing(_: FakeMachine) -> None:
    pass


ANSWERS = {
    "nothing named": ("na", Fault(NOT_NAMED, "(na): nothing is named", "torpor announce")),
    "half": ("na", Fault(HALF_NAMED, "resume_offset names a page", "torpor announce")),
    "half, EFI": ("na", Fault(WITH_EFI, "resume_offset names", "echo 0 >/sys/power/resume")),
    "room": ("na", Fault(removed(BYPASS), "(na): it looks for room", "torpor enable")),
    "not seen": ("na", Fault(nothing, "has not seen", "restart systemd-logind")),
    "polkit": ("no", Fault(nothing, "(no): a rule of polkit", "login1.hibernate")),
    "password": ("challenge", Fault(nothing, "asks for a password", "polkit", Level.WARNING)),
    "lock": ("inhibitor-blocked", Fault(nothing, "inhibitor", "systemd-inhibit", Level.WARNING)),
    "both": (
        "challenge-inhibitor-blocked",
        Fault(nothing, "lock", "systemd-inhibit", Level.WARNING),
    ),
    "no answer": (
        "",
        Fault(NOT_NAMED, "may refuse systemctl hibernate: nothing", "torpor", Level.WARNING),
    ),
}
"""What logind answers, and what doctor says then."""


@pytest.mark.parametrize("name", ANSWERS)
def test_what_logind_answers(fake: FakeMachine, name: str) -> None:
    fake.logind, fault = ANSWERS[name]
    fault.check(fake)


NO_SWAP = "Filename Type Size Used Priority\n"


@pytest.mark.parametrize(
    ("answer", "spoil", "said"),
    [
        (
            "na",
            on_command_line("noresume"),
            ["logind refuses systemctl hibernate (na): the kernel command line has noresume"],
        ),
        # A kernel that cannot is said once.
        ("na", written("/sys/power/state", "freeze mem\n"), []),
        # Nothing has to be named where no swap is.
        ("", both(NOT_NAMED, written("/proc/swaps", NO_SWAP)), []),
        ("", both(NOT_NAMED, written("/proc/swaps", f"{NO_SWAP}/dev/zram0 partition 9 0 5\n")), []),
    ],
)
def test_what_is_said_of_logind_beside_another_fault(
    answer: str, spoil: Spoil, said: list[str], fake: FakeMachine
) -> None:
    fake.logind = answer
    spoil(fake)
    assert [message for message in fake.complaints() if "logind" in message] == said


@pytest.mark.parametrize("spoil", [nothing, NOT_NAMED])
def test_a_yes_is_a_yes(fake: FakeMachine, spoil: Spoil) -> None:
    """Before 254 it is, whatever is named."""
    spoil(fake)
    assert fake.bad() == []


def test_without_logind_the_files_are_what_there_is(fake: FakeMachine) -> None:
    fake.logind = ""
    said = [finding.message for finding in fake.examine() if "logind" in finding.message]
    assert said == ["logind does not answer here; by its files it allows systemctl hibernate"]


def test_a_name_in_the_firmware_may_be_another_system_s(fake: FakeMachine) -> None:
    """One of this kernel's own is stale: whoever was hibernated is here."""
    path = f"/sys/firmware/efi/efivars/{efivar.HIBERNATE_LOCATION}"
    for release, remedy in (("5.10", "if no other system is hibernated: "), (RELEASE, "")):
        text = f'{{"uuid":"{UUID_TEXT}","offset":0,"kernelVersion":"{release}"}}'
        fake.write(path, b"\x07\0\0\0" + text.encode("utf-16-le") + bytes(2))
        (finding,) = fake.bad()
        assert finding.level == Level.WARNING
        assert finding.remedy == f"{remedy}chattr -i {path}; rm {path}"
    fake.write(path, b"")
    assert fake.bad() == []
