"""Tells the generator what it has to open, and has it make the images anew."""

from contextlib import ExitStack

from errors import SetupError
from initramfs.generators.find import GENERATORS
from initramfs.generators.generator import Generator, Target
from initramfs.generators.rebuild import commands as rebuild_commands
from linux.kmsg import Log
from torpor.enable.system import NOTE, System


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


def rebuild(system: System, generator: Generator, say: Log) -> None:
    """Make the images of all kernels anew; say by what. Raises SetupError."""
    for command in rebuild_commands(system, generator):
        words = " ".join(command)
        say(f"rebuilding the initramfs: {words}")
        try:
            system.run(command)
        except SetupError as error:
            raise SetupError(
                f"the initramfs cannot be rebuilt: {error}", f"see what it says: {words}"
            ) from error
