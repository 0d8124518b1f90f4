"""The power is cut while keys change: what is hibernated then is resumed, and the next try ends."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from errors import SetupError, TorporError
from format import sodium
from seal import slots
from seal.sender import Sender, read_seed
from seal.slots import KeyFileSlot
from state import sealing as trust
from state.sealing import read_trust
from tests.unit.enabling import by_initramfs_tools
from tests.unit.test_sealing_enabled import NO_TPM, Sealing, sealing
from torpor import hibernation, keys
from torpor.commands import enable
from torpor.enable import enable as steps
from torpor.enable.keys import change_keys, forget
from torpor.enable.system import System

__all__ = ["sealing"]

BOOT = 'rm -f "$ROOT/booted"; cp "$ROOT/var/lib/torpor/sealing" "$ROOT/booted" 2>/dev/null || :'
"""What the stand-in for an initramfs has of the root."""


class PowerCut(BaseException):
    """Nothing is written any more."""


class Power:
    """Fails before the nth change of a file's name, and for good."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left = -1
        for name in ("replace", "unlink", "fsync", "rmdir"):
            patch.setattr(os, name, partial(self._do, getattr(os, name)))
        run = System.run
        patch.setattr(System, "run", lambda system, words: self._do(run, system, words))

    def _do(self, call: Callable[..., object], *words: object, **named: object) -> object:
        if self.left == 0:
            raise PowerCut
        self.left -= 1
        return call(*words, **named)


@pytest.fixture
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Sealing:
    """One that seals for a key file, and whose initramfs knows that."""
    made: Sealing = request.getfixturevalue("sealing")
    by_initramfs_tools(made.machine, BOOT)
    for name in ("SLOTS", "SENDER"):
        monkeypatch.setattr(slots, name, made.system.path(getattr(slots, name)))
    monkeypatch.setattr(trust, "UNFINISHED", made.system.path(trust.UNFINISHED))
    monkeypatch.setattr(Sender, "here", classmethod(here))
    return made


def here(cls: type[Sender]) -> Sender | None:
    """As the original, without a TPM."""
    whom = read_trust()
    return cls(read_seed(whom), slots.read_keys(), NO_TPM) if whom else None


def resumes(machine: Sealing) -> bool:
    """Hibernate; return whether the initramfs restores that. Raises what a hibernation refuses."""
    sender = hibernation._sender()
    booted = read_trust(machine.system.path("/booted"))
    if sender is None or booted is None:
        return sender is None and booted is None
    assert not sender.troubles
    (slot,) = [one for one in sender._ready.values() if isinstance(one, KeyFileSlot)]
    private = slots.read_private(str(machine.key_file))
    return signer(sender) == booted.sender and slot.recipient == sodium.public_of(private)


def resumes_or_refuses(machine: Sealing, may_refuse: bool) -> bool:
    try:
        return resumes(machine)
    except TorporError:
        return may_refuse


def signer(sender: Sender) -> bytes:
    return sodium.signer_of(sender._seed)


def by_key(machine: Sealing, change: Callable[..., bool], *words: str) -> None:
    system = machine.system
    made = partial(change, system, list(words), NO_TPM)
    change_keys(system, made, machine.machine.said.append, list)


def add(machine: Sealing) -> None:
    machine.types("correct horse\n")
    by_key(machine, keys.add, "passphrase")


def remove(machine: Sealing) -> None:
    machine.types("")
    by_key(machine, keys.remove, *[one for one in machine.now.keys.slots if one != "keyfile"][:1])


def rotate_one(machine: Sealing) -> None:
    by_key(machine, keys.rotate, "keyfile")


def rotate_all(machine: Sealing) -> None:
    machine.types("battery staple\n")
    by_key(machine, keys.rotate)


def seal(machine: Sealing) -> None:
    try:
        machine.enable(f"keyfile={machine.key_file}")
    except SetupError as error:
        assert error.hint.endswith(f"rm {machine.key_file}")  # noqa: PT017 - and so it is done
        machine.key_file.unlink()
        machine.enable(f"keyfile={machine.key_file}")


def switch_off(machine: Sealing) -> None:
    machine.machine.enable(enable._sealing(machine.system, ["off"]))
    enable._tell(machine.system, ["off"])


def disable(machine: Sealing) -> None:
    if machine.system.exists(trust.PATH.removeprefix(str(machine.machine.fake.root))):
        forget(machine.system, NO_TPM)
    steps.disable(machine.system, machine.machine.said.append, list)


SEALED: tuple[Callable[[Sealing], None], ...] = (seal,)


@pytest.mark.parametrize(
    ("before", "change"),
    [
        ((), seal),
        (SEALED, add),
        ((seal, add), remove),
        (SEALED, rotate_one),
        ((seal, add), rotate_all),
        (SEALED, switch_off),
        (SEALED, disable),
    ],
    ids=lambda what: what.__name__ if callable(what) else "",
)
def test_a_cut_at_each_step(
    before: tuple[Callable[[Sealing], None], ...],
    change: Callable[[Sealing], None],
    machine: Sealing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for step in before:
        step(machine)
    folder = machine.machine.folder
    shutil.copytree(folder, Path(f"{folder}.kept"), symlinks=True)
    power = Power(monkeypatch)
    for nth in count():
        power.left = nth
        try:
            change(machine)
        except PowerCut:
            power.left = -1
        else:
            break
        assert resumes_or_refuses(machine, change is not rotate_one), f"lost after {nth} steps"
        change(machine)
        assert resumes(machine), f"after {nth} steps and another try"
        shutil.rmtree(folder)
        shutil.copytree(Path(f"{folder}.kept"), folder, symlinks=True)
    assert nth > 4
    assert resumes(machine)
