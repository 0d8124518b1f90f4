"""What a boot says of a TPM that does not open an image, before the next key does."""

import time
from collections.abc import Callable

import pytest

from errors import LockedError
from linux import kmsg
from seal import opening
from seal.slots import Slot, new_tpm_pin_slot, new_tpm_slot
from seal.tpm import Tpm
from tests.unit.sealing import PASSPHRASE, Typist, passphrase_slot
from tests.unit.test_sealed_boots import refused
from tests.unit.test_sealed_by_tpm import PIN, Machine, machine

__all__ = ["machine"]

UNCOUNTED = "the TPM does not say whether the image is the newest: "
MEASURED = "what this boot measured is not what the image was sealed to"
PROMPT = "Passphrase of the hibernated session"
Patch = pytest.MonkeyPatch
Trouble = Callable[[Machine, Patch], None]


def absent(_machine: Machine, patch: Patch) -> None:
    patch.setattr(opening, "Tpm", Tpm)


def cleared(machine: Machine, _patch: Patch) -> None:
    machine.soft.tool("clear", "-c", "p")


def another_boot(machine: Machine, _patch: Patch) -> None:
    machine.soft.measure(9)


def slow(machine: Machine, patch: Patch) -> None:
    machine.soft.freeze()
    patch.setattr(opening, "Tpm", lambda: Tpm(machine.soft.tcti, 0.5))


def counter_gone(machine: Machine, _patch: Patch) -> None:
    machine.tpm.remove_counter(machine.counter)


def locked_out(machine: Machine, _patch: Patch) -> None:
    sealed = machine.tpm.seal_with_pin(b"something", PIN, bytes(32))
    for _ in range(3):
        with pytest.raises(LockedError, match="the PIN is wrong"):
            machine.tpm.unseal_with_pin(sealed, b"1235", bytes(32))


def lines(machine: Machine) -> list[str]:
    """Return what a boot with `quiet` shows on the console."""
    return [line for level, line in machine.boot.said if level <= kmsg.ERR]


def check(machine: Machine, trouble: Trouble, reason: str, *taken: Slot) -> None:
    """Check that the boot says so in one line, and goes on to the passphrase."""
    machine.hibernate(*taken, passphrase_slot())
    with pytest.MonkeyPatch.context() as patch:
        trouble(machine, patch)
        machine.resume()
    (line,) = lines(machine)
    assert line.startswith(f"the image is not open yet: {reason}")
    assert line.endswith("; trying the next key")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (absent, f"{UNCOUNTED}there is no TPM; "),
        (cleared, f"{UNCOUNTED}the TPM has no counter 0x"),
        (counter_gone, f"{UNCOUNTED}the TPM has no counter 0x"),
        (slow, f"{UNCOUNTED}the TPM has not answered within 0.5 s; "),
        (another_boot, f"{MEASURED}; "),
    ],
)
def test_one_line_and_the_passphrase(
    machine: Machine, typist: Typist, trouble: Trouble, reason: str
) -> None:
    typist.typed.append(PASSPHRASE)
    begun = time.monotonic()
    check(machine, trouble, reason, new_tpm_slot(machine.tpm))
    assert typist.asked == [PROMPT]
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (absent, "there is no TPM; "),
        (cleared, "the TPM was cleared, or is another one; "),
        (slow, "the TPM has not answered within 0.5 s; "),
    ],
)
def test_without_a_counter(machine: Machine, typist: Typist, trouble: Trouble, reason: str) -> None:
    typist.typed.append(PASSPHRASE)
    machine.counter = 0
    check(machine, trouble, reason, new_tpm_slot(machine.tpm))


def test_a_tpm_that_takes_no_pin_now(machine: Machine, typist: Typist) -> None:
    typist.typed += [PIN, PASSPHRASE]
    slot = new_tpm_pin_slot(machine.tpm, PIN)
    check(machine, locked_out, "the TPM is locked after too many wrong PINs", slot)
    assert typist.asked == ["PIN of the hibernated session", PROMPT]


def test_no_pin_is_asked_for_where_the_counter_is_gone(machine: Machine, typist: Typist) -> None:
    """It could open a copy, so the answer would be of no use."""
    typist.typed.append(PASSPHRASE)
    slot = new_tpm_pin_slot(machine.tpm, PIN)
    check(machine, counter_gone, f"{UNCOUNTED}the TPM has no counter", slot)
    assert typist.asked == [PROMPT]


def test_the_counter_does_not_answer_and_no_slot_is_of_the_tpm(
    machine: Machine, typist: Typist
) -> None:
    """As where the slot was not ready when the machine hibernated."""
    typist.typed.append(PASSPHRASE)
    check(machine, absent, f"{UNCOUNTED}there is no TPM; ")


def test_one_line_where_nothing_opens_it(machine: Machine, typist: Typist) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm))
    machine.soft.tool("clear", "-c", "p")
    said = refused(machine.boot, machine.disk, LockedError, f"{UNCOUNTED}the TPM has no counter")
    assert "\n" not in said
    assert lines(machine) == []


def test_no_line_where_the_first_key_opens_it(machine: Machine, typist: Typist) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm), passphrase_slot())
    copy = machine.disk.read_bytes()
    machine.resume()
    machine.refuses_copy(copy)
    assert lines(machine) == []
    assert typist.asked == []
