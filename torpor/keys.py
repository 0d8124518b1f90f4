"""What `torpor enable --seal` and `torpor key` do with this machine's keys."""

from contextlib import ExitStack
from typing import NamedTuple

from errors import SetupError, UsageError
from seal.age import new_identity, recipient_text
from seal.slots import (
    KeyFileSlot,
    PassphraseSlot,
    Slot,
    TpmSlot,
    kind_of,
    read_private,
    replace_key_file,
)
from seal.tpm import Tpm
from torpor.enable.keys import Sealed, put, sealed
from torpor.enable.system import System
from torpor.new_keys import file_of, new_slot, recovery_slot

_OFF = "switch it on: torpor enable --seal KIND"


class Listed(NamedTuple):
    """A key for `torpor key list`."""

    name: str
    kind: str
    public: str | None
    """In the text of age; None where only the TPM has a key."""
    path: str | None
    """Of a key file."""


def listed(system: System) -> list[Listed]:
    """Return the keys. Raises as sealing_of."""
    return [
        Listed(
            name,
            kind_of(slot),
            None if isinstance(slot, TpmSlot) else recipient_text(slot.recipient),
            slot.path if isinstance(slot, KeyFileSlot) else None,
        )
        for name, slot in sealing_of(system).keys.slots.items()
    ]


def sealing_of(system: System) -> Sealed:
    """Return what there is. Raises SetupError where sealing is off, and as `sealed`."""
    found = sealed(system)
    if found is None:
        raise SetupError("sealing is off: this machine has no keys", _OFF)
    return found


def seal_for(system: System, kinds: list[str], tpm: Tpm, undo: ExitStack) -> bool:
    """Have a key of each of these kinds, and the recovery passphrase if somebody types one.

    Keys that are there stay. Return as `put`; raises what that does and new_slot.
    """
    before = sealed(system)
    slots = {**before.keys.slots} if before else {}
    for kind in kinds:
        if not any(_is_of(kind, slot) for slot in slots.values()):
            slots[_free_name(kind, slots)] = new_slot(kind, tpm, undo)
    if not any(isinstance(slot, PassphraseSlot) for slot in slots.values()):
        recovery = recovery_slot()
        if recovery is not None:
            slots[_free_name("passphrase", slots)] = recovery
    return put(system, slots, undo, tpm)


def add(system: System, kinds: list[str], tpm: Tpm, undo: ExitStack) -> bool:
    """Add a key of each of these kinds. Return and raise as seal_for, and as sealing_of."""
    slots = {**sealing_of(system).keys.slots}
    for kind in kinds:
        slots[_free_name(kind, slots)] = new_slot(kind, tpm, undo)
    return put(system, slots, undo, tpm)


def remove(system: System, names: list[str], tpm: Tpm, undo: ExitStack) -> bool:
    """Remove keys, but not all. Return as `put`; raises UsageError, SetupError, and as that."""
    slots = {**sealing_of(system).keys.slots}
    for name in names:
        _check_name(name, slots)
        del slots[name]
    if not slots:
        raise SetupError("nobody could open an image any more", "torpor enable --seal off")
    return put(system, slots, undo, tpm)


def rotate(system: System, names: list[str], tpm: Tpm, undo: ExitStack) -> bool:
    """Make new keys in place of these; of all, and a new sender, where none is named.

    Return and raise as seal_for, and UsageError for a name that no key has.
    """
    slots = {**sealing_of(system).keys.slots}
    for name in names:
        _check_name(name, slots)
    for name in names or [*slots]:
        slots[name] = _rotated(slots[name], tpm, undo)
    return put(system, slots, undo, tpm, new_sender=not names)


def _rotated(slot: Slot, tpm: Tpm, undo: ExitStack) -> Slot:
    if not isinstance(slot, KeyFileSlot):
        return new_slot(kind_of(slot), tpm, undo)
    before, new = read_private(slot.path), replace_key_file(slot.path, new_identity())
    undo.callback(replace_key_file, slot.path, before)
    return new


def _check_name(name: str, slots: dict[str, Slot]) -> None:
    if name not in slots:
        raise UsageError(f"there is no key '{name}'", f"there are: {', '.join(slots)}")


def _is_of(kind: str, slot: Slot) -> bool:
    if isinstance(slot, KeyFileSlot):
        return slot.path == file_of(kind)
    return kind == kind_of(slot)


def _free_name(kind: str, slots: dict[str, Slot]) -> str:
    """Return the kind's word, with a number if a key has that name."""
    word, nth = kind.partition("=")[0], 1
    name = word
    while name in slots:
        nth += 1
        name = f"{word}-{nth}"
    return name
