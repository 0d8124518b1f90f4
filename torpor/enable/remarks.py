"""What enable cannot do for the user, in a line each."""

from initramfs.generators.find import find_generator
from initramfs.generators.generator import Target
from torpor.enable import units
from torpor.enable.system import System


def remarks(system: System, target: Target, command_line: str) -> list[str]:
    """Return what is left to do, a line each."""
    generator = find_generator(system)
    found: list[str] = []
    if generator is not None:
        found += generator.remarks(system, target.luks, command_line)
    if (answer := units.can_hibernate(system)) in units.NO:
        found.append(f"logind says {answer} to systemctl hibernate: torpor doctor says why")
    return found
