"""Which generator a system uses."""

from initramfs.generators import boot
from initramfs.generators.dracut import DRACUT
from initramfs.generators.generator import Generator
from initramfs.generators.initramfs_tools import INITRAMFS_TOOLS
from initramfs.generators.mkinitcpio import MKINITCPIO
from linux.root import Root

GENERATORS = (INITRAMFS_TOOLS, MKINITCPIO, DRACUT)
"""In this order, where there are two: dracut's parts are on many systems that do not boot by it."""


def find_generator(root: Root) -> Generator | None:
    """Return the generator that the system uses, None if there is none that is known."""
    used = [one for one in GENERATORS if one.is_used(root)]
    chosen = boot.setting(root, "initrd_generator")
    return next((one for one in used if one.name == chosen), next(iter(used), None))
