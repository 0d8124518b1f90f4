"""Sealed images that a TPM opens, and copies of the disk that its counter tells."""

from pathlib import Path

import pytest

from errors import LockedError, RestoreRefusedError, SpentError
from seal import opening, slots, tpm
from seal.sender import Sender
from seal.slots import Keys, Slot, new_tpm_pin_slot, new_tpm_slot
from seal.tpm import Tpm
from tests.unit.booting import Boot
from tests.unit.conftest import STREAM, Torpor
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.unit.marked import Made, mark_of
from tests.unit.sealing import PASSPHRASE, SEED, Typist, passphrase_slot, trusted
from tests.unit.soft_tpm import SoftTpm
from tests.unit.test_sealed_boots import refused, seal

PIN = b"2468"
PIN_OF = "PIN of the hibernated session"


class Machine:
    """Hibernates, loses power, and boots; its TPM counts unless told otherwise."""

    def __init__(self, disk: Path, boot: Boot, device: FakeSnapshot, soft: SoftTpm) -> None:
        self.disk, self.boot, self.device, self.soft = disk, boot, device, soft
        self.tpm = Tpm(soft.tcti)
        self.counter = self.tpm.new_counter()
        trusted()

    def hibernate(self, *taken: Slot) -> None:
        keys = Keys({slots.kind_of(slot): slot for slot in taken}, self.counter)
        sender = Sender(SEED, keys, self.tpm)
        assert not sender.troubles
        seal(self.disk, Made(sender=sender))
        self.soft.reboot()

    def resume(self) -> None:
        self.device.loaded.clear()
        self.device.complete = False
        with pytest.raises(Restored):
            self.boot.resume(f"resume={self.disk}")
        assert self.device.loaded == STREAM

    def refuses_copy(self, copy: bytes) -> None:
        """See that a boot restores nothing of what was put back on the disk."""
        self.soft.reboot()
        self.disk.write_bytes(copy)
        refused(self.boot, self.disk, SpentError, "by the counter of the TPM it is a copy")


@pytest.fixture
def machine(
    hibernated: Path,
    boot: Boot,
    device: FakeSnapshot,
    soft: SoftTpm,
    monkeypatch: pytest.MonkeyPatch,
) -> Machine:
    monkeypatch.setattr(opening, "Tpm", lambda: Tpm(soft.tcti))
    return Machine(hibernated, boot, device, soft)


def test_the_tpm_opens_it_without_a_question(machine: Machine, typist: Typist) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm), passphrase_slot())
    machine.resume()
    assert not typist.asked


def test_another_boot_asks_for_the_passphrase(machine: Machine, typist: Typist) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm), passphrase_slot())
    machine.soft.measure(9)
    said = refused(machine.boot, machine.disk, LockedError, "cannot be opened: ")
    assert said.count("\n") == 0
    assert f"the image on {machine.disk} is kept" in said
    typist.typed.append(PASSPHRASE)
    machine.resume()


def test_another_tpm_opens_nothing(machine: Machine, tmp_path: Path, typist: Typist) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm))
    other = SoftTpm(tmp_path / "other")
    try:
        machine.soft.socket, other.socket = other.socket, machine.soft.socket
        refused(machine.boot, machine.disk, LockedError, "it was cleared, is another one, or")
    finally:
        machine.soft.socket, other.socket = other.socket, machine.soft.socket
        other.power_off()


def test_no_tpm_any_more(machine: Machine, typist: Typist, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm), passphrase_slot())
    monkeypatch.setattr(opening, "Tpm", Tpm)
    typist.typed.append(PASSPHRASE)
    machine.resume()


def test_boot_and_pin_open_it_together(machine: Machine, typist: Typist) -> None:
    machine.hibernate(new_tpm_pin_slot(machine.tpm, PIN))
    typist.typed += [b"1234", PIN]
    machine.resume()
    assert typist.asked == [PIN_OF, f"That was wrong. {PIN_OF}"]


def test_the_pin_alone_opens_nothing(machine: Machine, typist: Typist) -> None:
    machine.hibernate(new_tpm_pin_slot(machine.tpm, PIN))
    machine.soft.measure(4)
    typist.typed.append(PIN)
    refused(machine.boot, machine.disk, LockedError)
    assert not typist.asked


def test_the_salt_of_the_pin_is_in_no_closed_image(machine: Machine) -> None:
    slot = new_tpm_pin_slot(machine.tpm, PIN)
    machine.hibernate(slot)
    disk = machine.disk.read_bytes()
    assert slot.private in disk
    assert slot.pin_salt not in disk
    assert slot.recipient not in disk
    assert new_tpm_pin_slot(machine.tpm, PIN).pin_salt != slot.pin_salt


# The disk is copied, and put back later.


def test_a_copy_of_before_the_resume(machine: Machine, typist: Typist) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm), passphrase_slot())
    copy = machine.disk.read_bytes()
    machine.resume()
    typist.typed.append(PASSPHRASE)
    machine.refuses_copy(copy)
    assert not typist.asked
    assert mark_of(machine.disk) is None, "discarded"


def test_a_copy_of_an_image_that_was_discarded(machine: Machine) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm))
    copy = machine.disk.read_bytes()
    assert machine.boot.resume(f"noresume resume={machine.disk}").discarded
    machine.refuses_copy(copy)


def test_a_copy_of_an_image_that_the_user_discarded(machine: Machine, torpor: Torpor) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm))
    copy = machine.disk.read_bytes()
    assert torpor("discard", machine.disk).code == 0
    machine.refuses_copy(copy)


def test_an_older_image_is_discarded_and_the_newest_stays(machine: Machine, torpor: Torpor) -> None:
    slot = new_tpm_slot(machine.tpm)
    machine.hibernate(slot)
    older = machine.disk.read_bytes()
    machine.hibernate(slot)
    newest = machine.disk.read_bytes()
    machine.disk.write_bytes(older)
    assert torpor("discard", machine.disk).code == 0
    machine.disk.write_bytes(newest)
    machine.resume()


def test_a_copy_of_an_older_image(machine: Machine) -> None:
    slot = new_tpm_slot(machine.tpm)
    machine.hibernate(slot)
    copy = machine.disk.read_bytes()
    machine.hibernate(slot)
    machine.refuses_copy(copy)


def test_the_counter_allows_the_second_try_and_no_copy_of_the_first(machine: Machine) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm))
    first = machine.disk.read_bytes()
    machine.device.fail["atomic_restore"] = 1
    refused(machine.boot, machine.disk, RestoreRefusedError)
    machine.device.fail.clear()
    second = machine.disk.read_bytes()
    machine.refuses_copy(first)
    machine.disk.write_bytes(second)
    machine.resume()


def test_after_a_boot_without_a_resume_the_tpm_opens_nothing(
    machine: Machine, torpor_resume: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a program of the same boot sees, whose registers are right."""
    trusted(needs_tpm=True)
    monkeypatch.setattr(tpm, "Tpm", lambda: machine.tpm)
    machine.hibernate(new_tpm_slot(machine.tpm))
    sealed = machine.tpm.seal(b"secret")
    assert torpor_resume("--cmdline", f"noresume resume={machine.disk}").code == 10
    with pytest.raises(LockedError):
        machine.tpm.unseal(sealed)
    machine.soft.reboot()
    assert machine.tpm.unseal(sealed) == b"secret"


def test_a_boot_without_a_tpm_has_nothing_to_shut(
    machine: Machine, torpor_resume: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted(needs_tpm=True)
    monkeypatch.setattr(tpm, "DEVICES", ())
    machine.hibernate(new_tpm_slot(machine.tpm))
    said = torpor_resume("--cmdline", f"noresume resume={machine.disk}")
    assert len(said.err.splitlines()) == 1, said.err
