"""Makes the keys that `torpor enable --seal` and `torpor key` are asked for, each by its kind."""

import argparse
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from errors import Attempt, LockedError, SetupError, command
from linux import memory, stack
from state import files
from store.place import place_of
from store.secrecy import encrypted
from torpor.output import say
from torpor.passphrase import new_passphrase

if TYPE_CHECKING:
    from seal.slots import KeyFileSlot, PassphraseSlot, Slot
    from seal.tpm import Tpm

PLAIN = ("tpm2", "tpm2+pin", "passphrase")
_KEY_FILE = "keyfile"
KINDS = f"{'|'.join(PLAIN)}|{_KEY_FILE}=PATH"
"""What an argument may be."""
_WITHOUT_TPM = "a passphrase or a key file needs no TPM"


def kind(text: str) -> str:
    """Return the argument if it is a kind of key, for argparse."""
    word, _, path = text.partition("=")
    if text in PLAIN or (word == _KEY_FILE and path):
        return text
    raise argparse.ArgumentTypeError(f"no kind of key: '{text}'; there are {KINDS}")


def new_slot(kind: str, tpm: "Tpm", undo: ExitStack) -> "Slot":
    """Make a key of a kind; ask for a passphrase or PIN.

    `undo` gets what removes a key file. Raises SetupError, UsageError, UnreadableError, and
    StoreRefusedError, DeviceNotFoundError for a key file without a place of its own.
    """
    from seal import slots  # libsodium, where sealing is asked for

    if path := file_of(kind):
        return _new_key_file(path, undo)
    if kind == "passphrase":
        _offer_that_of_luks()
        return _for_passphrase(new_passphrase("passphrase"))
    _check_tpm(kind, tpm)
    try:
        if kind == "tpm2":
            return slots.new_tpm_slot(tpm)
        return slots.new_tpm_pin_slot(tpm, new_passphrase("PIN"))
    except LockedError as error:
        raise SetupError(f"no key can be made in the TPM: {error}", error.hint) from error


def _check_tpm(kind: str, tpm: "Tpm") -> None:
    """Raise SetupError if the TPM could not tell this boot from a tampered one."""
    from seal.tpm import LOADER, PCRS

    try:
        unmeasured = tpm.unmeasured(PCRS)
    except LockedError as error:
        raise SetupError(f"{kind} cannot be used: {error}", error.hint or _WITHOUT_TPM) from error
    if LOADER in unmeasured:
        raise SetupError(
            f"{kind} would keep nobody out: the firmware has not measured what it booted (PCR 4)",
            f"switch the TPM on in the firmware, and boot by UEFI; {_WITHOUT_TPM}",
        )


def _new_key_file(path: str, undo: ExitStack) -> "KeyFileSlot":
    from seal.slots import new_key_file

    if os.path.lexists(path):
        raise SetupError(
            f"{path} is there already", f"name another file, or: {command('rm', path)}"
        )
    slot = new_key_file(path)
    undo.callback(files.remove, path)
    device = place_of(path).device
    if not stack.is_encrypted(device):
        raise SetupError(
            f"{path} would be on {device}, which is not encrypted: who has the disk has the key",
            "name a file on an encrypted file system that every boot opens",
        )
    return slot


def recovery_slot() -> "PassphraseSlot | None":
    """Return a key for a passphrase, None if nobody is there to type one, or wants none."""
    if not sys.stdin.isatty():
        return None
    _offer_that_of_luks()
    passphrase = new_passphrase("recovery passphrase", may_be_empty=True)
    return _for_passphrase(passphrase) if passphrase else None


def _offer_that_of_luks() -> None:
    """Tell who types how to be asked once for both."""
    if sys.stdin.isatty() and any(True for _ in encrypted()):
        say("the passphrase of the encrypted disk will do: systemd and Plymouth ask once for both")


def _for_passphrase(passphrase: bytes) -> "PassphraseSlot":
    from seal.slots import new_passphrase_slot

    with Attempt("read", "/proc/meminfo"):
        kibibytes = memory.memory()["MemTotal"] >> 10
    return new_passphrase_slot(passphrase, kibibytes)


def file_of(kind: str) -> str:
    """Return the path of a key file that an argument names, "" for another kind."""
    word, _, path = kind.partition("=")
    return os.path.abspath(path) if word == _KEY_FILE else ""
