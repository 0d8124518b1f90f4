"""Checks that a boot reaches the devices of the store and of what is mounted, for the guard.

It has to open their encryption and logical volumes, to assemble arrays, to connect to servers, and
to hold the drivers of the disks.
"""

import re
from collections.abc import Iterator

from errors import InitramfsError
from initramfs.generators.generator import Fault
from initramfs.generators.joined import Joined
from initramfs.generators.layers import Known, Opened, Other
from torpor.doctor.check_initramfs import RESUMER
from torpor.doctor.facts import STORE, Facts
from torpor.doctor.finding import Finding, Level, of_fault, ok, problem, warning
from torpor.doctor.unreached import (
    drivers_beside,
    has_random_key,
    lost_keys,
    of_system,
    unmounted,
)

_FOR_A_WHILE = ("/media/", "/mnt", "/run/media/")
"""Below these somebody mounts what is taken away again (hier(7), udisks)."""
_MODULE = re.compile(r"lib/modules/.*/([\w-]+)\.ko(\.\w+)?$")


def layers(facts: Facts) -> Iterator[Finding]:
    """Look at what has to be opened, the store's devices first."""
    if not any(facts.to_open.values()):
        yield ok("the store and all file systems lie on disks or partitions, nothing is to open")
    for what, found in _opened(facts):
        is_for_a_while = found.level != Level.OK and what.startswith(_FOR_A_WHILE)
        yield unmounted(what, found)._replace(enabling="") if is_for_a_while else found


def drivers(facts: Facts) -> Iterator[Finding]:
    """Look for the drivers of the disks; those of / and /usr were there at this boot."""
    found = [each for _, each in _driven(facts)]
    yield from found or [ok("the initramfs holds the drivers of the disks")]


def random_keys(facts: Facts) -> Iterator[Finding]:
    """Look for file systems that the next boot cannot read, whatever the initramfs opens."""
    yield from (unmounted(what, found) for what, found in lost_keys(facts))


def judged(facts: Facts) -> list[tuple[str, Finding]]:
    """Return what the initramfs reaches and what not, and what lies there.

    Nothing where what is said of it does not agree with this boot.
    """
    return [*_opened(facts), *_driven(facts)] if _is_known(facts) else []


def _is_known(facts: Facts) -> bool:
    """Return whether what is said of the initramfs agrees with this boot."""
    try:
        maker = facts.maker
    except (InitramfsError, OSError):
        return False
    if maker is None or RESUMER not in facts.initramfs:
        return False
    return not any(maker.shut(facts.boot, one) for one in of_system(facts))


def _opened(facts: Facts) -> Iterator[tuple[str, Finding]]:
    """Yield whether each of the devices is opened, and what lies on it."""
    needed: dict[Opened, str] = {}
    for what, opened in facts.to_open.items():
        for one in opened:
            if not has_random_key(facts, one):
                needed.setdefault(one, what)
    if needed and facts.maker is None:
        names = ", ".join(one.name for one in needed)
        message = f"what {facts.initramfs_path} opens is unknown"
        yield STORE, warning(message, f"see that it opens {names}")
        return
    yield from ((what, _found(facts, one, what)) for one, what in needed.items())


def _found(facts: Facts, one: Opened, what: str) -> Finding:
    on_it = f"{one.name}, on which {what} lies"
    if isinstance(one, Other) or facts.maker is None:
        message = f"what opens {on_it}, is unknown"
        return warning(message, f"see that {facts.initramfs_path} does")
    fault = facts.maker.shut(facts.boot, one)
    system = of_system(facts)
    if fault is None and isinstance(one, Joined) and one.is_remote and one not in system:
        message = f"whether {facts.initramfs_path} can {one.verb} {on_it}, is unknown"
        return warning(message, "see that it does")
    if fault is None:
        return ok(f"the initramfs {one.verb}s {on_it}")
    message = f"{fault.message}, on which {what} lies"
    is_lesser = one in system
    finding = of_fault(fault._replace(message=message, is_lesser=is_lesser), facts.again)
    finding = finding._replace(is_certain=not is_lesser and not fault.may_ask)
    if facts.generator is None or facts.is_rebuilt or isinstance(one, Joined):
        return finding
    return _after_enable(facts, one, what, finding, fault)


def _after_enable(facts: Facts, one: Known, what: str, finding: Finding, fault: Fault) -> Finding:
    """Return the finding with what will still be wrong with the initramfs that enable makes."""
    generator = facts.generator
    if generator is None:
        return finding
    foreseen = generator.foreseen(facts.boot, facts.to_open[STORE], of_system(facts))
    if later := generator.shut(facts.boot._replace(initramfs=foreseen), one):
        return finding._replace(remedy=of_fault(later, facts.again).remedy)
    first = "run torpor enable" if what == STORE else facts.again
    remedy = f"{first}; if that is not enough: {finding.remedy}" if fault.remedy else first
    on_it = f"{one.name}, on which {what} lies"
    return finding._replace(remedy=remedy, enabling=f"have the initramfs {one.verb} {on_it}")


def _driven(facts: Facts) -> Iterator[tuple[str, Finding]]:
    others = drivers_beside(facts)
    names = map(_MODULE.search, facts.initramfs.entries if others else ())
    held = {found[1].replace("-", "_") for found in names if found}
    for module, (disk, what) in others.items():
        if module not in held:
            add = facts.maker.add_module.format(module) if facts.maker else "put it there"
            lacking = f"{facts.initramfs_path} lacks {module}.ko"
            message = f"{lacking}, a driver of {disk}, on which {what} lies"
            yield what, problem(message, f"{add}, and {facts.again}")._replace(is_certain=True)
