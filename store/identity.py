"""The identity of the running machine, as an image records it."""

from errors import Attempt
from format.records import Identity
from format.tables import MachineFacts
from linux.machine import kernel_names, processor, ram_map, ram_map_digest


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
