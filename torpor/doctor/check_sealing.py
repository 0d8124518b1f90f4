"""Checks the path of a sealed image: who seals it, for whom, and whether the next boot opens it.

Seals secrets in the TPM, which keeps nothing of them; nothing else is touched.
"""

from collections.abc import Iterator

from errors import LockedError, OtherTpmError, TorporError, command
from seal.doubts import doubts
from seal.sender import read_seed
from seal.slots import SENDER, SLOTS, KeyFileSlot, Keys, Slot, by_tpm, read_keys
from seal.tpm import GRUB, INITRAMFS, LOADER, PCRS
from state.record import HIBERNATION_PATH, HibernationRecord, Outcome
from state.sealing import PATH as SEALING
from state.sealing import Trust
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, ok, problem, warning

_GRUB_FILES = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_NO_TPM = "switch the TPM on in the firmware, or do without"


def keys(facts: Facts) -> Iterator[Finding]:
    """See that boots trust who seals, and that images can be sealed for the keys.

    A key that nothing can be sealed for is a problem where no other one is left. Raises
    ConfigurationError, StateError, UnreadableError.
    """
    text = facts.root.text(SEALING)
    if text is None:
        return
    read_seed(Trust.parse(text, SEALING), facts.root.path(SENDER))
    found = read_keys(facts.root.path(SLOTS))
    failed = {name: why for name, slot in found.slots.items() if (why := _why_not(slot, facts))}
    ready = [name for name in found.slots if name not in failed]
    if ready:
        yield ok(f"images are sealed for {', '.join(ready)}")
    elif not failed:
        add = command("torpor", "key", "add", "passphrase")
        yield problem("sealing is on, and there is no key that opens an image", add)
    for name, why in failed.items():
        remedy = why.hint or _instead(name, found.slots[name], why)
        yield (warning if ready else problem)(f"images are not sealed for {name}: {why}", remedy)
    for doubt in doubts(found, facts.root):
        yield warning(doubt.message, doubt.remedy)


def _why_not(slot: Slot, facts: Facts) -> TorporError | None:
    """Return why nothing can be sealed for a key, None if it can."""
    try:
        slot.ready(facts.tpm)
    except TorporError as error:
        return error
    return None


def _instead(name: str, slot: Slot, why: TorporError) -> str:
    """Return what gives another key for one that cannot be used."""
    if isinstance(why, OtherTpmError):
        return f"make it anew: {command('torpor', 'key', 'rotate', name)}"
    remove = command("torpor", "key", "remove", name)
    if isinstance(slot, KeyFileSlot):
        return f"{command('torpor', 'key', 'add', f'keyfile={slot.path}')}; {remove}"
    return f"{_NO_TPM}: {command('torpor', 'key', 'add', 'passphrase')}; {remove}"


def tpm(facts: Facts) -> Iterator[Finding]:
    """See that the TPM tells a copy of the disk and another boot from this one's.

    Raises ConfigurationError, StateError, UnreadableError.
    """
    if not _uses_tpm(facts):
        return
    found = read_keys(facts.root.path(SLOTS))
    try:
        unmeasured = facts.tpm.unmeasured(PCRS)
    except LockedError:
        return  # `keys` says why
    yield from _counted(facts, found)
    for pcr, what in ((LOADER, "boot loader"), (INITRAMFS, "initramfs")):
        if pcr in unmeasured:
            yield warning(
                f"this boot has not measured its {what} (PCR {pcr}): the TPM opens an image for "
                "another one, too",
                "boot by UEFI, with a loader that measures, or have the TPM ask for a PIN: "
                f"{command('torpor', 'key', 'add', 'tpm2+pin')}",
            )
    yield from next_boot(facts)


def _uses_tpm(facts: Facts) -> bool:
    text = facts.root.text(SEALING)
    return text is not None and Trust.parse(text, SEALING).needs_tpm


def _counted(facts: Facts, found: Keys) -> Iterator[Finding]:
    """See that the TPM has the counter that tells the newest image from copies of older ones."""
    try:
        facts.tpm.read_counter(found.counter)
    except LockedError as error:
        names = [name for name, slot in found.slots.items() if by_tpm(slot)]
        yield warning(
            f"a copy of the disk that is put back later is restored as well: {error}",
            f"if the TPM was cleared: {command('torpor', 'key', 'rotate', *names)}",
        )
    else:
        yield ok("the TPM counts the images")


def next_boot(facts: Facts) -> Iterator[Finding]:
    """See that the next boot measures what this one did, as far as files tell.

    Raises ConfigurationError, StateError, UnreadableError, InitramfsError.
    """
    if not _uses_tpm(facts):
        return
    try:
        unmeasured = facts.tpm.unmeasured((GRUB, INITRAMFS))
    except LockedError:
        return  # `keys` says why
    files = [] if INITRAMFS in unmeasured else [facts.initramfs_path]
    files += [] if GRUB in unmeasured else _GRUB_FILES
    began = _began(facts)
    for path in files:
        if facts.root.modified(path) > began:
            yield warning(
                f"{path} is newer than this boot: the TPM does not open an image in the next one, "
                "which measures something else",
                "restart once before you hibernate",
            )


def _began(facts: Facts) -> float:
    """Return when the machine was powered on last, or had just resumed, in seconds since 1970."""
    words = (facts.root.text("/proc/stat") or "").split()
    began = float(words[words.index("btime") + 1]) if "btime" in words else 0.0
    last = HibernationRecord.read(facts.root.path(HIBERNATION_PATH))
    resumed = last.ended if last and last.outcome == Outcome.RESUMED else 0.0
    return max(began, resumed)
