"""An image that a boot does not find, since it was taken away: nobody restores it later."""

import os
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path
from uuid import UUID

import pytest

from errors import ForeignError, KernelRefusedError, NoImageError, UnreadableError
from hibernate import attempts
from hibernate.attempts import carry_out
from hibernate.plan import Plan
from hibernate.power_off import Mode
from seal import pending, tpm
from seal.pending import spend
from seal.sender import Sender, read_seed
from seal.slots import SENDER, Keys, new_tpm_slot
from seal.tpm import Tpm
from state import sealing
from state.boot import BootRecord
from state.record import recording
from tests.tools import failing
from tests.unit.conftest import Torpor
from tests.unit.hibernating import no_working_set
from tests.unit.marked import Made
from tests.unit.sealing import PASSPHRASE, SEED, Typist, passphrase_slot
from tests.unit.test_sealed_boots import refused, seal
from tests.unit.test_sealed_by_tpm import Machine, machine
from torpor.enable.keys import put, sealed
from torpor.enable.system import System

__all__ = ["machine"]

LATER = "01234567-89ab-cdef-0123-456789abcdef"
COUNTED = "no boot restores the image of before this one any more: the TPM has counted\n"
NONE_KEPT = "this boot kept no image: nothing to discard\n"


@pytest.fixture
def boots(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have it be another boot from now on."""
    return lambda: monkeypatch.setattr(pending, "boot_id", lambda: LATER)


@pytest.fixture(autouse=True)
def _by(monkeypatch: pytest.MonkeyPatch, machine: Machine) -> None:
    monkeypatch.setattr(tpm, "Tpm", lambda: machine.tpm)


def hidden(machine: Machine) -> bytes:
    """Take the image away and boot; return what comes back later."""
    copy = machine.disk.read_bytes()
    machine.disk.write_bytes(machine.disk.with_name("header").read_bytes())
    refused(machine.boot, machine.disk, NoImageError)
    return copy


def test_an_image_that_was_hidden_from_one_boot(
    machine: Machine, boots: Callable[[], None], torpor: Torpor, typist: Typist
) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm), passphrase_slot())
    copy = hidden(machine)
    boots()
    said = torpor("discard", "--stale")
    assert (said.code, said.out, said.err) == (0, f"{COUNTED}{NONE_KEPT}", "")
    assert not Path(pending.PATH).exists()
    typist.typed.append(PASSPHRASE)
    machine.refuses_copy(copy)
    assert not typist.asked


def test_without_the_note_it_would_be_restored(machine: Machine, torpor: Torpor) -> None:
    """What the tests here rest on."""
    machine.hibernate(new_tpm_slot(machine.tpm))
    copy = hidden(machine)
    pending.forget()
    assert torpor("discard", "--stale").out == NONE_KEPT
    machine.soft.reboot()
    machine.disk.write_bytes(copy)
    machine.resume()


def test_one_that_the_kernel_refused_once_is_hidden(
    machine: Machine, boots: Callable[[], None], torpor: Torpor
) -> None:
    """The TPM has counted already then, and would open it once more."""
    machine.hibernate(new_tpm_slot(machine.tpm))
    machine.device.fail["atomic_restore"] = 1
    machine.boot.resume(f"resume={machine.disk}")
    machine.device.fail.clear()
    copy = hidden(machine)
    boots()
    assert torpor("discard", "--stale").out.startswith(COUNTED)
    machine.refuses_copy(copy)


def test_another_image_that_is_kept_hides_none(
    machine: Machine, boots: Callable[[], None], torpor: Torpor
) -> None:
    """An older one of ours, for another kernel: whoever has the disk has it."""
    machine.hibernate(new_tpm_slot(machine.tpm))
    older = machine.disk.read_bytes()
    machine.hibernate(new_tpm_slot(machine.tpm))
    newest = machine.disk.read_bytes()
    machine.disk.write_bytes(older)
    BootRecord(1.0, 11, "other kernel", (str(machine.disk), 0)).save()
    boots()
    assert COUNTED in torpor("discard", "--stale").out
    machine.refuses_copy(newest)


def test_the_same_boot_does_not_spend_what_it_makes(machine: Machine, torpor: Torpor) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm))
    assert torpor("discard", "--stale").out == NONE_KEPT
    assert Path(pending.PATH).exists()
    machine.resume()


def test_a_file_system_that_is_read_only_spends_nothing(
    machine: Machine, boots: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image is good yet: none of what it holds mounted was written to."""
    machine.hibernate(new_tpm_slot(machine.tpm))
    boots()
    monkeypatch.setattr(os, "access", lambda _path, mode: not mode & os.W_OK)
    assert not spend(machine.tpm)
    assert Path(pending.PATH).exists()
    machine.resume()


@pytest.mark.parametrize("is_writable", [True, False])
def test_one_that_this_boot_kept_goes_once_the_root_is_written_to(
    is_writable: bool,
    machine: Machine,
    boots: Callable[[], None],
    torpor: Torpor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a TPM, too; nobody can read what it holds mounted."""
    machine.hibernate(passphrase_slot())
    BootRecord(1.0, 11, "other kernel", (str(machine.disk), 0)).save()
    boots()
    monkeypatch.setattr(os, "access", lambda _path, mode: is_writable or not mode & os.W_OK)
    said = torpor("discard", "--stale")
    assert said.code == 0, said
    assert ("discarded" in said.out) == is_writable
    assert ("still good" in said.out) != is_writable


@pytest.mark.parametrize("errors", [(), (KernelRefusedError("no"),)])
def test_the_note_goes_when_the_machine_goes_on(
    errors: tuple[Exception, ...], machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restored, or undone."""
    there: list[bool] = []

    def hibernate(*_: object) -> None:
        there.append(Path(pending.PATH).exists())
        if errors:
            raise errors[0]

    keys = Keys({"tpm2": new_tpm_slot(machine.tpm)}, machine.counter)
    plan = Plan("/dev/x", Mode.SHUTDOWN, UUID(int=1), sender=Sender(SEED, keys, machine.tpm))
    monkeypatch.setattr(attempts, "hibernate_once", hibernate)
    expected = pytest.raises(KernelRefusedError) if errors else nullcontext()
    with expected, recording(print) as here:
        carry_out(plan, here, no_working_set(), print)
    assert there == [True]
    assert not Path(pending.PATH).exists()


def test_what_the_tpm_has_gone_on_from_is_only_forgotten(
    machine: Machine, boots: Callable[[], None], torpor: Torpor
) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm))
    for _ in range(2):
        number = machine.tpm.increment(machine.counter)
    boots()
    assert torpor("discard", "--stale").out == NONE_KEPT
    assert not Path(pending.PATH).exists()
    assert machine.tpm.read_counter(machine.counter) == number


def test_a_counter_that_is_gone_opens_nothing_anyway(
    machine: Machine, boots: Callable[[], None], torpor: Torpor
) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm))
    machine.tpm.remove_counter(machine.counter)
    boots()
    assert torpor("discard", "--stale").out == NONE_KEPT
    assert not Path(pending.PATH).exists()


def test_a_tpm_that_does_not_answer_is_asked_at_the_next_boot(
    machine: Machine, boots: Callable[[], None], torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm))
    boots()
    with monkeypatch.context() as patched:
        patched.setattr(tpm, "Tpm", lambda: Tpm("device:/nonexistent/tpm"))
        said = torpor("discard", "--stale")
    assert (said.code, said.out, said.err.count("\n")) == (0, NONE_KEPT, 1)
    assert "the TPM cannot be used" in said.err
    assert torpor("discard", "--stale").out.startswith(COUNTED)


def test_a_note_that_is_damaged_is_said(machine: Machine, torpor: Torpor) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm))
    Path(pending.PATH).write_text("counter=x")
    said = torpor("discard", "--stale")
    assert said.err == f"torpor: {pending.PATH} is not what torpor writes\n"
    assert Path(pending.PATH).exists()


def test_a_note_that_cannot_be_written_keeps_nobody_from_hibernating(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "note", failing(UnreadableError("no space")))
    keys = Keys({"tpm2": new_tpm_slot(machine.tpm)}, machine.counter)
    made = Sender(SEED, keys, machine.tpm)
    assert made.troubles == ["a boot that misses the image will not spend it: no space"]
    number = machine.tpm.read_counter(machine.counter)
    assert made.sealing(UUID(int=1)).seal.counter == number


def test_without_a_counter_there_is_no_note(machine: Machine) -> None:
    Sender(SEED, Keys({"passphrase": passphrase_slot()}), machine.tpm)
    assert not Path(pending.PATH).exists()


def test_a_copy_of_before_the_first_key_in_the_tpm(
    machine: Machine, typist: Typist, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It names no counter, and a passphrase would open it for good."""
    system, slot = System(str(tmp_path)), passphrase_slot()
    monkeypatch.setattr(sealing, "PATH", system.path("/var/lib/torpor/sealing"))
    put(system, {"it": slot}, ExitStack(), machine.tpm)
    before = sealed(system)
    assert before
    seed = read_seed(before.trust, system.path(SENDER))
    seal(machine.disk, Made(sender=Sender(seed, before.keys, machine.tpm)))
    put(system, {"it": slot, "tpm2": new_tpm_slot(machine.tpm)}, ExitStack(), machine.tpm)
    refused(machine.boot, machine.disk, ForeignError)
    assert not typist.asked
    after = sealed(system)
    put(system, {"it": slot, "more": new_tpm_slot(machine.tpm)}, ExitStack(), machine.tpm)
    again = sealed(system)
    assert after
    assert again
    assert again.trust == after.trust, "only the first one"
