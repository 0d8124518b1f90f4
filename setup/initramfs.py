"""Tells the generator what it has to open, and has it make the images anew."""

from collections.abc import Callable
from contextlib import ExitStack

from generators.find import GENERATORS, find_generator
from generators.generator import Generator, Target
from generators.mkinitcpio import PRESETS
from generators.rebuild import commands as rebuild_commands
from setup.errors import SetupError
from setup.system import NOTE, System


def generator_of(system: System) -> Generator:
    """Return the generator that the system uses. Raises SetupError, UnreadableError."""
    generator = find_generator(system)
    if generator is None:
        names = ", ".join(generator.name for generator in GENERATORS)
        raise SetupError(f"no initramfs generator is installed: {names}")
    return generator


def configure(system: System, generator: Generator, target: Target, undo: ExitStack) -> None:
    """Write or remove the generator's configuration. Raises SetupError, UnreadableError."""
    text = generator.text(target)
    if text:
        system.write(generator.configuration, NOTE + text, undo)
    else:
        system.remove(generator.configuration, undo)


def remove_configuration(system: System) -> bool:
    """Remove ours of every generator; return whether there was any."""
    removed = [system.remove(generator.configuration) for generator in GENERATORS]
    return any(removed)


def rebuild(system: System, generator: Generator, say: Callable[[str], None]) -> None:
    """Make the images of all kernels anew; say by what. Raises SetupError."""
    commands = rebuild_commands(system, generator)
    if not commands:
        raise SetupError(
            f"nothing says what images {generator.name} should make",
            f"give it presets in {PRESETS}, or use kernel-install",
        )
    for command in commands:
        words = " ".join(command)
        say(f"rebuilding the initramfs: {words}")
        try:
            system.run(command)
        except SetupError as error:
            raise SetupError(
                f"the initramfs cannot be rebuilt: {error}", f"see what it says: {words}"
            ) from error
