"""Checks that the initramfs holds the resumer, of this version, and runs it at the right time.

And that the boot opens the encryption and the logical volumes below the store, and below each
mounted file system, which the guard compares.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from errors import command
from initramfs.archive.initramfs import fingerprint
from initramfs.generators.find import generator_of
from initramfs.generators.generator import Fault
from initramfs.generators.layers import Crypt, Opened, Other, Volume
from state.location import PATH as LOCATION
from torpor.doctor.facts import STORE, Facts
from torpor.doctor.finding import Finding, Level, of_fault, ok, problem, warning

NEEDS = "/usr/lib/torpor/resume.needs"
RESUMER = "/usr/lib/torpor/resume/torpor-resume"
_OURS = "/usr/lib/torpor/"
_GPU = ("i915", "xe", "amdgpu", "radeon", "nouveau", "nvidia", "nvidia-current")
_SYSTEM = ("/", "/usr")
"""What every generator opens the devices of, if it can."""
_FOR_A_WHILE = ("/media/", "/mnt", "/run/media/")
"""Below these somebody mounts what is taken away again (hier(7), udisks)."""


def generator(facts: Facts) -> Iterator[Finding]:
    """See that there is one for `torpor enable` to run; after that what it made counts."""
    if not facts.is_enabled:
        yield ok(f"the initramfs is made by {generator_of(facts.root).name}")


def resumer(facts: Facts) -> Finding:
    """See that all that the resumer needs is in the initramfs."""
    needs = (facts.root.text(NEEDS) or "").split()
    if not needs:
        return problem(f"Torpor is not installed: there is no {NEEDS}", "install it again")
    initramfs, path = facts.initramfs, facts.initramfs_path
    if RESUMER not in initramfs:
        unknown = Fault(f"{path} does not hold the resumer")
        fault = facts.generator.lacking(facts.boot) if facts.generator else unknown
        return of_fault(fault, facts.again)
    names = {name.rpartition("/")[2] for name in initramfs.entries}
    missing = [
        need
        for need in needs
        if need not in initramfs
        # Generators put a library where the loader's own search finds it.
        and (need.startswith(_OURS) or need.rpartition("/")[2] not in names)
    ]
    if missing:
        more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
        return problem(
            f"{path} lacks {missing[0]}{more}, which the resumer needs", facts.again, facts.anew
        )
    return ok(f"{path} holds the resumer and the {len(needs)} files that it needs")


def version(facts: Facts) -> Iterator[Finding]:
    """Compare the resumer in the initramfs with the installed one."""
    initramfs = facts.initramfs
    paths = [path for path in (facts.root.text(NEEDS) or "").split() if path.startswith(_OURS)]
    other = []
    for path in paths:
        kept = initramfs.contents(path)
        data = None if kept is None else facts.root.data(path)
        if data is not None and fingerprint(data) != kept:
            other.append(path)
    if other:
        yield problem(
            f"{facts.initramfs_path} holds another version of {other[0]}", facts.again, facts.anew
        )
    elif RESUMER in initramfs:
        yield ok("the resumer in it is the installed one")


def kept_location(facts: Facts) -> Iterator[Finding]:
    """Compare the initramfs's copy of the location with the machine's."""
    here, there = facts.root.text(LOCATION), facts.initramfs.text(LOCATION)
    if here == there:
        if here is not None:
            yield ok(f"{LOCATION} in it is the current one")
    elif there is None:
        yield problem(f"{facts.initramfs_path} does not hold {LOCATION}", facts.again)
    elif here is None:
        yield warning(
            f"{facts.initramfs_path} holds a {LOCATION} that is gone here", facts.again, facts.anew
        )
    else:
        yield problem(f"{facts.initramfs_path} holds an older {LOCATION}", facts.again)


def order(facts: Facts) -> Iterator[Finding]:
    """See that the initramfs runs us, in front of the stock resume."""
    maker, is_there = facts.maker, RESUMER in facts.initramfs
    if maker is None:
        if not is_there:
            return
        yield warning(
            f"{facts.initramfs_path} was made by a generator that torpor doctor does not know",
            f"see that it runs {RESUMER} before the root is mounted",
        )
        return
    faults = list(maker.order(facts.boot) if is_there else maker.amiss(facts.boot))
    yield from (of_fault(fault, facts.again) for fault in faults)
    if is_there and not faults:
        yield ok("the initramfs runs it before the stock resume")


def gpu(facts: Facts) -> Finding:
    """Warn of graphics drivers that run in both the kernel that loads and the one restored."""
    pattern = re.compile(r"lib/modules/.*/([\w-]+)\.ko(\.\w+)?$")
    names = {
        found[1] for name in facts.initramfs.entries if (found := pattern.search(name)) is not None
    }
    loaded = [name for name in _GPU if name in names and facts.root.exists(_module_of(name))]
    if loaded:
        return warning(
            f"{facts.initramfs_path} holds the graphics driver {', '.join(loaded)}: some machines "
            "hang or stay dark after a resume",
            "if yours does: leave it out of the initramfs (early KMS), or boot with nomodeset once",
        )
    return ok("no graphics driver runs in the initramfs")


def _module_of(name: str) -> str:
    return f"/sys/module/{name.partition('-')[0]}"


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
        yield warning(f"what {facts.initramfs_path} opens is unknown", f"see that it opens {names}")
    else:
        for one, what in needed.items():
            if isinstance(one, Other):
                message = f"what opens {one.name}, on which {what} lies, is unknown"
                found = warning(message, f"see that {facts.initramfs_path} does")
            else:
                found = _found(facts, one, what, facts.maker.shut(facts.boot, one))
            if found.level != Level.OK and what.startswith(_FOR_A_WHILE):
                remedy = f"before you hibernate: {command('umount', what)}; or {found.remedy}"
                found = replace(found, remedy=remedy, enabling="")
            yield found


def _found(facts: Facts, one: Crypt | Volume, what: str, fault: Fault | None) -> Finding:
    verb = "open" if isinstance(one, Crypt) else "activate"
    on_it = f"{one.name}, on which {what} lies"
    if fault is None:
        return ok(f"the initramfs {verb}s {on_it}")
    # What / lies on was opened at this boot: perhaps by something that is not known.
    system = [each for mount in _SYSTEM for each in facts.to_open.get(mount, ())]
    message = f"{fault.message}, on which {what} lies"
    finding = of_fault(replace(fault, message=message, is_lesser=one in system), facts.again)
    if facts.generator is None or facts.is_rebuilt:
        return finding
    # What will still be wrong with the initramfs that is made after enable is the user's.
    foreseen = facts.generator.foreseen(facts.boot, facts.to_open[STORE], system)
    if later := facts.generator.shut(replace(facts.boot, initramfs=foreseen), one):
        return replace(finding, remedy=of_fault(later, facts.again).remedy)
    first = "run torpor enable" if what == STORE else facts.again
    remedy = f"{first}; if that is not enough: {finding.remedy}" if fault.remedy else first
    return replace(finding, remedy=remedy, enabling=f"have the initramfs {verb} {on_it}")
