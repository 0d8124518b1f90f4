"""Compares the image with the machine that would become it."""

import re
from itertools import zip_longest
from typing import NamedTuple, Self

from errors import DamagedError, OtherHardwareError, OtherKernelError
from format.reader import ImageReader
from format.records import MACHINE_FACTS, Identity
from format.tables import MachineFacts
from linux.proc import lines
from store.identity import these_facts, this_machine

_NAMED = 6
"""Features that a message names."""

_LONGEST = 80
"""Characters of a text from the image in a message."""

_RANGE = re.compile(r"(?:0x)?([0-9a-f]{1,16})[ -](?:0x)?([0-9a-f]{1,16}) .*System RAM")
"""A range of memory in a line of linux.machine.ram_map, of /sys/firmware or of /proc/iomem."""


class Machine(NamedTuple):
    """The machine that an image is compared with."""

    identity: Identity
    facts: MachineFacts

    @classmethod
    def here(cls, machine_id: str) -> Self:
        """Return this one, of the installation `machine_id`. Raises UnreadableError."""
        return cls(this_machine(machine_id), these_facts())


def check_machine(image: ImageReader, here: Machine) -> None:
    """Raise OtherKernelError or OtherHardwareError unless the image is of this machine.

    Raises DamagedError for an image that does not say what it needs, such as torpor pack makes.
    """
    facts = image.read(MACHINE_FACTS, MachineFacts)
    if facts is None:
        raise DamagedError("the image does not say what machine it needs: refusing to restore it")
    identity = image.superblock.identity
    check_kernel(identity, here.identity)
    if identity.ram_map_digest != here.identity.ram_map_digest:
        raise OtherHardwareError(_memory_differs(facts.ram_map, here.facts.ram_map))
    missing = sorted(facts.processor_features - here.facts.processor_features)
    if missing:
        raise OtherHardwareError(_features_missing(missing, facts, here.facts))


def check_kernel(image: Identity, here: Identity) -> None:
    """Raise OtherKernelError unless the image is of the kernel that runs here."""
    if image.machine != here.machine:
        raise OtherKernelError(f"image is of a {image.machine} machine, this is {here.machine}")
    if image.kernel_release != here.kernel_release:
        raise OtherKernelError(
            f"image is of kernel {image.kernel_release}, this is {here.kernel_release}"
        )
    if image.kernel_version != here.kernel_version:
        raise OtherKernelError(
            f"image is of build '{image.kernel_version}' of kernel {image.kernel_release}, "
            f"this is '{here.kernel_version}'"
        )


def _memory_differs(image: str, here: str) -> str:
    pairs = zip_longest(lines(image), lines(here), fillvalue="nothing")
    then, now = next((pair for pair in pairs if pair[0] != pair[1]), ("unknown", "unknown"))
    return (
        f"image is of {_mebibytes(image)} MiB of memory, this machine has {_mebibytes(here)} MiB; "
        f"the first range that differs was {_short(then)}, is {_short(now)}"
    )


def _mebibytes(ram_map: str) -> int:
    found = (_RANGE.match(line) for line in lines(ram_map))
    return sum(int(line[2], 16) - int(line[1], 16) + 1 for line in found if line) >> 20


def _features_missing(missing: list[str], image: MachineFacts, here: MachineFacts) -> str:
    named = ", ".join(_short(name) for name in missing[:_NAMED])
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    return (
        f"this processor, {_short(here.processor)}, lacks {named}{more} of the image's, "
        f"{_short(image.processor)}"
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
