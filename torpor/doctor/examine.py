"""The checks in their order, and what becomes of one that cannot be made."""

from collections.abc import Callable, Iterable, Iterator

from errors import TorporError
from linux.root import Root
from torpor.doctor import (
    check_devices,
    check_initramfs,
    check_sealing,
    check_store,
    check_system,
    check_systemctl,
)
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, problem

Check = Callable[[Facts], Finding | Iterable[Finding]]
"""Returns its finding, or yields where there may be none or several."""

CHECKS: tuple[Check, ...] = (
    check_system.kernel_support,
    check_system.lockdown,
    check_system.next_kernel,
    check_system.power_off,
    check_store.store,
    check_store.room,
    check_store.free_memory,
    check_store.old_image,
    check_store.secrecy,
    check_store.swapped,
    check_store.next_boot,
    check_store.names,
    check_initramfs.generator,
    check_initramfs.resumer,
    check_initramfs.version,
    check_initramfs.kept,
    check_initramfs.installation,
    check_initramfs.order,
    check_devices.layers,
    check_devices.drivers,
    check_devices.random_keys,
    check_sealing.keys,
    check_sealing.tpm,
    check_initramfs.gpu,
    check_system.zfs_pools,
    check_system.served,
    check_system.stateful,
    check_system.unguarded,
    check_system.stock_resume,
    check_system.hibernate_location,
    check_system.systemd_options,
    check_systemctl.systemctl,
)


def examine(root: Root, can_hibernate: Callable[[], str] = str) -> Iterator[Finding]:
    """Yield what the checks find, each finding once. `can_hibernate` as in Facts."""
    facts = Facts(root, can_hibernate)
    seen = set()
    for check in CHECKS:
        for found in made(check, facts):
            finding = found if facts.is_enabled else found.before_enable()
            if finding not in seen:
                seen.add(finding)
                yield finding


def made(check: Check, facts: Facts) -> Iterator[Finding]:
    """Make a check; where it fails, that is the finding: several may fail for one reason."""
    try:
        found = check(facts)
        yield from [found] if isinstance(found, Finding) else found
    except TorporError as error:
        yield problem(str(error), error.hint)
    except PermissionError as error:
        yield problem(
            f"cannot read {_name(error, facts)} without being root: what depends on it is not "
            "checked",
            "run torpor doctor as root",
        )
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        yield problem(f"cannot read {_name(error, facts)}: {reason}", "see the kernel log: dmesg")


def _name(error: OSError, facts: Facts) -> str:
    return str(error.filename).removeprefix(facts.root.root)
