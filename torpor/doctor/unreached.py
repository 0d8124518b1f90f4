"""What the next boot certainly does not reach, so that `torpor hibernate` refuses.

Most machines have no device to look for but those that / and /usr are on. For them this needs
nothing of what knows the initramfs generators, 50 ms of imports.
"""

from collections.abc import Iterator

from errors import command
from initramfs.generators.layers import Crypt, Known, Opened, Other
from store import crypttab
from torpor.doctor.facts import STORE, Facts
from torpor.doctor.finding import Finding, problem

_SYSTEM = ("/", "/usr")
"""What every generator opens the devices of, if it can."""


def unreached(facts: Facts) -> list[Finding]:
    """Return what the next boot certainly does not reach, so that it loses the image.

    Nothing where the initramfs cannot be read, or does not open what this boot has opened: then it
    is another one, or not known well enough. It is not read, which may take a second or two, where
    all that is to be reached comes with / and /usr. Raises as Facts.
    """
    found = [*lost_keys(facts)]
    if _is_any_beside(facts):
        from torpor.doctor.check_devices import judged  # what knows the initramfs generators

        found += judged(facts)
    certain = ((what, each) for what, each in found if each.is_certain)
    return [each if what == STORE else unmounted(what, each) for what, each in certain]


def _is_any_beside(facts: Facts) -> bool:
    """Return whether a boot has to open or drive anything besides what / and /usr are on."""
    opened = {one for each in facts.to_open.values() for one in each}
    return bool(opened - {*of_system(facts)}) or any(drivers_beside(facts))


def of_system(facts: Facts) -> list[Known]:
    """Return what / and /usr lie on: it was opened at this boot, perhaps by what is not known."""
    found = [each for mount in _SYSTEM for each in facts.to_open.get(mount, ())]
    return [each for each in found if not isinstance(each, Other)]


def lost_keys(facts: Facts) -> Iterator[tuple[str, Finding]]:
    """Yield what is encrypted with another key at each boot, and a problem for it."""
    for what, opened in facts.to_open.items():
        for one in opened:
            if has_random_key(facts, one):
                message = (
                    f"{what} is encrypted with a new random key at each boot ({one.name} in "
                    f"{crypttab.PATH}): the next one cannot compare it, and loses the image"
                )
                yield what, problem(message, "use LUKS for it")._replace(is_certain=True)


def has_random_key(facts: Facts, one: Opened) -> bool:
    """Return whether it is encrypted with another key at each boot."""
    line = facts.crypttab_lines.get(one.name) if isinstance(one, Crypt) else None
    return line is not None and line.has_random_key


def drivers_beside(facts: Facts) -> dict[str, tuple[str, str]]:
    """Return by module what disk it drives, and what lies there, but for those of / and /usr."""
    system = {module for each in _SYSTEM for module in facts.drivers.get(each, ())}
    return {
        module: (disk, what)
        for what, driven in reversed(facts.drivers.items())
        for module, disk in driven.items()
        if module not in system
    }


def unmounted(what: str, found: Finding) -> Finding:
    """Return the finding with another remedy in front, for what is mounted."""
    return found._replace(
        remedy=f"before you hibernate: {command('umount', what)}; or {found.remedy}"
    )
