"""The rows that are run of generator, suite, kernel and place: every pair of these occurs.

tests/unit/test_matrix.py proves it.
"""

from collections.abc import Iterator

from tests.vm.places import PLACES, Place
from vm.suites import NEWEST

MachineKind = tuple[str, str, str]
"""Generator, suite, series of the kernel."""

ROUNDS: list[list[MachineKind]] = [
    [("initramfs-tools", "12", "6.1"), ("dracut", "12", "6.1"), ("dracut-shell", "12", "6.1")],
    [("initramfs-tools", "13", "6.12"), ("dracut", "13", "6.12"), ("dracut-shell", "12", "6.12")],
    [(generator, "13", NEWEST) for generator in ("initramfs-tools", "dracut", "dracut-shell")],
    [
        (generator, "unstable", NEWEST)
        for generator in ("initramfs-tools", "dracut", "dracut-shell")
    ],
]
"""One kernel each. In each round all places occur, and each next round gives each place to the
next generator."""


def rows() -> Iterator[tuple[MachineKind, Place]]:
    """Yield all rows, a machine and one of its places; those of one machine follow each other."""
    for turn, machines in enumerate(ROUNDS):
        for third, machine in enumerate(machines):
            for number, place in enumerate(PLACES):
                if (number + turn) % len(machines) == third:
                    yield machine, place


def places_of(machine: MachineKind) -> list[Place]:
    """Return the places to which one machine hibernates."""
    return [place for which, place in rows() if which == machine]
