"""Tells the generator what it has to open, and has it make the images anew."""

from contextlib import ExitStack

from generators.find import GENERATORS
from generators.generator import Generator, Target
from setup.errors import SetupError
from setup.system import NOTE, System

_REBUILD = {
    "initramfs-tools": ("update-initramfs", "-u", "-k", "all"),
    "mkinitcpio": ("mkinitcpio", "-P"),
    "dracut": ("dracut", "--regenerate-all", "--force"),
}


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


def rebuild_command(generator: Generator) -> tuple[str, ...]:
    """Return what makes the images of all kernels anew."""
    return _REBUILD[generator.name]


def rebuild(system: System, generator: Generator) -> None:
    """Make the images of all kernels anew. Raises SetupError."""
    command = rebuild_command(generator)
    try:
        system.run(command)
    except SetupError as error:
        raise SetupError(
            f"the initramfs cannot be rebuilt: {error}",
            f"see what it says: {' '.join(command)}",
        ) from error
