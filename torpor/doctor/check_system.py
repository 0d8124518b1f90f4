"""What else decides over hibernation: ZFS, the stock resume, the firmware's variables."""

from collections.abc import Iterator

from errors import DeviceNotFoundError, StateError, command
from initramfs.generators import initramfs_tools
from linux import efivar, filesystem
from linux.efivar import FOLDER, HIBERNATE_LOCATION
from store.efi_location import EfiLocation
from store.locate import find_device
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, ok, problem, warning

_VARIABLE = f"{FOLDER}/{HIBERNATE_LOCATION}"


def zfs_pools(facts: Facts) -> Iterator[Finding]:
    """Look for imported pools, with which `torpor hibernate` refuses to go on."""
    if pools := filesystem.zfs_pools(facts.root):
        yield problem(
            f"ZFS cannot be frozen, and the pool {pools[0]} is imported",
            f"export it before you hibernate: {command('zpool', 'export', pools[0])}",
        )


def hibernate_location(facts: Facts) -> Iterator[Finding]:
    """Look for a stale variable: systemd's stock resume waits for its device at each boot."""
    value = facts.root.data(_VARIABLE)
    remedy = f"{command('chattr', '-i', _VARIABLE)}; {command('rm', _VARIABLE)}"
    if not value:  # an empty file is no variable: linux/efivar.py
        yield ok("no HibernateLocation is left in the firmware")
    elif _is_anothers(value, facts.root.release):
        yield warning(
            "the EFI variable HibernateLocation names an image of another kernel, which boots may "
            "wait for",
            f"if no other system is hibernated: {remedy}",
        )
    else:
        yield warning(
            "the EFI variable HibernateLocation is left from an earlier hibernation and delays "
            "boots",
            remedy,
        )


def _is_anothers(value: bytes, release: str) -> bool:
    try:
        return EfiLocation.parse(value[efivar.ATTRIBUTES_SIZE :]).kernel_release != release
    except StateError:
        return False


def _is_there(spec: str, facts: Facts) -> bool:
    try:
        return find_device(spec, facts.root) is not None
    except DeviceNotFoundError:
        return False


def stock_resume(facts: Facts) -> Iterator[Finding]:
    """Look at RESUME=: for a wrong one initramfs-tools waits 30 s at each boot."""
    said, source = initramfs_tools.stock_resume(facts.root)
    if said in ("", "auto", "none"):
        return
    if not _is_there(said, facts):
        yield warning(
            f"{source}: RESUME={said} is not there, and each boot without resume= waits for it",
            f"correct it, or say RESUME=none, and {facts.again}",
        )
    else:
        yield ok(f"{source} names a device that is there")
