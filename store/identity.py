"""The identity of the running machine, as an image records it, and whose image a store holds.

Several systems may share a store. Each throws away its own images only, unless it is told to.
"""

import time

from errors import Attempt, OtherInstallationError, TorporError, command
from format.reader import read_superblock
from format.records import Identity, Superblock
from format.tables import MachineFacts
from linux.machine import kernel_names, machine_id, processor, ram_map, ram_map_digest
from linux.root import HOST, Root
from store.protocol import Slot


def this_machine(machine_id: str) -> Identity:
    """Return kernel, machine, host name and memory map of now, of the installation `machine_id`.

    Raises UnreadableError.
    """
    with Attempt("read", "the memory map"):
        return Identity(*kernel_names(), ram_map_digest(), machine_id)


def these_facts() -> MachineFacts:
    """Return memory and processor of this machine. Raises UnreadableError."""
    with Attempt("read", "what processor and memory there are"):
        return MachineFacts(ram_map(), *processor())


def owner_of(slot: Slot, here: Identity) -> str:
    """Return whose image the slot holds, "" if it is ours, or nobody can tell.

    Systems are told apart by machine-id(5), which clones have to be given anew; where one of the
    two has none yet, machines by their memory maps.
    """
    superblock = _superblock(slot)
    return _owner(superblock.identity, here) if superblock else ""


def refuse_others(slot: Slot, root: Root = HOST) -> None:
    """Raise OtherInstallationError if the image that the slot holds is not ours to throw away.

    Nor is one that does not tell whose it is: damaged, of a newer Torpor, a copy out of its place.
    """
    if not slot.holds_image():
        return
    try:
        superblock = read_superblock(slot.image())
    except TorporError as error:
        whose = f"which does not tell whose it is: {error}"
    else:
        if not (owner := _owner(superblock.identity, this_machine(machine_id(root)))):
            return
        made = time.strftime("%Y-%m-%d %H:%M", time.gmtime(superblock.created_ns // 10**9))
        whose = f"of {owner}, of {made} UTC"
    raise OtherInstallationError(
        f"{slot.name} holds an image {whose}",
        f"if that can go: {command('torpor', 'discard', '--force', slot.name)}",
    )


def _superblock(slot: Slot) -> Superblock | None:
    try:
        return read_superblock(slot.image())
    except TorporError:
        return None


def _owner(image: Identity, here: Identity) -> str:
    both_known = image.machine_id and here.machine_id
    if both_known and image.machine_id != here.machine_id:
        return f"another installation, {image.host_name}"
    if not both_known and image.ram_map_digest != here.ram_map_digest:
        return f"another machine, {image.host_name}"
    return ""
