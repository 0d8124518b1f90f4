"""Enables and disables, step by step."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial

from errors import Attempt, SetupError, TorporError, command
from initramfs.generators.find import GENERATORS, commands, find_generator, generator_of
from initramfs.generators.generator import Generator, Target
from initramfs.generators.layers import to_open
from linux import stack
from linux.kmsg import Log
from linux.root import HOST, Root
from state.location import PATH as LOCATION
from store.choose import Settings, location_of
from store.find import Found
from torpor.enable import units
from torpor.enable.announce import announce, retract
from torpor.enable.system import NOTE, System

Look = Callable[[], Iterable[str]]
"""Looks into the initramfs that the next boot takes; returns remarks.

Raises TorporError if the resumer is not in it where it should be."""

_KEPT = (
    "until the next boot the kernel keeps what is named in /sys/power/resume, and logind may "
    "refuse systemctl hibernate"
)


def target_of(store: Found, root: Root = HOST) -> Target:
    """Return where a store is, and what has to be opened for it. Raises UnreadableError."""
    with Attempt("look at", store.place.device):
        layers = stack.layers(store.place.device, root)
    return Target(location_of(store, root), tuple(to_open(layers)))


def enable(system: System, target: Target, say: Log, look: Look) -> list[str]:
    """Make the system hibernate to the target and resume from it; say each step.

    Return what `look` has to say of the initramfs that was made. Raises NoGeneratorError, and
    SetupError or UnreadableError after undoing all of it.
    """
    generator = generator_of(system)
    with ExitStack() as undo:
        again = undo.enter_context(ExitStack())  # unwound when all files are as they were
        system.write(LOCATION, target.location.build(), undo)
        _configure(system, generator, target, undo)
        units.write_units(system, undo)
        again.callback(_rebuild_again, system, generator, say)
        rebuild(system, generator, say)
        try:
            remarks = list(look())
        except TorporError as error:
            raise SetupError(str(error), error.hint) from error
        undo.pop_all()
    return remarks


def _configure(system: System, generator: Generator, target: Target, undo: ExitStack) -> None:
    """Write what the generator has to open for the target, or remove what is of no use for it."""
    if text := generator.text(target):
        system.write(generator.configuration, NOTE + text, undo)
    else:
        system.remove(generator.configuration, undo)


def rebuild(system: System, generator: Generator, say: Log) -> None:
    """Rebuild the initramfs of every kernel; say by what. Raises SetupError."""
    for words in commands(system, generator):
        line = command(*words)
        say(f"rebuilding the initramfs: {line}")
        try:
            system.run(words)
        except SetupError as error:
            raise SetupError(
                f"the initramfs cannot be rebuilt: {error}", f"see what it says: {line}"
            ) from error


def _rebuild_again(system: System, generator: Generator, say: Log) -> None:
    say("undoing that, the initramfs too")
    try:
        rebuild(system, generator, say)
    except SetupError as error:
        # What went wrong before is what the user has to hear of, as the error.
        say(f"{error}: it may hold what enable put there")


def take_effect(system: System, settings: Settings) -> list[str]:
    """Tell the running kernel and logind what the next boot will; return why that fails.

    It is no reason to undo the rest.
    """
    failures = []
    if units.is_booted(system):
        for step in (partial(announce, settings, system), partial(units.let_logind_see, system)):
            try:
                step()
            except TorporError as error:
                failures.append(str(error))
    if (answer := units.can_hibernate(system)) in units.NO:
        failures.append(f"logind says {answer} to systemctl hibernate: torpor doctor says why")
    return failures


def disable(system: System, say: Log, look: Look | None) -> list[str]:
    """Undo `enable`; rebuild the initramfs and look into it, unless `look` is None.

    Return what is left to say. Raises SetupError, UnreadableError.
    """
    removed = [
        system.remove(LOCATION),
        *[system.remove(generator.configuration) for generator in GENERATORS],
        units.remove_units(system),
    ]
    generator = find_generator(system)
    if any(removed) and look and generator is not None:
        rebuild(system, generator, say)
    is_retracted = retract()
    if not any(removed):
        say("torpor is not enabled: nothing changed")
        return []
    say("disabled: systemctl hibernate is the kernel's again")
    return [*([] if is_retracted else [_KEPT]), *(look() if look else [])]
