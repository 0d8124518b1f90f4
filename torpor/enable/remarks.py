"""What enable cannot do for the user, in a line each."""

from collections.abc import Iterator

from initramfs.generators.find import find_generator
from initramfs.generators.generator import Target
from linux import cmdline
from torpor.enable import units
from torpor.enable.system import System


def remarks(system: System, target: Target, command_line: str) -> list[str]:
    """Return what is left to do, a line each."""
    generator = find_generator(system)
    found = list(_on_command_line(target, command_line))
    if generator is not None:
        found += generator.remarks(system, target.luks, command_line)
    if (answer := units.can_hibernate(system)) in units.NO:
        found.append(f"logind says {answer} to systemctl hibernate: torpor doctor says why")
    return found


def _on_command_line(target: Target, command_line: str) -> Iterator[str]:
    resume = cmdline.parse(command_line).get("resume")
    if resume and resume != target.location.resume:
        yield (
            f"resume={resume} on the kernel command line comes first at boot: take it off, or make "
            f"it {target.location.parameters}"
        )
