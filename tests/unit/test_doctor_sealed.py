"""What doctor says of the keys of a machine that seals, and of its TPM; its remedies mend it."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from format import sodium
from linux import memory, stack
from seal import sender, slots
from seal.slots import Keys, Slot, new_key_file, new_tpm_pin_slot, new_tpm_slot, write_keys
from seal.tpm import PCRS, Tpm
from state import sealing as trust
from state.record import HIBERNATION_PATH, HibernationRecord, Outcome
from state.sealing import Trust
from store.place import Place
from tests.unit.fake_machine import GIB, IMAGE, FakeMachine
from tests.unit.sealing import SEED, passphrase_slot
from tests.unit.soft_tpm import SoftTpm
from torpor import hibernation, keys, new_keys
from torpor.commands import enable
from torpor.doctor import check_sealing
from torpor.doctor.examine import made
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, Level
from torpor.enable.system import System

SEALING, FOLDER = "/var/lib/torpor/sealing", "/var/lib/torpor/seal"
GRUB_CFG = "/boot/grub/grub.cfg"
NO_TPM = Tpm("device:/nonexistent/tpm")


@pytest.fixture
def soft(soft: SoftTpm) -> SoftTpm:
    """A TPM in which firmware has measured all that we look at."""
    soft.measure(*PCRS)
    return soft


class Sealing:
    """A machine that seals, its root encrypted."""

    def __init__(self, fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fake = fake
        self._patch = monkeypatch
        self.has_tpm(NO_TPM)
        fake.layer(5, GIB, "", "sda1", ("root_crypt", f"CRYPT-LUKS2-{0:032}-x"))
        self.root_on("254:5")
        fake.write(f"{FOLDER}/sender.key", SEED)
        fake.write("/proc/stat", "cpu 1 2\nbtime 1000\n")
        self.modified(IMAGE, 900)

    def root_on(self, number: str) -> None:
        self.fake.write("/proc/self/mountinfo", f"21 1 {number} / / rw - ext4 /dev/root rw\n")

    def has_tpm(self, tpm: Tpm) -> None:
        self.tpm = tpm
        self._patch.setattr(Facts, "tpm", tpm)

    def modified(self, path: str, when: int) -> None:
        self.fake.write(path, self.fake.text(path))
        os.utime(self.fake.root / path[1:], (when, when))

    def has(self, **those: Slot) -> None:
        """Have it seal for these, as enable would."""
        needs_tpm = any(map(slots.by_tpm, those.values()))
        trusted = Trust(sodium.signer_of(SEED), needs_tpm=needs_tpm)
        self.fake.write(SEALING, trusted.build())
        counter = self.tpm.new_counter() if needs_tpm else 0
        write_keys(Keys(those, counter), str(self.fake.root / FOLDER[1:] / "slots.json"))

    def changes(
        self, change: Callable[[System, list[str], Tpm, ExitStack], object], *words: str
    ) -> None:
        """Do what torpor key does."""
        change(System(str(self.fake.root)), list(words), self.tpm, ExitStack())

    def said(self) -> list[Finding]:
        facts = Facts(self.fake.machine())
        return [*made(check_sealing.keys, facts), *made(check_sealing.tpm, facts)]

    def bad(self) -> list[Finding]:
        return [found for found in self.said() if found.level != Level.OK]

    def wrong(self) -> Finding:
        """Return what is wrong, which is one thing."""
        (finding,) = self.bad()
        return finding


@pytest.fixture
def sealing(fake: FakeMachine, monkeypatch: pytest.MonkeyPatch) -> Sealing:
    fake.initramfs = {}
    fake.write(IMAGE, "")
    return Sealing(fake, monkeypatch)


@pytest.fixture
def by_tpm(sealing: Sealing, soft: SoftTpm) -> Sealing:
    """A machine whose images a TPM opens, and a passphrase."""
    sealing.has_tpm(Tpm(soft.tcti))
    sealing.has(tpm2=new_tpm_slot(sealing.tpm), passphrase=passphrase_slot())
    return sealing


def test_a_sound_machine(by_tpm: Sealing) -> None:
    assert [(found.level, found.message) for found in by_tpm.said()] == [
        (Level.OK, "images are sealed for tpm2, passphrase"),
        (Level.OK, "the TPM counts the images"),
    ]


def test_nothing_is_said_where_sealing_is_off(sealing: Sealing) -> None:
    assert sealing.said() == []


@pytest.mark.parametrize("seed", [bytes(32), SEED[1:], None])
def test_the_sender_is_not_the_trusted_one(seed: bytes | None, sealing: Sealing) -> None:
    sealing.has(passphrase=passphrase_slot())
    if seed is None:
        sealing.fake.remove(f"{FOLDER}/sender.key")
    else:
        sealing.fake.write(f"{FOLDER}/sender.key", seed)
    wrong = sealing.wrong()
    assert wrong.level == Level.PROBLEM
    assert f"{FOLDER}/sender.key" in wrong.message
    assert wrong.remedy.endswith("torpor key rotate")


def test_the_keys_are_not_readable(sealing: Sealing) -> None:
    sealing.has(passphrase=passphrase_slot())
    sealing.fake.write(f"{FOLDER}/slots.json", "{")
    wrong = sealing.wrong()
    assert wrong.level == Level.PROBLEM
    assert "torpor enable --seal off" in wrong.remedy


def test_there_is_no_key(sealing: Sealing) -> None:
    sealing.has()
    assert sealing.wrong().level == Level.PROBLEM
    assert sealing.wrong().remedy == "torpor key add passphrase"


def test_the_root_is_not_encrypted(sealing: Sealing) -> None:
    sealing.has(passphrase=passphrase_slot())
    sealing.root_on("8:1")
    wrong = sealing.wrong()
    assert wrong.level == Level.WARNING
    assert "who has the disk can sign an image" in wrong.message


def test_the_root_is_on_no_device(sealing: Sealing) -> None:
    sealing.has(passphrase=passphrase_slot())
    sealing.fake.write("/proc/self/mountinfo", "21 1 0:30 / / rw - zfs tank/root rw\n")
    assert sealing.bad() == []


def test_only_the_tpm(by_tpm: Sealing) -> None:
    by_tpm.changes(keys.remove, "passphrase")
    wrong = by_tpm.wrong()
    assert wrong.level == Level.WARNING
    assert wrong.message.startswith("only the TPM opens an image: if the firmware is updated")
    assert wrong.remedy == "add a passphrase: torpor key add passphrase"
    told = enable._tell(System(str(by_tpm.fake.root)), ["tpm2"])
    assert [doubt.message for doubt in told] == [wrong.message], "enable says it, too"


def test_a_key_file_is_gone(
    sealing: Sealing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (slots, new_keys):
        monkeypatch.setattr(module, "place_of", lambda _path: Place("/dev/dm-0", 7))
    monkeypatch.setattr(slots, "name_of", lambda device: device)
    monkeypatch.setattr(stack, "is_encrypted", lambda *_: True)
    path = tmp_path / "key"
    sealing.has(keyfile=new_key_file(str(path)))
    assert sealing.bad() == []
    path.unlink()
    wrong = sealing.wrong()
    assert wrong.level == Level.PROBLEM
    assert wrong.message.startswith("images are not sealed for keyfile: cannot read")
    assert wrong.remedy == f"torpor key add keyfile={path}; torpor key remove keyfile"
    sealing.changes(keys.add, f"keyfile={path}")
    sealing.changes(keys.remove, "keyfile")
    assert sealing.bad() == []


# The TPM


def test_the_tpm_was_cleared(by_tpm: Sealing, soft: SoftTpm) -> None:
    soft.tool("clear", "-c", "l")
    wrong = by_tpm.wrong()
    assert wrong.level == Level.WARNING
    assert "a copy of the disk" in wrong.message
    assert "the TPM has no counter" in wrong.message
    assert wrong.remedy == "if the TPM was cleared: torpor key rotate tpm2"
    by_tpm.changes(keys.rotate, "tpm2")
    assert by_tpm.bad() == []


def test_the_tpm_of_a_pin_was_cleared(by_tpm: Sealing, soft: SoftTpm) -> None:
    by_tpm.has(pin=new_tpm_pin_slot(by_tpm.tpm, b"2468"))
    soft.tool("clear", "-c", "l")
    found = by_tpm.bad()[0]
    assert found[:3] == (
        Level.PROBLEM,
        "images are not sealed for pin: the TPM was cleared, or is another one",
        "make it anew: torpor key rotate pin",
    )


def test_there_is_no_tpm_any_more(by_tpm: Sealing) -> None:
    by_tpm.has_tpm(NO_TPM)
    wrong = by_tpm.wrong()
    assert wrong.level == Level.WARNING, "the passphrase opens an image"
    assert wrong.message.startswith("images are not sealed for tpm2: ")
    assert wrong.remedy.endswith("torpor key add passphrase; torpor key remove tpm2")
    by_tpm.changes(keys.remove, "tpm2")
    assert by_tpm.bad() == []


def test_there_is_no_tpm_and_no_other_key(by_tpm: Sealing, monkeypatch: pytest.MonkeyPatch) -> None:
    by_tpm.changes(keys.remove, "passphrase")
    by_tpm.has_tpm(NO_TPM)
    assert [found.level for found in by_tpm.bad()] == [Level.PROBLEM, Level.WARNING]
    monkeypatch.setattr(new_keys, "new_passphrase", lambda _what: b"correct horse")
    monkeypatch.setattr(memory, "memory", lambda: {"MemTotal": 1 << 27})
    by_tpm.changes(keys.add, "passphrase")
    by_tpm.changes(keys.remove, "tpm2")
    assert by_tpm.bad() == []


def test_something_else_extends_our_register(by_tpm: Sealing, soft: SoftTpm) -> None:
    soft.measure(13)
    assert "measured into PCR 13" in by_tpm.wrong().message


def test_nothing_is_measured(by_tpm: Sealing, soft: SoftTpm) -> None:
    soft.reboot()
    messages = [found.message.partition(" (")[0] for found in by_tpm.bad()]
    assert messages == [
        "this boot has not measured its boot loader",
        "this boot has not measured its initramfs",
    ]


@pytest.mark.parametrize("path", [IMAGE, GRUB_CFG])
def test_what_is_measured_is_newer_than_the_boot(path: str, by_tpm: Sealing) -> None:
    by_tpm.modified(path, 1001)
    wrong = by_tpm.wrong()
    assert wrong.level == Level.WARNING
    assert wrong.message.startswith(f"{path} is newer than this boot")
    resumed = HibernationRecord(Outcome.RESUMED, 850, 1002, "", "/dev/sda2", "", 0, "")
    resumed.save(str(by_tpm.fake.root) + HIBERNATION_PATH)
    assert by_tpm.bad() == []


def test_hibernate_warns_of_that(
    by_tpm: Sealing, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = by_tpm.fake.machine()
    monkeypatch.setattr(hibernation, "HOST", root)
    monkeypatch.setattr(trust, "PATH", root.path(SEALING))
    monkeypatch.setattr(slots, "SENDER", root.path(slots.SENDER))
    monkeypatch.setattr(slots, "SLOTS", root.path(slots.SLOTS))
    monkeypatch.setattr(sender, "Tpm", lambda: by_tpm.tpm)
    assert hibernation._sender()
    assert capsys.readouterr().err == ""
    by_tpm.modified(IMAGE, 1001)
    assert hibernation._sender()
    assert f"{IMAGE} is newer than this boot" in capsys.readouterr().err


def test_what_is_not_measured_may_be_newer(by_tpm: Sealing, soft: SoftTpm) -> None:
    soft.reboot()
    by_tpm.modified(IMAGE, 1001)
    by_tpm.modified(GRUB_CFG, 1001)
    assert not any("newer" in found.message for found in by_tpm.bad())
