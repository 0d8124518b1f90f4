"""Checks that the kernel can take a snapshot and boots next, and what else decides over that."""

from collections.abc import Iterator
from contextlib import suppress

from errors import DeviceNotFoundError, StateError, command
from guard.take import Guarded
from hibernate.filesystems import to_freeze
from hibernate.served import refuse_served, refuse_served_swap
from hibernate.stateful import refuse_stateful
from initramfs.generators import initramfs_tools, kernels
from linux import cmdline, efivar, filesystem
from linux.efivar import FOLDER, HIBERNATE_LOCATION, SYSTEMD_OPTIONS
from linux.mounts import MountTable, read_mounts
from store.efi_location import EfiLocation
from store.locate import find_device
from store.names import why_passing
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, ok, problem, warning

_VARIABLE = f"{FOLDER}/{HIBERNATE_LOCATION}"
LOCKDOWN = "/sys/kernel/security/lockdown"
_CONFIG = ("CONFIG_HIBERNATION", "CONFIG_HIBERNATION_SNAPSHOT_DEV")


def kernel_support(facts: Facts) -> Finding:
    """Look at /sys/power/state, /dev/snapshot and what can take them away."""
    root = facts.root
    if "nohibernate" in facts.parameters or facts.parameters.get("hibernate") == "no":
        return problem(
            "the kernel command line forbids hibernation",
            "take nohibernate or hibernate=no off it and boot again",
        )
    release = root.release
    config = root.text(f"/boot/config-{release}") or root.text(f"/lib/modules/{release}/config")
    absent = [name for name in _CONFIG if config and f"{name}=y" not in config.splitlines()]
    if absent:
        return problem(
            f"the kernel is built without {' and '.join(absent)}",
            "boot a kernel with it: the distribution's own has it, as a rule",
        )
    if not root.exists("/dev/snapshot"):
        return problem(
            "there is no /dev/snapshot",
            "boot a kernel with CONFIG_HIBERNATION_SNAPSHOT_DEV",
        )
    if "disk" not in root.line("/sys/power/state").split() and not _locked_down(facts):
        return problem(
            "the kernel offers no hibernation now: there is no disk in /sys/power/state",
            "end programs with secret memory (memfd_secret), or boot a kernel with "
            "CONFIG_HIBERNATION",
        )
    return ok("the kernel supports hibernation from user space")


def _locked_down(facts: Facts) -> bool:
    lockdown = facts.root.line(LOCKDOWN)
    return bool(lockdown) and "[none]" not in lockdown


def lockdown(facts: Facts) -> Finding:
    """Lockdown closes /dev/snapshot; Secure Boot is what switches it on."""
    if not _locked_down(facts):
        return ok("the kernel is not locked down")
    return problem(
        f"the kernel is locked down, as it is under Secure Boot: {facts.root.line(LOCKDOWN)}",
        "switch Secure Boot off in the firmware's setup, or lockdown= on the kernel command line",
    )


def next_kernel(facts: Facts) -> Finding:
    """See that the next boot starts the very same kernel: no other can restore the image."""
    root, release = facts.root, facts.root.release
    folder = f"/lib/modules/{release}"
    if not root.exists(folder):
        return problem(
            f"the running kernel {release} is not installed any more: the next boot starts another",
            "boot once, then hibernate",
        )
    kernel = kernels.kernel_of(root, release)
    build = kernels.build_of(root, kernel) if kernel else ""
    newest = max([release, *kernels.installed(root)], key=kernels.order_of_release)
    if newest != release:
        return warning(
            f"kernel {newest} is newer than the running {release}: if the boot loader starts it, "
            "the image is lost",
            "boot it once, then hibernate",
        )
    if build not in ("", root.line("/proc/sys/kernel/version")):
        return warning(
            f"{kernel} is another build of the running {release}: if the boot loader starts it, "
            "the image is not restored",
            "boot it once, then hibernate",
        )
    return ok(f"the running kernel {release} is the newest installed")


def power_off(facts: Facts) -> Finding:
    """Compare the configured mode with what the firmware offers."""
    modes = facts.root.line("/sys/power/disk").replace("[", "").replace("]", "").split()
    if facts.conf.mode == "platform" and "platform" not in modes:
        return problem(
            "/etc/torpor.conf asks for mode = platform, which the firmware does not offer",
            "take that line out, or say mode = shutdown",
        )
    if facts.conf.mode == "reboot":
        return warning(
            "/etc/torpor.conf asks for mode = reboot: the machine will not stay off",
            "take that line out",
        )
    if "platform" in modes and facts.conf.mode != "shutdown":
        return ok("the machine is switched off by its firmware (S4)")
    return ok("the machine is switched off as by a shutdown")


def zfs_pools(facts: Facts) -> Iterator[Finding]:
    """Look for imported pools, with which `torpor hibernate` refuses to go on."""
    if pools := filesystem.zfs_pools(facts.root):
        yield problem(
            f"ZFS cannot be frozen, and the pool {pools[0]} is imported",
            f"export it before you hibernate: {command('zpool', 'export', pools[0])}",
        )


def served(facts: Facts) -> Iterator[Finding]:
    """Look for what cannot be written to once the machine is frozen, as `torpor hibernate` does.

    Raises KernelRefusedError.
    """
    table = MountTable(read_mounts(facts.root), facts.root)
    refuse_served(to_freeze(table), table)
    refuse_served_swap(table)
    yield from ()


def stateful(facts: Facts) -> Iterator[Finding]:
    """Look for layers that change behind a restored kernel's back, as `torpor hibernate` does.

    Raises KernelRefusedError, UnreadableError.
    """
    refuse_stateful(MountTable(read_mounts(facts.root), facts.root))
    yield from ()


def unguarded(facts: Facts) -> Iterator[Finding]:
    """Look for what cannot be compared at the resume, as `torpor hibernate` does.

    Raises KernelRefusedError, DeviceNotFoundError, UnreadableError.
    """
    with Guarded(facts.conf.unguarded) as guarded:
        guarded.open_all(MountTable(read_mounts(facts.root), facts.root))
    yield from ()


def hibernate_location(facts: Facts) -> Finding:
    """Look for a stale variable: systemd's stock resume waits for its device at each boot."""
    value = facts.root.data(_VARIABLE)
    remedy = f"{command('chattr', '-i', _VARIABLE)}; {command('rm', _VARIABLE)}"
    if not value:  # an empty file is no variable: linux/efivar.py
        return ok("no HibernateLocation is left in the firmware")
    if _is_anothers(value, facts.root.release):
        return warning(
            "the EFI variable HibernateLocation names an image of another kernel, which boots may "
            "wait for",
            f"if no other system is hibernated: {remedy}",
        )
    return warning(
        "the EFI variable HibernateLocation is left from an earlier hibernation and delays boots",
        remedy,
    )


def _is_anothers(value: bytes, release: str) -> bool:
    try:
        return EfiLocation.parse(value[efivar.ATTRIBUTES_SIZE :]).kernel_release != release
    except StateError:
        return False


def systemd_options(facts: Facts) -> Iterator[Finding]:
    """Look for words about a resume that only systemd reads: neither the kernel nor Torpor do."""
    value = facts.root.data(f"{FOLDER}/{SYSTEMD_OPTIONS}") or b""
    said: dict[str, str] = {}
    with suppress(UnicodeDecodeError):
        said = cmdline.parse(efivar.text_of(value[efivar.ATTRIBUTES_SIZE :]))
    for word in ("resume", "noresume"):
        if word in said and word not in facts.parameters:
            yield warning(
                f"the EFI variable SystemdOptions has {word}, which only systemd reads",
                f"take it out: {command('bootctl', 'systemd-efi-options', '')}",
            )


def stock_resume(facts: Facts) -> Iterator[Finding]:
    """Look at RESUME=: for a wrong one initramfs-tools waits 30 s at each boot."""
    said, source = initramfs_tools.stock_resume(facts.root)
    if said in ("", "auto", "none"):
        return
    device = None
    with suppress(DeviceNotFoundError):
        device = find_device(said, facts.root)
    if device is None:
        yield warning(
            f"{source}: RESUME={said} is not there, and each boot without resume= waits for it",
            f"correct it, or say RESUME=none, and {facts.again}",
        )
        return
    passing = why_passing(f"RESUME={said} in {source}", said, "say RESUME={} there", facts.root)
    for doubt in passing:
        yield warning(doubt.message, f"{doubt.remedy}, and {facts.again}")
    yield ok(f"{source} names a device that is there")
