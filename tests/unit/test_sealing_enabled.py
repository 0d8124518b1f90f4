"""Sealing is switched on and off with enable, and undone with it; and torpor key."""

import io
import json
import os
import sys
from functools import partial
from pathlib import Path

import pytest

from errors import SetupError, UnreadableError, UsageError
from linux import memory, stack
from linux.root import Root
from seal import age, slots
from seal.pending import PATH as PENDING
from seal.sender import Sender, read_seed
from seal.slots import KeyFileSlot, Keys, PassphraseSlot, TpmPinSlot, TpmSlot
from seal.tpm import PCRS, Tpm
from state import sealing as trust
from state.sealing import Trust
from store.place import Place
from tests.tools import failing
from tests.unit.conftest import Torpor
from tests.unit.enabling import Enabled, by_initramfs_tools
from tests.unit.sealing import MEMORY
from tests.unit.soft_tpm import SoftTpm
from torpor import keys, new_keys
from torpor.commands import disable, enable, key
from torpor.enable.enable import UNSEALED
from torpor.enable.keys import Sealed, change_keys, forget, sealed
from torpor.enable.system import System

NO_TPM = Tpm("device:/nonexistent/tpm")


class Sealing:
    """A machine whose sealing is switched on and off; what its user types are lines."""

    def __init__(self, machine: Enabled, monkeypatch: pytest.MonkeyPatch) -> None:
        self.machine = machine
        self.system = System(str(machine.fake.root))
        self.tpm = NO_TPM
        self._patch = monkeypatch
        self.key_file = machine.folder / "key"
        self.types("")
        by_initramfs_tools(machine, "")

    def types(self, lines: str) -> None:
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))

    def enable(self, *kinds: str) -> list[str]:
        return self.machine.enable(partial(keys.seal_for, self.system, list(kinds), self.tpm))

    @property
    def now(self) -> Sealed:
        found = sealed(self.system)
        assert found
        return found

    def sender(self) -> Sender:
        """Return what hibernate would seal by."""
        seed = read_seed(self.now.trust, self.system.path(slots.SENDER))
        return Sender(seed, self.now.keys, self.tpm)


@pytest.fixture
def sealing(machine: Enabled, monkeypatch: pytest.MonkeyPatch) -> Sealing:
    made = Sealing(machine, monkeypatch)
    monkeypatch.setattr(memory, "memory", lambda: {"MemTotal": MEMORY << 10})
    for module in (slots, new_keys):
        monkeypatch.setattr(module, "place_of", lambda _path: Place("/dev/dm-0", 7))
    monkeypatch.setattr(slots, "name_of", lambda device: device)
    monkeypatch.setattr(stack, "is_encrypted", lambda device: device == "/dev/dm-0")
    monkeypatch.setattr(enable, "Tpm", lambda: made.tpm)
    for command in (key, disable):
        monkeypatch.setattr(command, "Tpm", lambda: made.tpm)
        monkeypatch.setattr(command, "System", lambda: made.system)
        monkeypatch.setattr(command, "HOST", Root(str(machine.fake.root)))
    monkeypatch.setattr(trust, "PATH", made.system.path("/var/lib/torpor/sealing"))
    return made


@pytest.fixture
def soft(soft: SoftTpm, sealing: Sealing) -> SoftTpm:
    """The machine's TPM, in which firmware has measured all that we look at."""
    soft.measure(*PCRS)
    sealing.tpm = Tpm(soft.tcti)
    return soft


def modes(sealing: Sealing) -> list[int]:
    return [
        os.stat(sealing.system.path(path)).st_mode & 0o777 for path in (slots.SLOTS, slots.SENDER)
    ]


def test_a_passphrase(sealing: Sealing) -> None:
    sealing.types("correct horse\n")
    (remark,) = sealing.enable("passphrase")
    assert "does not hold /var/lib/torpor/sealing" in remark, "the stand-in runs no hook"
    (slot,) = sealing.now.keys.slots.values()
    assert isinstance(slot, PassphraseSlot)
    assert sealing.now == (
        Trust(sealing.now.trust.sender, asks=True),
        Keys({"passphrase": slot}),
    )
    assert sealing.sender().names == "passphrase"
    assert modes(sealing) == [0o600, 0o600]


def test_a_key_file(sealing: Sealing) -> None:
    sealing.enable(f"keyfile={sealing.key_file}")
    slot = sealing.now.keys.slots["keyfile"]
    assert isinstance(slot, KeyFileSlot)
    assert sealing.key_file.stat().st_mode & 0o777 == 0o600
    assert not sealing.now.trust.asks
    assert not sealing.sender().troubles


def test_the_tpm_with_a_pin(sealing: Sealing, soft: SoftTpm) -> None:
    sealing.types("2468\n")
    sealing.enable("tpm2", "tpm2+pin")
    kept = sealing.now.keys
    assert {name: type(slot) for name, slot in kept.slots.items()} == {
        "tpm2": TpmSlot,
        "tpm2+pin": TpmPinSlot,
    }
    assert sealing.tpm.read_counter(kept.counter)
    assert (sealing.now.trust.needs_tpm, sealing.now.trust.asks) == (True, True)
    assert not sealing.sender().troubles


def test_what_is_there_stays(sealing: Sealing) -> None:
    sealing.types("correct horse\n")
    sealing.enable("passphrase")
    before = sealing.now
    sealing.enable("passphrase", f"keyfile={sealing.key_file}")
    assert sealing.now.trust == before.trust
    assert sealing.now.keys.slots["passphrase"] == before.keys.slots["passphrase"]
    assert [*sealing.now.keys.slots] == ["passphrase", "keyfile"]
    sealing.machine.enable()
    assert len(sealing.now.keys.slots) == 2


@pytest.mark.parametrize(
    ("typed", "names"), [(b"", ["keyfile"]), (b"x", ["keyfile", "passphrase"])]
)
def test_a_recovery_passphrase_is_offered(
    typed: bytes, names: list[str], sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    asked: list[tuple[str, bool]] = []

    def answer(what: str, *, may_be_empty: bool = False) -> bytes:
        asked.append((what, may_be_empty))
        return typed

    monkeypatch.setattr(new_keys, "new_passphrase", answer)
    sealing.enable(f"keyfile={sealing.key_file}")
    assert [*sealing.now.keys.slots] == names
    assert asked == [("recovery passphrase", True)]


# What goes wrong changes nothing.


def counters(soft: SoftTpm) -> str:
    return soft.tool("getcap", "handles-nv-index")


def test_a_failed_rebuild_undoes_it(sealing: Sealing, soft: SoftTpm) -> None:
    by_initramfs_tools(sealing.machine, "made=without")
    before = sealing.machine.files()
    sealing.types("2468\n")
    with pytest.raises(SetupError, match="does not hold the resumer"):
        sealing.enable(f"keyfile={sealing.key_file}", "tpm2+pin")
    assert sealing.machine.files() == before
    assert not sealing.key_file.exists()
    assert counters(soft) == ""


def test_a_failed_change_undoes_it(sealing: Sealing, soft: SoftTpm) -> None:
    sealing.types("correct horse\n")
    sealing.enable("passphrase")
    sealing.machine.generator("update-initramfs", "exit 1")
    before = sealing.machine.files()
    for change, words in (
        (keys.add, ["tpm2", f"keyfile={sealing.key_file}"]),
        (keys.rotate, []),
    ):
        sealing.types("another\n")
        with pytest.raises(SetupError, match="cannot be rebuilt"):
            change_keys(
                sealing.system,
                partial(change, sealing.system, words, sealing.tpm),
                sealing.machine.said.append,
                list,
            )
        assert sealing.machine.files() == before
    assert not sealing.key_file.exists()
    assert counters(soft) == ""


@pytest.mark.parametrize("step", ["new_seed", "write_keys"])
def test_a_failed_write_undoes_what_came_before(
    step: str, sealing: Sealing, soft: SoftTpm, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sealing.machine.files()
    monkeypatch.setattr(f"torpor.enable.keys.{step}", failing(UnreadableError("full")))
    with pytest.raises(UnreadableError, match="full"):
        sealing.enable("tpm2", f"keyfile={sealing.key_file}")
    assert sealing.machine.files() == before
    assert counters(soft) == ""


def test_no_passphrase_undoes_it(sealing: Sealing) -> None:
    before = sealing.machine.files()
    with pytest.raises(UsageError, match="no new passphrase on the standard input"):
        sealing.enable(f"keyfile={sealing.key_file}", "passphrase")
    assert sealing.machine.files() == before
    assert not sealing.key_file.exists()


def test_a_key_file_in_the_clear(sealing: Sealing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stack, "is_encrypted", lambda _device: False)
    with pytest.raises(SetupError, match="would be on /dev/dm-0, which is not encrypted"):
        sealing.enable(f"keyfile={sealing.key_file}")
    assert not sealing.key_file.exists()


def test_a_file_that_is_there(sealing: Sealing) -> None:
    sealing.key_file.write_text("mine")
    with pytest.raises(SetupError, match="is there already"):
        sealing.enable(f"keyfile={sealing.key_file}")
    assert sealing.key_file.read_text() == "mine"


def test_no_tpm(sealing: Sealing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seal.tpm.DEVICES", ("/nonexistent/tpm",))
    sealing.tpm = Tpm()
    with pytest.raises(SetupError, match="tpm2 cannot be used: there is no TPM") as caught:
        sealing.enable("tpm2")
    assert caught.value.hint == "a passphrase or a key file needs no TPM"


def test_no_tools(sealing: Sealing, soft: SoftTpm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seal.tpm_tools.PROGRAM", "/nonexistent/tpm2")
    with pytest.raises(SetupError, match="there is no program") as caught:
        sealing.enable("tpm2+pin")
    assert caught.value.hint.startswith("install ")


def test_a_boot_that_is_not_measured(sealing: Sealing, soft: SoftTpm) -> None:
    soft.reboot()
    with pytest.raises(SetupError, match="has not measured what it booted") as caught:
        sealing.enable("tpm2")
    assert "UEFI" in caught.value.hint
    assert sealed(sealing.system) is None


# Off again.


def test_off(sealing: Sealing, soft: SoftTpm, capsys: pytest.CaptureFixture[str]) -> None:
    sealing.enable("tpm2", f"keyfile={sealing.key_file}")
    of_the_kernel = Path(sealing.system.path(UNSEALED))
    assert "\nAllowHybridSleep=no\n" in of_the_kernel.read_text()
    sealing.machine.enable(enable._sealing(sealing.system, ["off"]))
    assert not of_the_kernel.exists()
    assert sealed(sealing.system) is None
    enable._tell(sealing.system, ["off"])
    assert "not sealed any more" in capsys.readouterr().out
    assert not Path(sealing.system.path(slots.FOLDER)).exists()
    assert not sealing.key_file.exists()
    assert counters(soft) == ""


def test_off_is_undone_with_the_rest(sealing: Sealing) -> None:
    sealing.enable(f"keyfile={sealing.key_file}")
    sealing.machine.generator("update-initramfs", "exit 1")
    before = sealing.machine.files()
    with pytest.raises(SetupError, match="cannot be rebuilt"):
        sealing.machine.enable(enable._sealing(sealing.system, ["off"]))
    assert sealing.machine.files() == before
    assert not sealing.sender().troubles


def test_disable(sealing: Sealing, soft: SoftTpm, torpor: Torpor) -> None:
    before = sealing.machine.files()
    sealing.enable("tpm2", f"keyfile={sealing.key_file}")
    Path(sealing.system.path(PENDING)).touch()
    assert torpor("disable", "--no-rebuild").code == 0
    assert sealed(sealing.system) is None
    assert {*sealing.machine.files()} == {*before}
    assert not Path(sealing.system.path("/var/lib/torpor")).exists()
    assert not sealing.key_file.exists()
    assert counters(soft) == ""


def test_a_key_file_that_is_anothers_stays(sealing: Sealing) -> None:
    sealing.enable(f"keyfile={sealing.key_file}")
    sealing.key_file.write_text("mine")
    forget(sealing.system, NO_TPM)
    assert sealing.key_file.read_text() == "mine"


# torpor key


@pytest.fixture
def sealed_for_key_file(sealing: Sealing) -> Sealing:
    sealing.enable(f"keyfile={sealing.key_file}")
    return sealing


def test_keys_are_listed(sealed_for_key_file: Sealing, torpor: Torpor) -> None:
    slot = sealed_for_key_file.now.keys.slots["keyfile"]
    assert isinstance(slot, KeyFileSlot)
    public = age.recipient_text(slot.recipient)
    assert torpor("key", "list").out == f"keyfile  keyfile  {public}  {slot.path}\n"
    (told,) = json.loads(torpor("key", "list", "--json").out)
    assert told == {"name": "keyfile", "kind": "keyfile", "public": public, "path": slot.path}


@pytest.mark.parametrize("words", [["list"], ["add", "passphrase"], ["remove", "x"], ["rotate"]])
def test_no_keys_without_sealing(words: list[str], sealing: Sealing, torpor: Torpor) -> None:
    said = torpor("key", *words)
    assert said.code == SetupError.exit_code
    assert "sealing is off" in said.err
    assert "torpor enable --seal" in said.err


def test_a_key_is_added_and_the_initramfs_rebuilt_if_the_boot_has_to_ask(
    sealed_for_key_file: Sealing, torpor: Torpor
) -> None:
    for nth, name in enumerate(["passphrase", "passphrase-2", "passphrase-3"]):
        sealed_for_key_file.types("correct horse\n")
        said = torpor("key", "add", "passphrase")
        assert said.code == 0, said.err
        assert said.out.endswith(f", {name}\n")
        assert ("rebuilding the initramfs" in said.out) == (nth == 0)
    assert sealed_for_key_file.now.trust.asks
    assert len(sealed_for_key_file.sender().names.split(", ")) == 4


def test_a_key_is_removed_with_what_only_it_had(
    sealed_for_key_file: Sealing, soft: SoftTpm, torpor: Torpor
) -> None:
    assert torpor("key", "add", "tpm2").code == 0
    assert counters(soft)
    said = torpor("key", "remove", "keyfile")
    assert (said.code, "only the TPM opens an image" in said.err) == (0, True)
    assert not sealed_for_key_file.key_file.exists()
    sealed_for_key_file.types("correct horse\n")
    assert torpor("key", "add", "passphrase").code == 0
    assert torpor("key", "remove", "tpm2").code == 0
    assert counters(soft) == ""
    assert sealed_for_key_file.now.keys.counter == 0
    assert not sealed_for_key_file.now.trust.needs_tpm


def test_the_last_key_stays(sealed_for_key_file: Sealing, torpor: Torpor) -> None:
    before = sealed_for_key_file.machine.files()
    said = torpor("key", "remove", "keyfile")
    assert said.code == SetupError.exit_code
    assert "torpor enable --seal off" in said.err
    assert torpor("key", "remove", "other").code == UsageError.exit_code
    assert sealed_for_key_file.machine.files() == before
    assert not sealed_for_key_file.sender().troubles


def test_one_key_is_made_anew(sealed_for_key_file: Sealing, torpor: Torpor) -> None:
    before = sealed_for_key_file.now
    said = torpor("key", "rotate", "keyfile")
    assert (said.code, said.err) == (0, "")
    assert "rebuilding" not in said.out
    assert sealed_for_key_file.now.trust == before.trust
    assert sealed_for_key_file.now.keys != before.keys
    assert not sealed_for_key_file.sender().troubles


def test_all_keys_are_made_anew_and_the_sender(
    sealed_for_key_file: Sealing, soft: SoftTpm, torpor: Torpor
) -> None:
    sealed_for_key_file.types("2468\n1357\n")
    assert torpor("key", "add", "tpm2+pin").code == 0
    before = sealed_for_key_file.now
    os.remove(sealed_for_key_file.system.path(slots.SENDER))
    assert "torpor key rotate" in torpor("key", "add", "tpm2").err
    assert sealed_for_key_file.now == before
    said = torpor("key", "rotate")
    assert said.code == 0
    assert "rebuilding the initramfs" in said.out
    now = sealed_for_key_file.now
    assert now.trust.sender != before.trust.sender
    assert now.keys.counter == before.keys.counter
    assert all(now.keys.slots[name] != slot for name, slot in before.keys.slots.items())
    assert not sealed_for_key_file.sender().troubles
