"""Which generator a system uses, and what made an initramfs."""

from fnmatch import fnmatchcase

from initramfs.archive.initramfs import Initramfs
from initramfs.generators import boot
from initramfs.generators.dracut import DRACUT
from initramfs.generators.generator import Generator, Maker
from initramfs.generators.initramfs_tools import INITRAMFS_TOOLS
from initramfs.generators.mkinitcpio import MKINITCPIO
from initramfs.generators.systemd import Systemd
from linux.root import Root

GENERATORS = (INITRAMFS_TOOLS, MKINITCPIO, DRACUT)
"""In this order, where there are two: dracut's parts are on many systems that do not boot by it."""
_MAKERS = (DRACUT, INITRAMFS_TOOLS, MKINITCPIO, Systemd())


def find_generator(root: Root) -> Generator | None:
    """Return the generator that the system uses, None if there is none that is known."""
    used = [one for one in GENERATORS if one.is_used(root)]
    chosen = boot.setting(root, "initrd_generator")
    return next((one for one in used if one.name == chosen), next(iter(used), None))


def maker_of(initramfs: Initramfs) -> Maker | None:
    """Return what made an initramfs, None if that is not known."""
    return next((one for one in _MAKERS if one.made(initramfs)), None)


def decides(name: str) -> bool:
    """Return whether the text of a file in an initramfs says something to one of them."""
    return any(fnmatchcase(name, pattern) for one in _MAKERS for pattern in one.texts)
