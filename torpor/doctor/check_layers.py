"""Checks that the boot opens the encryption and the logical volumes that a resume needs.

Those below the store, and those below each mounted file system, which the guard compares.
"""

from collections.abc import Iterator
from dataclasses import replace

from initramfs.generators.generator import Fault, Generator
from initramfs.generators.layers import Crypt, Opened
from torpor.doctor.facts import STORE, Facts
from torpor.doctor.finding import Finding, of_fault, ok, warning

_SYSTEM = ("/", "/usr")
"""What every generator opens the devices of, if it can."""


def layers(facts: Facts) -> Iterator[Finding]:
    """Look at what has to be opened, the store's devices first."""
    needed: dict[Opened, str] = {}
    for what, opened in facts.to_open.items():
        for one in opened:
            needed.setdefault(one, what)
    if not needed:
        yield ok("the store and all file systems lie on disks or partitions, nothing is to open")
    elif facts.maker is None:
        names = ", ".join(one.name for one in needed)
        yield warning(
            f"it cannot be told what {facts.initramfs_path} opens", f"see that it opens {names}"
        )
    else:
        for one, what in needed.items():
            yield _found(facts, one, what, facts.maker.shut(facts.boot, one))


def _found(facts: Facts, one: Opened, what: str, fault: Fault | None) -> Finding:
    verb = "open" if isinstance(one, Crypt) else "activate"
    on_it = f"{one.name}, on which {what} lies"
    if fault is None:
        return ok(f"the initramfs {verb}s {on_it}")
    # What / lies on was opened at this boot: perhaps by something that is not known.
    is_lesser = any(one in facts.to_open.get(mount, ()) for mount in _SYSTEM)
    message = f"{fault.message}, on which {what} lies"
    finding = of_fault(replace(fault, message=message, is_lesser=is_lesser), facts.again)
    if facts.generator is None or facts.is_rebuilt:
        return finding
    if later := _later(facts, facts.generator, one):
        return replace(finding, remedy=of_fault(later, facts.again).remedy)
    first = "run torpor enable" if what == STORE else facts.again
    remedy = f"{first}; if that is not enough: {finding.remedy}" if fault.remedy else first
    return replace(finding, remedy=remedy, enabling=f"have the initramfs {verb} {on_it}")


def _later(facts: Facts, generator: Generator, one: Opened) -> Fault | None:
    """Return what will be wrong with the initramfs that the generator makes after enable."""
    lists = facts.to_open
    system = [one for mount in _SYSTEM for one in lists.get(mount, ())]
    initramfs = generator.foreseen(facts.boot, lists[STORE], system)
    return generator.shut(replace(facts.boot, initramfs=initramfs), one)
