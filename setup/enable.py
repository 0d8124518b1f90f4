"""Enables and disables, step by step."""

from collections.abc import Callable
from contextlib import ExitStack

from generators.find import GENERATORS, find_generator
from generators.generator import Target
from setup import units
from setup.errors import SetupError
from setup.initramfs import configure, rebuild, rebuild_command, remove_configuration
from setup.system import System
from state.location import PATH as LOCATION

Say = Callable[[str], None]


def enable(system: System, target: Target, say: Say) -> None:
    """Make the system hibernate to the target and resume from it; say each step.

    Raises SetupError or UnreadableError after undoing all of it.
    """
    generator = find_generator(system)
    if generator is None:
        names = ", ".join(generator.name for generator in GENERATORS)
        raise SetupError(f"no initramfs generator is installed: {names}")
    with ExitStack() as undo:
        system.write(LOCATION, target.location.build(), undo)
        configure(system, generator, target, undo)
        units.write_units(system, undo)
        say(f"rebuilding the initramfs: {' '.join(rebuild_command(generator))}")
        rebuild(system, generator)
        undo.pop_all()


def disable(system: System, say: Say, *, with_rebuild: bool) -> bool:
    """Undo `enable`; return whether there was anything. Raises SetupError, UnreadableError."""
    removed = [
        system.remove(LOCATION),
        remove_configuration(system),
        units.remove_units(system),
    ]
    generator = find_generator(system)
    if any(removed) and with_rebuild and generator is not None:
        say(f"rebuilding the initramfs: {' '.join(rebuild_command(generator))}")
        rebuild(system, generator)
    return any(removed)
