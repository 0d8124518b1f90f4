"""The programs that make initramfs images: which one there is, and what it has to be told."""

import glob
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from setup.errors import SetupError
from setup.system import NOTE, System
from setup.target import Target


@dataclass(frozen=True, slots=True)
class Generator:
    """An initramfs generator."""

    name: str
    signs: tuple[str, ...]
    """Where it is installed, patterns that all have to match."""
    rebuild: tuple[str, ...]
    """Makes the images of all kernels anew."""
    configuration: str
    """The file that is ours in its folder of configuration."""
    text: Callable[[Target], str]
    """What has to stand there; "" for nothing."""


def _for_initramfs_tools(target: Target) -> str:
    # The hook of cryptsetup-initramfs takes what RESUME= is on along into the image, besides
    # root (get_resume_devno); LVM is activated by udev as it comes. The last file in the folder
    # wins: ours is behind Debian's `resume`.
    return f"RESUME={target.location.resume}\n" if target.luks else ""


def _for_dracut(target: Target) -> str:
    # dracut activates what the command line names. Not add_device+=, which makes each boot wait
    # for the device, without an end (wait_for_dev in 99base/module-setup.sh). And rd.luks.uuid=
    # only without systemd, which opens what crypttab or the real command line names: what stays
    # shut is waited for, up to an emergency shell (90crypt/parse-crypt.sh). For systemd our module
    # takes the lines of crypttab that torpor_luks names along into a generic image.
    luks = " ".join(f"rd.luks.uuid={uuid} rd.luks.name={uuid}={name}" for name, uuid in target.luks)
    lvm = " ".join(f"rd.lvm.lv={volume}" for volume in target.lvm)
    lines = [f'kernel_cmdline+=" {lvm} "'] if lvm else []
    if luks:
        lines += [
            'if [[ " $omit_dracutmodules " == *" systemd "* ||',
            "    ! -e /usr/lib/systemd/systemd ]]; then",
            f'    kernel_cmdline+=" {luks} "',
            "else",
            f'    torpor_luks="{" ".join(name for name, _ in target.luks)}"',
            "fi",
        ]
    return "".join(f"{line}\n" for line in lines)


def _for_mkinitcpio(_target: Target) -> str:
    # Read after mkinitcpio.conf: the hook that goes with the others. All run before the root is
    # mounted, so that the last place is behind encrypt and lvm2.
    return """case " ${HOOKS[*]} " in
    *" torpor "* | *" sd-torpor "*) ;;
    *" systemd "*) HOOKS+=(sd-torpor) ;;
    *) HOOKS+=(torpor) ;;
esac
"""


GENERATORS = (
    Generator(
        "initramfs-tools",
        ("/usr/sbin/mkinitramfs",),
        ("update-initramfs", "-u", "-k", "all"),
        "/etc/initramfs-tools/conf.d/torpor",
        _for_initramfs_tools,
    ),
    Generator(
        "mkinitcpio",
        ("/usr/bin/mkinitcpio", "/etc/mkinitcpio.d/*.preset"),
        ("mkinitcpio", "-P"),
        "/etc/mkinitcpio.conf.d/torpor.conf",
        _for_mkinitcpio,
    ),
    Generator(
        "dracut",
        ("/usr/bin/dracut",),
        ("dracut", "--regenerate-all", "--force"),
        "/etc/dracut.conf.d/torpor.conf",
        _for_dracut,
    ),
)
"""In this order, where there are two: dracut's parts are on many systems that do not boot by it."""


def find_generator(system: System) -> Generator | None:
    """Return the generator that the system uses, None if there is none that is known."""
    for generator in GENERATORS:
        if all(glob.glob(system.path(sign)) for sign in generator.signs):
            return generator
    return None


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


def rebuild(system: System, generator: Generator) -> None:
    """Make the images of all kernels anew. Raises SetupError."""
    try:
        system.run(generator.rebuild)
    except SetupError as error:
        raise SetupError(
            f"the initramfs cannot be rebuilt: {error}",
            f"see what it says: {' '.join(generator.rebuild)}",
        ) from error
