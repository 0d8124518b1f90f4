"""Which generator a system uses, what made an initramfs, and what has to be run to rebuild all.

Where another program calls the generator, and puts the initramfs where the boot loader looks for
it, that is what has to be run: the generator alone would write elsewhere.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from errors import NoGeneratorError
from initramfs.archive.initramfs import Initramfs
from initramfs.generators import dracut, kernels, shell
from initramfs.generators.dracut import DRACUT
from initramfs.generators.generator import Command, Generator, Maker
from initramfs.generators.hooks import PRESETS, has_presets
from initramfs.generators.initramfs_tools import INITRAMFS_TOOLS, is_dracuts
from initramfs.generators.mkinitcpio import MKINITCPIO
from initramfs.generators.systemd import Systemd
from linux.installation import machine_id
from linux.root import Root

GENERATORS = (INITRAMFS_TOOLS, MKINITCPIO, DRACUT)
"""In this order, where there are two: dracut's parts are on many systems that do not boot by it."""
_MAKERS = (DRACUT, INITRAMFS_TOOLS, MKINITCPIO, Systemd())
_CALLERS: dict[str, tuple[Command, ...]] = {
    "dracut": (
        ("reinstall-kernels",),  # EndeavourOS with kernel-install
        ("dracut-rebuild",),  # EndeavourOS with GRUB
        ("limine-dracut",),
    ),
    "mkinitcpio": (("limine-mkinitcpio",),),
}
"""By generator: of these the first that is installed."""
_SDBOOTUTIL = ("sdbootutil", "mkinitrd")
_SDBOOTUTILS_LOADERS = ("systemd-boot", "grub2-bls")
"""With another one it ends in an error."""


def find_generator(root: Root) -> Generator | None:
    """Return the generator that the system uses, None if there is none that is known."""
    used = [one for one in GENERATORS if one.is_used(root)]
    chosen = kernels.setting(root, "initrd_generator")
    return next((one for one in used if one.name == chosen), next(iter(used), None))


def maker_of(initramfs: Initramfs) -> Maker | None:
    """Return what made an initramfs, None if that is not known."""
    return next((one for one in _MAKERS if any(mark in initramfs for mark in one.marks)), None)


def decides(name: str) -> bool:
    """Return whether the text of a file in an initramfs says something to one of them."""
    return any(fnmatchcase(name, pattern) for one in _MAKERS for pattern in one.texts)


def commands(root: Root, generator: Generator) -> list[Command]:
    """Return the commands, in order; none where nothing says what images there should be."""
    if generator is DRACUT and is_dracuts(root):
        return [INITRAMFS_TOOLS.rebuild]  # which calls what the boot loader needs, too
    if generator is DRACUT and _uses_sdbootutil(root):
        return [_SDBOOTUTIL]
    for command in _CALLERS.get(generator.name, ()):
        if _is_installed(root, command):
            return [command]
    if _goes_by_kernel_install(root, generator):
        return list(_kernel_install(root, generator))
    if generator is MKINITCPIO and not has_presets(root):
        return []
    return [generator.rebuild]


def generator_of(root: Root) -> Generator:
    """Return the generator that makes an initramfs here. Raises NoGeneratorError."""
    generator = find_generator(root)
    if generator is None:
        names = ", ".join(one.name for one in GENERATORS)
        raise NoGeneratorError(f"no initramfs generator is installed: {names}")
    if not commands(root, generator):
        raise NoGeneratorError(
            f"nothing says what images {generator.name} should make",
            f"give it presets in {PRESETS}, or use kernel-install",
        )
    return generator


def _is_installed(root: Root, command: Command) -> bool:
    return root.exists(f"/usr/bin/{command[0]}")


def _uses_sdbootutil(root: Root) -> bool:
    """Return whether openSUSE's boot loader here is one of sdbootutil's, which GRUB may not be.

    Where none is named it takes one of them for granted, and ends in an error without its files.
    """
    if not _is_installed(root, _SDBOOTUTIL):
        return False
    loader = shell.value_of("LOADER_TYPE", [root.text("/etc/sysconfig/bootloader") or ""])
    return loader in _SDBOOTUTILS_LOADERS if loader else bool(kernels.own_folder(root))


def _goes_by_kernel_install(root: Root, generator: Generator) -> bool:
    if not root.exists("/usr/bin/kernel-install"):
        return False
    if generator is MKINITCPIO:
        return not has_presets(root)
    # What sdbootutil made, and is not used for any more, is nobody's.
    own = "" if _is_installed(root, _SDBOOTUTIL) else kernels.own_folder(root)
    # dracut writes below the folder of the machine id by itself, and no other (dracut.sh).
    knows_it = not _is_debians(root, generator) and own == machine_id(root)
    return generator is DRACUT and (
        kernels.setting(root, "layout") == "uki" or bool(own and not knows_it)
    )


def _is_debians(root: Root, generator: Generator) -> bool:
    """Return whether /boot/initrd.img-RELEASE is dracut's, from where kernel-install takes it.

    Debian's 55-initrd.install, 85-initrd.install in 12, lays it over what dracut's own
    50-dracut.install makes; the latter is not in 12.
    """
    is_there = root.exists("/etc/kernel/postinst.d/dracut")
    return generator is DRACUT and is_there and not dracut.makes_unified(root)


def _kernel_install(root: Root, generator: Generator) -> Iterator[Command]:
    for release in kernels.installed(root):
        if kernel := kernels.kernel_of(root, release):
            if _is_debians(root, generator):
                yield ("dracut", "--force", f"/boot/initrd.img-{release}", release)
            yield ("kernel-install", "add", release, kernel)
