"""What else somebody tries who has the disk, a device of his own, or a stick to boot from."""

import signal
import time
from pathlib import Path
from uuid import UUID

import pytest

import resume.__main__ as program
from errors import ForeignError, LockedError, SpentError, UnreadableError
from format.mark import MarkState
from format.sealing import ImageKey
from linux import PAGE_SIZE
from seal import opening, slots, tpm
from seal import sender as sender_module
from seal.sender import Sender
from seal.slots import Keys, new_tpm_slot, write_keys
from seal.tpm import Tpm
from store.header import StoreHeader, read_header
from tests.sources import opened
from tests.tools import failing
from tests.unit.booting import KERNEL_IMAGE, Boot
from tests.unit.conftest import Handed, Torpor
from tests.unit.fake_snapshot import Restored
from tests.unit.marked import Made, mark_of, set_mark
from tests.unit.sealing import PASSPHRASE, SEED, Typist, passphrase_slot, sender, trusted
from tests.unit.test_sealed_boots import put_page, refused, seal
from tests.unit.test_sealed_by_tpm import Machine, machine

__all__ = ["machine"]


def test_an_image_of_the_kernels_own_is_not_handed_over(boot: Boot, handed: Handed) -> None:
    """It has no seal: whoever writes to the disk could have made it."""
    path = boot.device(first=KERNEL_IMAGE)
    trusted()
    before = Path(path).read_bytes()
    refused(boot, Path(path), ForeignError, "the kernel's own, which is not sealed")
    assert handed == []
    assert Path(path).read_bytes() == before


def test_the_counter_is_removed_and_a_copy_put_back(machine: Machine, typist: Typist) -> None:
    """By another system, since the owner hierarchy of most TPMs has no password."""
    machine.hibernate(new_tpm_slot(machine.tpm))
    copy = machine.disk.read_bytes()
    machine.resume()
    machine.tpm.remove_counter(machine.counter)
    machine.soft.reboot()
    machine.disk.write_bytes(copy)
    said = refused(machine.boot, machine.disk, LockedError, "whether the image is the newest")
    assert "is kept" in said


def test_the_counter_is_gone_and_a_passphrase_still_opens(machine: Machine, typist: Typist) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm), passphrase_slot())
    machine.tpm.remove_counter(machine.counter)
    typist.typed.append(PASSPHRASE)
    machine.resume()
    assert typist.asked == ["Passphrase of the hibernated session"]


def test_a_copy_whose_mark_claims_an_attempt_more(machine: Machine) -> None:
    """The count would fit then, but the mark is sealed."""
    machine.hibernate(new_tpm_slot(machine.tpm))
    copy = machine.disk.read_bytes()
    machine.resume()
    machine.soft.reboot()
    machine.disk.write_bytes(copy)
    mark = mark_of(machine.disk)
    assert mark
    set_mark(machine.disk, mark._replace(attempts=1))
    outcome = machine.boot.resume(f"resume={machine.disk}")
    assert "the mark is not what was sealed" in outcome.message


def test_a_key_that_is_forgotten_authenticates_nothing() -> None:
    """Of zeros anybody could make tags: a device that changes would be believed."""
    key = ImageKey(bytes(range(32)), UUID(int=1))
    room = memoryview(bytearray(PAGE_SIZE))
    key.encrypt(0, b"", room)
    key.forget()
    for use in (lambda: key.tag(b""), lambda: key.is_tagged(b"", bytes(16))):
        with pytest.raises(LockedError, match="is forgotten"):
            use()
    with pytest.raises(LockedError, match="is forgotten"):
        key.decrypt(0, b"", room)


def test_a_forged_mark_has_nothing_overwritten(hibernated: Path, boot: Boot) -> None:
    """Neither by a boot nor by who discards it."""
    seal(hibernated)
    mark = mark_of(hibernated)
    assert mark
    victim = next(page for page in range(6, 1500, 2) if page != mark.map_page)
    put_page(hibernated, victim, b"somebody's".ljust(PAGE_SIZE, b"\1"))
    set_mark(hibernated, mark._replace(header_page=victim))
    before = hibernated.read_bytes()
    trusted()
    refused(boot, hibernated, ForeignError)
    assert hibernated.read_bytes() == before
    with opened(hibernated) as fd:
        read_header(fd, str(hibernated)).discard()
    assert hibernated.read_bytes()[PAGE_SIZE:] == before[PAGE_SIZE:]


def test_a_superblock_that_cannot_be_read_keeps_no_image(
    hibernated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(hibernated)
    monkeypatch.setattr(StoreHeader, "superblock", failing(UnreadableError("a bad sector")))
    with opened(hibernated) as fd, pytest.raises(UnreadableError):
        read_header(fd, str(hibernated)).discard()
    assert mark_of(hibernated) is None


def test_a_spent_mark_asks_nobody(hibernated: Path, boot: Boot, typist: Typist) -> None:
    seal(hibernated)
    trusted()
    mark = mark_of(hibernated)
    assert mark
    set_mark(hibernated, mark._replace(state=MarkState.CLAIMED))
    refused(boot, hibernated, SpentError)
    assert not typist.asked
    assert mark_of(hibernated) is None


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("nth", [0, 1])
def test_each_of_two_passphrases_opens_it_at_the_first_question(
    nth: int, hibernated: Path, boot: Boot, typist: Typist
) -> None:
    both = (PASSPHRASE, b"the recovery passphrase")
    seal(hibernated, Made(sender=sender(*map(passphrase_slot, both))))
    trusted()
    typist.typed.append(both[nth])
    with pytest.raises(Restored):
        boot.resume(f"resume={hibernated}")
    assert typist.asked == ["Passphrase of the hibernated session"]


def test_a_tpm_that_hangs_is_waited_for_once(
    machine: Machine, typist: Typist, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.hibernate(new_tpm_slot(machine.tpm), passphrase_slot())
    monkeypatch.setattr(opening, "Tpm", lambda: Tpm(machine.soft.tcti, 2))
    machine.soft.freeze()
    typist.typed.append(PASSPHRASE)
    begun = time.monotonic()
    machine.resume()
    assert time.monotonic() - begun < 4
    machine.soft.go_on()


@pytest.mark.parametrize("how", ["removed", "ordinary", "closed"])
def test_the_counter_is_taken_away_before_the_machine_hibernates(
    how: str, machine: Machine, monkeypatch: pytest.MonkeyPatch, typist: Typist
) -> None:
    """By another system: no image may be made that its copy restores."""
    machine.tpm.remove_counter(machine.counter)
    if how != "removed":
        attributes = {"ordinary": "ownerread|ownerwrite", "closed": "nt=counter|authread|authwrite"}
        words = ("-Q", "-C", "o", "-s", "8", "-a", attributes[how])
        machine.soft.tool("nvdefine", *words, hex(machine.counter))
    key_file, seed = machine.disk.with_name("slots.json"), machine.disk.with_name("sender.key")
    seed.write_bytes(SEED)
    write_keys(Keys({"tpm2": new_tpm_slot(machine.tpm)}, machine.counter), str(key_file))
    monkeypatch.setattr(slots, "SLOTS", str(key_file))
    monkeypatch.setattr(slots, "SENDER", str(seed))
    monkeypatch.setattr(sender_module, "Tpm", lambda: machine.tpm)
    counters = machine.soft.tool("nvreadpublic")
    with monkeypatch.context() as full:
        full.setattr(sender_module, "write_keys", failing(UnreadableError("no room")))
        with pytest.raises(UnreadableError):
            Sender.here()
    assert machine.soft.tool("nvreadpublic") == counters, "none that nobody knows of is left"
    made = Sender.here()
    assert made
    assert made.troubles[0].startswith("the TPM's counter was gone")
    seal(machine.disk, Made(sender=made))
    machine.soft.reboot()
    copy = machine.disk.read_bytes()
    machine.resume()
    machine.disk.write_bytes(copy)
    refused(machine.boot, machine.disk, SpentError, "by the counter of the TPM")
    again = Sender.here()
    assert again
    assert not again.troubles


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_resumer_that_is_ended_shuts_the_tpm(
    number: int, machine: Machine, torpor_resume: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has a disk that never answers would come to a shell with the TPM open."""
    trusted(needs_tpm=True)
    if signal.getsignal(number) is signal.SIG_IGN:  # by who has started this, as nohup does
        signal.signal(number, signal.SIG_DFL)
    monkeypatch.setattr(tpm, "Tpm", lambda: machine.tpm)
    monkeypatch.setattr(program, "resume", lambda *_: signal.raise_signal(number))
    sealed = machine.tpm.seal(b"secret")
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        torpor_resume("--cmdline", "quiet")
    with pytest.raises(LockedError):
        machine.tpm.unseal(sealed)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
