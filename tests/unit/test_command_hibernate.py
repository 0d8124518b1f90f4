"""torpor hibernate: what is planned, what goes before and after it, and what is kept of it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest

from errors import KernelRefusedError, NoSpaceError, UnreadableError
from hibernate import attempts
from hibernate.attempts import carry_out, try_twice
from hibernate.downtime import Downtime
from hibernate.plan import Plan
from hibernate.power_off import Mode
from linux import kmsg
from linux.power import size_at
from seal import slots
from seal.slots import KeyFileSlot, Keys
from state import conf, location, record
from state.conf import OFF, Conf
from state.location import Location
from state.record import HibernationRecord, Outcome, recording
from store.choose import Doubt, Settings
from tests.tools import failing
from tests.unit.conftest import Torpor
from tests.unit.hibernating import no_working_set
from tests.unit.sealing import SEED, passphrase_slot, sender, trusted
from torpor import hibernation as command
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, problem
from workingset.recorder import Recorder

FIRST = UUID(int=1)
PLAN = Plan("/dev/x", Mode.SHUTDOWN, FIRST, working_set=OFF)


def kept() -> HibernationRecord:
    found = HibernationRecord.read()
    assert found is not None
    return found


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Plan]:
    """What the command plans on a machine whose next boot finds every store; nothing is done."""
    made: list[Plan] = []
    (tmp_path / "kmsg").touch()
    monkeypatch.setattr(kmsg, "PATH", str(tmp_path / "kmsg"))
    monkeypatch.setattr(command, "carry_out", lambda plan, *_: made.append(plan))
    monkeypatch.setattr("torpor.commands.hibernate.Recorder", lambda *_: no_working_set())
    monkeypatch.setattr(
        command,
        "choose_store",
        lambda name, _: SimpleNamespace(path=name or "/dev/chosen", others_image=None),
    )
    monkeypatch.setattr(command, "doubts", lambda *_: [])
    monkeypatch.setattr(command, "unreached", lambda _facts: [])
    monkeypatch.setattr(command, "other_swaps", lambda _store: [])
    return made


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ("mode = reboot\n", "", Plan("/dev/chosen", Mode.REBOOT, FIRST)),
        ("", "--mode shutdown --store /dev/x", Plan("/dev/x", Mode.SHUTDOWN, FIRST)),
        (
            "image-size = 0\nmode = shutdown\ncodec = zstd\nworking-set = off\n",
            "",
            Plan("/dev/chosen", Mode.SHUTDOWN, FIRST, 0, codec="zstd", working_set="off"),
        ),
        (
            "image-size = 0\nmode = shutdown\ncodec = zstd\nworking-set = off\n",
            "--image-size 1G --mode reboot --codec none --working-set no-paths",
            Plan("/dev/chosen", Mode.REBOOT, FIRST, 1 << 30, codec="none", working_set="no-paths"),
        ),
        (
            "mode = reboot\nhelpers = my-fuse  other\n",
            "--verify --sleep-hooks",
            Plan(
                "/dev/chosen",
                Mode.REBOOT,
                FIRST,
                None,
                ("my-fuse", "other"),
                True,
                sleep_hooks=True,
            ),
        ),
        ("mode = reboot\nimage-size = max", "", Plan("/dev/chosen", Mode.REBOOT, FIRST, 1 << 62)),
        ("mode = reboot", "--image-size min", Plan("/dev/chosen", Mode.REBOOT, FIRST, 0)),
        ("mode = reboot", "--image-size 3M", Plan("/dev/chosen", Mode.REBOOT, FIRST, 3 << 20)),
    ],
)
def test_options_come_before_the_configuration(
    text: str, options: str, expected: Plan, plans: list[Plan], torpor: Torpor
) -> None:
    write(conf.PATH, text)
    said = torpor("hibernate", *options.split())
    assert (said.code, said.out, said.err) == (0, "torpor: resumed\n", "")
    assert plans == [expected._replace(is_found=True, image_uuid=plans[0].image_uuid)]


def test_the_firmware_says_how_to_power_off_where_nobody_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for has_platform, mode in ((True, Mode.PLATFORM), (False, Mode.SHUTDOWN)):
        monkeypatch.setattr("linux.power.has_platform_mode", lambda has=has_platform: has)
        assert Plan.of("/dev/x", Conf()).mode == mode


def test_wrong_configuration_stops_it(plans: list[Plan], torpor: Torpor) -> None:
    write(conf.PATH, "sotre = /dev/x\n")
    said = torpor("hibernate")
    assert (said.code, "line 1: there is no 'sotre'" in said.err) == (15, True)
    assert plans == []
    assert kept().outcome is Outcome.FAILED


def test_a_kernel_without_hibernation_is_told_in_words(
    plans: list[Plan], torpor: Torpor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "image_size"
    monkeypatch.setattr("linux.power.preferred_image_size", lambda: size_at(str(path)))
    said = torpor("hibernate")
    assert said.err == (
        f"torpor: this kernel has no hibernation: there is no {path}\n"
        "  boot a kernel with CONFIG_HIBERNATION and CONFIG_HIBERNATION_SNAPSHOT_DEV\n"
    )
    assert said.code == kept().exit_code == KernelRefusedError.exit_code
    for mangled in ("", "x y\n", "-1\n"):
        path.write_text(mangled)
        said = torpor("hibernate")
        assert said.err == f"torpor: cannot use {path}: invalid argument\n"
        assert said.code == kept().exit_code == UnreadableError.exit_code
    assert plans == []


def test_without_the_kernel_log_there_is_no_hibernation(
    plans: list[Plan], torpor: Torpor, tmp_path: Path
) -> None:
    (tmp_path / "kmsg").unlink()
    said = torpor("hibernate")
    assert said.code == KernelRefusedError.exit_code
    assert said.err.endswith("\n  run this as root\n")
    assert plans == []


def test_a_store_that_the_next_boot_may_not_find(
    plans: list[Plan], monkeypatch: pytest.MonkeyPatch, torpor: Torpor
) -> None:
    seen: list[Settings] = []

    def doubts(_store: object, settings: Settings) -> list[Doubt]:
        seen.append(settings)
        return [Doubt("the next boot looks elsewhere", "say so", is_certain=len(seen) > 1)]

    monkeypatch.setattr(command, "doubts", doubts)
    write(location.PATH, Location("UUID=1", 5).build())
    said = torpor("hibernate")
    assert said.err.startswith("torpor: warning: the next boot looks elsewhere\n")
    assert seen[0].location == Location("UUID=1", 5)
    assert [plan.is_found for plan in plans] == [False]
    said = torpor("hibernate")
    assert (said.code, said.err) == (8, "torpor: the next boot looks elsewhere\n  say so\n")
    assert len(plans) == 1


@pytest.mark.parametrize(
    ("found", "code"),
    [
        ([problem("/home is not there", "umount it")], 16),
        (failing(UnreadableError("cannot read it")), 0),
    ],
)
def test_a_file_system_that_the_next_boot_does_not_reach(
    found: list[Finding] | Callable[[], None],
    code: int,
    plans: list[Plan],
    monkeypatch: pytest.MonkeyPatch,
    torpor: Torpor,
) -> None:
    """Where it cannot be told the machine hibernates."""
    seen: list[object] = []

    def unreached(facts: Facts) -> list[Finding]:
        seen.append(facts.store.path)
        return found() or [] if callable(found) else found

    monkeypatch.setattr(command, "unreached", unreached)
    said = torpor("hibernate", "--store", "/dev/x")
    assert said.code == code
    assert said.err == ("torpor: /home is not there\n  umount it\n" if code else "")
    assert (len(plans), seen) == (not code, ["/dev/x"])


def test_other_swap_is_warned_of(
    plans: list[Plan], monkeypatch: pytest.MonkeyPatch, torpor: Torpor
) -> None:
    monkeypatch.setattr(command, "other_swaps", lambda _store: ["/dev/b", "/swap"])
    assert "there is swap on /dev/b, /swap, too" in torpor("hibernate").err
    assert len(plans) == 1


def test_an_image_is_sealed_and_what_opens_it_not_is_warned_of(
    plans: list[Plan], monkeypatch: pytest.MonkeyPatch, torpor: Torpor, tmp_path: Path
) -> None:
    monkeypatch.setattr(slots, "SENDER", str(tmp_path / "seed"))
    monkeypatch.setattr(slots, "SLOTS", str(tmp_path / "slots.json"))
    Path(slots.SENDER).write_bytes(SEED)
    lost = KeyFileSlot(bytes(32), str(tmp_path / "lost"))
    slots.write_keys(Keys({"keyfile": lost, "passphrase": passphrase_slot()}))
    trusted()
    said = torpor("hibernate")
    (plan,) = plans
    assert (said.code, plan.sender and plan.sender.names) == (0, "passphrase")
    assert f"warning: the image is not sealed for keyfile: {lost.path} does not exist" in said.err


# The record


def no_warning(message: str, _consequence: str) -> None:
    raise AssertionError(message)


def test_success_is_kept() -> None:
    with recording(no_warning) as here:
        here.keep(here.record._replace(store="/dev/x", image_uuid="uuid"))
        assert (kept().outcome, kept().ended) == (Outcome.BEGUN, 0)
    assert (kept().outcome, kept().store, kept().exit_code) == (Outcome.RESUMED, "/dev/x", 0)
    assert kept().image_uuid == "uuid"
    assert kept().ended >= kept().begun > 0


def test_failure_is_kept() -> None:
    with pytest.raises(KernelRefusedError), recording(no_warning):
        raise KernelRefusedError("cannot freeze /dev/x")
    assert (kept().outcome, kept().exit_code) == (Outcome.FAILED, KernelRefusedError.exit_code)
    assert kept().message == "cannot freeze /dev/x"


def test_record_that_cannot_be_written_is_no_reason_not_to_hibernate(
    plans: list[Plan], monkeypatch: pytest.MonkeyPatch, torpor: Torpor
) -> None:
    error = UnreadableError("cannot write the record")
    monkeypatch.setattr(record, "write_text", failing(error))
    said = torpor("hibernate")
    assert (said.code, "torpor status will not know" in said.err) == (0, True)
    assert len(plans) == 1


# What goes before and after it


class Machine:
    """Notes what is done with it, and fails as it is told to, once for each error."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.plans: list[Plan] = []
        self.said: list[str] = []

    def hibernate(
        self, plan: Plan, _log: object, working_set: Recorder, downtime: Downtime
    ) -> None:
        self.plans.append(plan)
        working_set.section = b"section"
        assert kept().image_uuid == str(plan.image_uuid)
        downtime.seconds += 2.5
        if self.errors:
            raise self.errors.pop(0)


Carry = Callable[..., Machine]


@pytest.fixture
def carry(monkeypatch: pytest.MonkeyPatch) -> Carry:
    """Carry out a plan on a machine that fails with these errors, one for each attempt."""

    def run(plan: Plan, *errors: Exception) -> Machine:
        machine = Machine(*errors)
        monkeypatch.setattr(attempts, "hibernate_once", machine.hibernate)
        with recording(no_warning) as here:
            carry_out(plan, here, no_working_set(), machine.said.append)
        return machine

    return run


def test_downtime_of_all_attempts_is_kept(carry: Carry) -> None:
    machine = carry(PLAN, NoSpaceError("no room left"))
    assert (kept().outcome, kept().downtime) == (Outcome.RESUMED, 5.0)
    assert kept().image_uuid == str(machine.plans[1].image_uuid)
    assert kept().store == PLAN.store


def test_an_attempt_that_fails_keeps_the_downtime(carry: Carry) -> None:
    with pytest.raises(KernelRefusedError):
        carry(PLAN, KernelRefusedError("no"))
    assert (kept().outcome, kept().downtime) == (Outcome.FAILED, 2.5)


def test_what_opens_the_image_is_kept(carry: Carry) -> None:
    carry(PLAN)
    assert kept().sealing == ""
    carry(PLAN._replace(sender=sender(passphrase_slot(), passphrase_slot())))
    assert kept().sealing == "0, 1"


@pytest.mark.parametrize("fails", [False, True])
def test_what_was_recorded_comes_back(
    carry: Carry, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """A failed hibernation gives back, too, what it has thrown out."""
    back: list[bytes] = []
    monkeypatch.setattr(attempts, "bring_back", lambda section, _log: back.append(section))
    if fails:
        with pytest.raises(KernelRefusedError):
            carry(PLAN, KernelRefusedError("no"))
    else:
        carry(PLAN)
    assert back == [b"section"]


# Two attempts


def attempt(plan: Plan, *errors: NoSpaceError) -> tuple[list[Plan], list[str]]:
    """Try it; return what was tried, and what was logged."""
    tried: list[Plan] = []
    said: list[str] = []

    def once(plan: Plan) -> None:
        tried.append(plan)
        if len(tried) <= len(errors):
            raise errors[len(tried) - 1]

    try_twice(plan, once, said.append)
    return tried, said


FULL = NoSpaceError("no room left after 1 MiB", "make it smaller")


def test_image_that_does_not_fit_is_tried_once_more_as_small_as_can_be() -> None:
    (first, second), said = attempt(PLAN._replace(verify=True), FULL)
    assert second == first._replace(image_size=0, image_uuid=second.image_uuid)
    assert first.image_uuid != second.image_uuid, "chunks of the first are on the disk"
    assert said == ["no room left after 1 MiB; trying once more with the smallest image"]


def test_smallest_image_that_does_not_fit() -> None:
    with pytest.raises(NoSpaceError, match="after 1 MiB; even the smallest image does") as caught:
        attempt(PLAN, FULL, FULL)
    assert "make it smaller" not in caught.value.hint
    with pytest.raises(NoSpaceError, match=r"after 1 MiB$"):
        attempt(PLAN._replace(image_size=0), FULL)
