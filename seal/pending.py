"""An image that may be out: as far as this machine knows, no boot has restored or discarded it.

The counter of the TPM tells a copy of an image that was restored or discarded. One that a boot does
not find is neither. So its number is noted before the snapshot, and a boot that goes on without it
has the TPM count.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

from errors import Attempt, NoCounterError, StateError
from format.mark import MAX_ATTEMPTS
from linux.machine import boot_id
from linux.open_file import OpenFile
from seal.slots import FOLDER
from seal.tpm import Tpm
from state import files

PATH = f"{FOLDER}/pending"
_HEAD = "# Written by torpor hibernate; gone after the resume.\n"


class Pending(NamedTuple):
    """The note: which image."""

    boot_id: str
    """The boot that made it."""
    counter: int
    """NV index of the TPM's counter."""
    number: int
    """What that said then."""

    @classmethod
    def read(cls) -> Self | None:
        """Return the note, None where there is none. Raises StateError, UnreadableError."""
        text = files.read_text(PATH)
        if text is None:
            return None
        values = files.values_in(text)
        try:
            return cls(values["boot_id"], int(values["counter"]), int(values["number"]))
        except (KeyError, ValueError) as error:
            raise StateError(f"{PATH} is not what torpor writes") from error


@contextmanager
def alone() -> Iterator[None]:
    """Keep other processes from counting meanwhile. Raises UnreadableError."""
    folder = os.path.dirname(PATH)
    with Attempt("open", folder):
        os.makedirs(folder, exist_ok=True)
        held = OpenFile(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    with held:
        fcntl.flock(held.fd, fcntl.LOCK_EX)
        yield


def note(counter: int, number: int) -> None:
    """Note that this boot makes an image of this number. Raises UnreadableError."""
    found = Pending(boot_id(), counter, number)
    lines = [f"{name}={value}\n" for name, value in found._asdict().items()]
    files.write_bytes(PATH, f"{_HEAD}{''.join(lines)}".encode())


def forget() -> None:
    """Remove the note: nobody but this machine, which goes on, has had the image.

    Raises UnreadableError.
    """
    files.remove(PATH)


def is_written_to() -> bool:
    """Return whether this boot writes to the file system of the keys.

    A restored kernel would find that changed, so that no image of an earlier boot is good any more.
    """
    return os.access(os.path.dirname(PATH), os.W_OK)


def spend(tpm: Tpm) -> bool:
    """Have the TPM count if an image of another boot may be out; return whether it has.

    Not if its file systems are as it left them (is_written_to), nor the image that this boot makes.
    Raises LockedError where the TPM does not count, StateError, UnreadableError: the note is kept
    then.
    """
    if not os.path.exists(PATH):
        return False
    with alone():
        found = Pending.read()
        if found is None or found.boot_id == boot_id() or not is_written_to():
            return False
        has_counted = _count(found, tpm)
        forget()
    return has_counted


def _count(found: Pending, tpm: Tpm) -> bool:
    """Count unless the TPM has gone on: who asked the kernel for the image has counted as well."""
    try:
        number = tpm.read_counter(found.counter)
    except NoCounterError:
        return False  # nothing in the TPM opens an image that names it
    if number - found.number not in range(MAX_ATTEMPTS):
        return False
    tpm.increment(found.counter)
    return True
