"""Whose images a boot restores and for whom they are sealed: changed with an undo.

The initramfs holds a copy of what says the first, so where that changes it is rebuilt.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import NamedTuple

from errors import LockedError, SetupError, TorporError
from initramfs.generators.find import generator_of
from linux.kmsg import Log
from seal.pending import PATH as PENDING
from seal.sender import new_seed, read_seed
from seal.slots import (
    SENDER,
    SLOTS,
    KeyFileSlot,
    Keys,
    PassphraseSlot,
    Slot,
    TpmPinSlot,
    by_tpm,
    read_key_file,
    read_keys,
    write_keys,
)
from seal.tpm import Tpm
from state import files
from state.sealing import PATH as TRUST
from state.sealing import UNFINISHED, Trust, read_trust
from torpor.enable.enable import Look, rebuilt
from torpor.enable.system import NOTE, System


class Sealed(NamedTuple):
    """What there is where sealing is on."""

    trust: Trust
    keys: Keys


def sealed(system: System) -> Sealed | None:
    """Return what there is, None where sealing is off.

    Raises ConfigurationError, StateError, UnreadableError.
    """
    trust = read_trust(system.path(TRUST))
    return None if trust is None else Sealed(trust, read_keys(system.path(SLOTS)))


def put(
    system: System, slots: dict[str, Slot], undo: ExitStack, tpm: Tpm, *, new_sender: bool = False
) -> bool:
    """Seal for these slots from now on; return whether a boot has to be told: by its initramfs.

    Makes the sender if there is none, and the TPM's counter if the TPM opens images. With a new
    counter comes a new sender: no boot restores what names another one or none. `undo` gets what
    puts back what was there. Raises SetupError, ConfigurationError, StateError,
    UnreadableError.
    """
    before = sealed(system)
    counted = before.keys.counter if before else 0
    needs_tpm = any(map(by_tpm, slots.values()))
    counter = _counter(tpm, counted, undo) if needs_tpm else 0
    if before is None or new_sender or counter not in {0, counted}:
        _keep(system.path(SENDER), undo)
        sender = new_seed(system.path(SENDER))
    else:
        sender = before.trust.sender
        read_seed(before.trust, system.path(SENDER))
    _keep(system.path(SLOTS), undo)
    write_keys(Keys(slots, counter), system.path(SLOTS))
    asks = any(isinstance(slot, PassphraseSlot | TpmPinSlot) for slot in slots.values())
    text = Trust(sender, needs_tpm=needs_tpm, asks=asks).build()
    if system.text(TRUST) != text:
        system.write(UNFINISHED, NOTE, undo)
    is_changed = system.write(TRUST, text, undo)
    return is_changed or system.exists(UNFINISHED)


def _counter(tpm: Tpm, before: int, undo: ExitStack) -> int:
    """Return the counter that is there, else a new one: the TPM may have been cleared.

    Where there was one, a TPM that is gone keeps nobody from changing other keys.
    """
    if before and _is_there(tpm, before):
        return before
    try:
        counter = tpm.new_counter()
    except LockedError as error:
        if before:
            return before
        raise SetupError(f"the TPM does not count: {error}", error.hint) from error
    undo.callback(_remove_counter, tpm, counter)
    return counter


def _is_there(tpm: Tpm, counter: int) -> bool:
    try:
        tpm.read_counter(counter)
    except LockedError:
        return False
    return True


def _remove_counter(tpm: Tpm, counter: int) -> None:
    with suppress(LockedError):  # the TPM was cleared, and what is left of it does no harm
        tpm.remove_counter(counter)


def _keep(path: str, undo: ExitStack) -> None:
    """Have `undo` put back what the file has now."""
    before = files.read_bytes(path, files.MAX_TEXT)
    if before is None:
        undo.callback(_remove, path)
    else:
        undo.callback(files.write_bytes, path, before)


def _remove(path: str) -> None:
    """Remove the file, and the folder if that is left empty."""
    files.remove(path)
    with suppress(OSError):
        os.rmdir(os.path.dirname(path))


def change_keys(
    system: System, change: Callable[[ExitStack], bool], say: Log, look: Look
) -> Iterable[str]:
    """Make a change, which says whether the initramfs has to be rebuilt; that as `enable` does.

    Return what `look` has to say. Raises SetupError or UnreadableError after undoing all of it.
    """
    remarks: list[str] = []
    with ExitStack() as undo:
        again = undo.enter_context(ExitStack())
        if change(undo):
            remarks = rebuilt(system, generator_of(system), say, look, again)
        undo.pop_all()
    return remarks


def clear(before: Keys, after: Keys, tpm: Tpm) -> None:
    """Remove what only slots had that are there no more: the counter, and key files."""
    if before.counter and before.counter != after.counter:
        _remove_counter(tpm, before.counter)
    kept = {slot.path for slot in after.slots.values() if isinstance(slot, KeyFileSlot)}
    for slot in before.slots.values():
        if isinstance(slot, KeyFileSlot) and slot.path not in kept:
            with suppress(TorporError):  # what is another's by now stays
                read_key_file(slot)
                files.remove(slot.path)


def forget(system: System, tpm: Tpm) -> None:
    """Remove the sender and all keys; nothing of an image is restored that they sealed.

    Raises UnreadableError.
    """
    with suppress(TorporError):  # damaged: its counter is not known
        clear(read_keys(system.path(SLOTS)), Keys({}), tpm)
    for path in (SLOTS, SENDER, PENDING):
        _remove(system.path(path))
