"""What all generators have in common, and what they have to open for a store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from linux.root import Root
from state.location import Location

Command = tuple[str, ...]
"""A program and its arguments."""
Luks = tuple[tuple[str, str], ...]
"""Name and UUID of each LUKS device below a store, from the top."""


@dataclass(frozen=True, slots=True)
class Target:
    """The chosen store."""

    location: Location
    luks: Luks
    lvm: tuple[str, ...]
    """VG/LV of each logical volume below it."""


@dataclass(frozen=True, slots=True)
class Generator:
    """An initramfs generator."""

    name: str
    rebuild: Command
    """Makes the images of all kernels anew, where nothing else calls the generator: see rebuild."""
    part: str
    """What the package installs for it: without it the resumer does not get into an image."""
    configuration: str
    """The file that is ours in its folder of configuration."""
    text: Callable[[Target], str]
    """What has to stand there; "" for nothing."""
    is_used: Callable[[Root], bool]
    """Whether it is all there, and the one that makes this system's images."""
    remarks: Callable[[Root, Luks, str], Iterator[str]]
    """What keeps it from opening the LUKS devices: what the user has to do, a line each.

    Takes the kernel command line, too."""
