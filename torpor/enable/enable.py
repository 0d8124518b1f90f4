"""Enables and disables, step by step."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack

from errors import SetupError, TorporError
from initramfs.generators.find import find_generator
from initramfs.generators.generator import Generator, Target
from initramfs.generators.rebuild import generator_of
from linux.kmsg import Log
from state.location import PATH as LOCATION
from torpor.enable import units
from torpor.enable.initramfs import configure, rebuild, remove_configuration
from torpor.enable.system import System

Look = Callable[[], Iterable[str]]
"""Looks into the initramfs that the next boot takes; returns remarks.

Raises TorporError if the resumer is not in it where it should be."""


def enable(system: System, target: Target, say: Log, look: Look) -> list[str]:
    """Make the system hibernate to the target and resume from it; say each step.

    Return what `look` has to say of the initramfs that was made. Raises NoGeneratorError, and
    SetupError or UnreadableError after undoing all of it.
    """
    generator = generator_of(system)
    with ExitStack() as undo:
        again = undo.enter_context(ExitStack())  # unwound when all files are as they were
        system.write(LOCATION, target.location.build(), undo)
        configure(system, generator, target, undo)
        units.write_units(system, undo)
        again.callback(_rebuild_again, system, generator, say)
        rebuild(system, generator, say)
        remarks = _looked(look)
        undo.pop_all()
    return remarks


def _looked(look: Look) -> list[str]:
    try:
        return list(look())
    except TorporError as error:
        raise SetupError(str(error), error.hint) from error


def _rebuild_again(system: System, generator: Generator, say: Log) -> None:
    say("undoing that, the initramfs too")
    try:
        rebuild(system, generator, say)
    except SetupError as error:
        # What went wrong before is what the user has to hear of, as the error.
        say(f"{error}: it may hold what enable put there")


def disable(system: System, say: Log, *, with_rebuild: bool) -> bool:
    """Undo `enable`; return whether there was anything. Raises SetupError, UnreadableError."""
    removed = [
        system.remove(LOCATION),
        remove_configuration(system),
        units.remove_units(system),
    ]
    generator = find_generator(system)
    if any(removed) and with_rebuild and generator is not None:
        rebuild(system, generator, say)
    return any(removed)
