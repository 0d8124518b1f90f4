"""The identity of the running machine, as an image records it."""

from errors import cannot
from format.records import Identity
from format.sections.machine import MachineFacts
from linux.machine import kernel_names, processor, ram_map, ram_map_digest


def this_machine(machine_id: str) -> Identity:
    """Return kernel, machine, host name and memory map of now, of the installation `machine_id`.

    Raises UnreadableError.
    """
    try:
        return Identity(*kernel_names(), ram_map_digest(), machine_id)
    except OSError as error:
        raise cannot("read", "the memory map", error) from error


def these_facts() -> MachineFacts:
    """Return memory and processor of this machine. Raises UnreadableError."""
    try:
        return MachineFacts(ram_map(), *processor())
    except OSError as error:
        raise cannot("read", "what processor and memory there are", error) from error
