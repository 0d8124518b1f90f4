"""The identity of the running machine, as an image records it, and whose image a store holds.

Several systems may share a store. Each throws away its own images only, unless it is told to. They
are told apart by machine-id(5), which clones have to be given anew: by nothing else, since all that
is known of the machine two systems on it have in common.
"""

import time
from typing import TYPE_CHECKING

from errors import (
    Attempt,
    OtherInstallationError,
    TorporError,
    UnknownOwnerError,
    UnsupportedError,
    command,
)
from format.reader import read_superblock
from format.records import Identity
from linux.installation import machine_id
from linux.machine import kernel_names, processor, ram_map, ram_map_digest
from linux.root import HOST, Root

if TYPE_CHECKING:
    from format.tables import MachineFacts
    from store.protocol import Slot


def this_machine(machine_id: str) -> Identity:
    """Return kernel, machine, host name and memory map of now, of the installation `machine_id`.

    Raises UnreadableError.
    """
    with Attempt("read", "the memory map"):
        return Identity(*kernel_names(), ram_map_digest(), machine_id)


def these_facts() -> "MachineFacts":
    """Return memory and processor of this machine. Raises UnreadableError."""
    from format.tables import MachineFacts  # `torpor pack` needs this_machine only

    with Attempt("read", "what processor and memory there are"):
        return MachineFacts(ram_map(), *processor())


def owner_of(slot: "Slot", ours: str) -> str:
    """Return whose image the slot holds, "" if it is of our installation, or nobody's any more.

    `ours` is our machine id. Where that is not known, or the image's, it may be another's.
    """
    try:
        return owner_by(read_superblock(slot.image()).identity, ours)
    except UnsupportedError as error:
        return f"an unknown installation ({error})"
    except TorporError:
        return ""  # nobody restores it


def refuse_others(slot: "Slot", root: Root = HOST) -> None:
    """Raise OtherInstallationError if the image that the slot holds is not ours to throw away.

    UnknownOwnerError for one that does not tell.
    """
    if not slot.holds_image():
        return
    hint = f"if that can go: {command('torpor', 'discard', '--force', slot.name)}"
    try:
        superblock = read_superblock(slot.image())
    except TorporError as error:
        what = f"{slot.name} holds an image which does not tell whose it is: {error}"
        raise UnknownOwnerError(what, hint) from error
    if owner := owner_by(superblock.identity, machine_id(root)):
        made = time.strftime("%Y-%m-%d %H:%M", time.gmtime(superblock.created_ns // 10**9))
        raise OtherInstallationError(f"{slot.name} holds an image of {owner}, of {made} UTC", hint)


def owner_by(image: Identity, ours: str) -> str:
    """Return whose image it is by what it says, as owner_of."""
    if not ours or not image.machine_id:
        lacking = "it" if ours else "this one"
        return f"an unknown installation, {image.host_name} ({lacking} has no machine id)"
    return "" if image.machine_id == ours else f"another installation, {image.host_name}"
