"""A look into the initramfs that enable, disable or rebuild has had rebuilt."""

from collections.abc import Iterator
from contextlib import suppress

from errors import InitramfsError, NotReadyError, TorporError
from initramfs.generators.kernels import installed
from initramfs.generators.mkinitcpio import MKINITCPIO, hooks_for
from linux.root import Root
from torpor.doctor import check_devices, check_initramfs, check_sealing
from torpor.doctor.examine import made
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, Level

_CHECKS = (
    check_initramfs.resumer,
    check_initramfs.version,
    check_initramfs.kept,
    check_initramfs.installation,
    check_initramfs.order,
)
_FIND_OUT = "find out what makes it, and where that is told to write: a boot takes this one"
_TICK = 2
"""Seconds to which FAT rounds times down."""


def after_rebuild(root: Root, command: str, began: float) -> list[str]:
    """Return what is to be said of the initramfs of the next boot, rebuilt since `began`.

    That is the running kernel's, and the newest one's. `command` is what made it. Raises
    NotReadyError if the resumer is not in it, although `torpor enable` was run.
    """
    again = f"run {command} again"
    known = installed(root) or [root.release]
    running = root.release if root.release in known else known[-1]
    remarks: dict[str, None] = {}
    for release in dict.fromkeys((running, known[-1])):
        facts = Facts(root, release=release, again=again)
        remarks |= dict.fromkeys(_looked(facts, began))
    return [*remarks]


def _looked(facts: Facts, began: float) -> Iterator[str]:
    findings = [found for check in _CHECKS for found in made(check, facts)]
    if not facts.is_enabled:
        findings = [found.before_enable() for found in findings]
    elif _holds_resumer(facts):
        with suppress(TorporError, OSError):  # of the store, say, which is not what is looked at
            findings += [*check_devices.layers(facts), *check_devices.drivers(facts)]
        findings += made(check_sealing.next_boot, facts)
    else:
        lacking = next(found for found in findings if found.level == Level.PROBLEM)
        raise NotReadyError(*_explained(facts, lacking, began))
    bad = [found for found in findings if found.level not in (Level.OK, Level.ENABLE)]
    if bad and _is_older(facts, began):
        yield f"{facts.initramfs_path} was not rebuilt: {_FIND_OUT}"
        bad = [found._replace(remedy="") if found.remedy == facts.again else found for found in bad]
    yield from (f"{found.message}: {found.remedy}".rstrip(": ") for found in bad)


def _holds_resumer(facts: Facts) -> bool:
    """Return whether it does, or that cannot be told: there is none that can be read."""
    try:
        return check_initramfs.RESUMER in facts.initramfs
    except (InitramfsError, OSError):
        return True


def _explained(facts: Facts, lacking: Finding, began: float) -> tuple[str, str]:
    if _is_older(facts, began):
        return (
            f"{facts.initramfs_path} was not rebuilt, and does not hold the resumer",
            _FIND_OUT,
        )
    if lacking.remedy == facts.again:  # nothing is known that keeps it out
        usual = Facts(facts.root).again
        return lacking.message, f"look for torpor in what is printed when you {usual}"
    return lacking.message, lacking.remedy


def _is_older(facts: Facts, began: float) -> bool:
    """Return whether it was written before; False if there is none."""
    with suppress(InitramfsError):
        return facts.root.modified(facts.initramfs_path) + _TICK < began
    return False


def after_disable(root: Root, began: float) -> list[str]:
    """Return a line if the initramfs of the next boot still holds the resumer."""
    facts = Facts(root)
    try:
        if check_initramfs.RESUMER not in facts.initramfs:
            return []
        why = "it was not rebuilt" if _is_older(facts, began) else _why_it_is_there(facts)
    except (InitramfsError, OSError):
        return []
    return [f"{facts.initramfs_path} still holds the resumer, which finds no image: {why}"]


def _why_it_is_there(facts: Facts) -> str:
    if facts.maker is MKINITCPIO:
        hooks = hooks_for(facts.boot)
        if hooks.has_ours:
            return f"HOOKS in {hooks.source} has it"
    return "it goes with Torpor's package"
