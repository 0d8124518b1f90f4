"""Checks that there is a store with room for an image, and that the next boot looks there."""

from collections.abc import Iterator

from errors import NoSpaceError, command
from linux.memory import image_of, memory
from store.choose import check_room, doubts
from store.names import passing_names
from store.secrecy import exposure, plain_swap
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, ok, problem, warning


def store(facts: Facts) -> Finding:
    """Say what the store is."""
    found = facts.store
    return ok(f"the store is {found.path}, a {found.kind}")


def room(facts: Facts) -> Finding:
    """Compare the room in the store with what an image may take."""
    found, sizes = facts.store, memory(facts.root)
    limit = facts.conf.image_size
    if limit is None:
        limit = int(facts.root.line("/sys/power/image_size") or 0)
    expected = image_of(sizes, limit)
    words = f"{found.path} has {_mib(found.room)} for an image of about {_mib(expected)}"
    try:
        check_room(found.path, found.room, expected)
    except NoSpaceError as error:
        return problem(str(error), error.hint)
    if found.room < expected:
        return warning(
            f"{words} before compression: it may not fit",
            "use a larger store, or set image-size in /etc/torpor.conf",
        )
    return ok(words)


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"


def free_memory(facts: Facts) -> Finding:
    """See that half of the memory can be free: the snapshot has to fit there."""
    sizes = memory(facts.root)
    programs = sizes.get("AnonPages", 0) + sizes.get("Shmem", 0)
    fixed = programs + sizes.get("SUnreclaim", 0)
    over = fixed - sizes["MemTotal"] // 2
    if over > sizes.get("SwapFree", 0):
        return problem(
            f"programs hold {_mib(over)} more than half of the memory, and there is no swap for it",
            "close programs, or add swap",
        )
    if over > 0:
        return warning(
            f"programs hold {_mib(over)} more than half of the memory, which has to be swapped out "
            "first",
            "close programs to hibernate faster",
        )
    return ok("there is memory for a snapshot")


def old_image(facts: Facts) -> Finding:
    """Look for an image that nobody resumed from."""
    found = facts.store
    if error := found.others_image:
        return problem(str(error), error.hint)
    if found.area is None and found.holds_image:
        return warning(
            f"an old image lies on {found.path}, of memory that is long gone",
            command("torpor", "discard", found.path),
        )
    return ok(f"no old image lies on {found.path}")


def secrecy(facts: Facts) -> Finding:
    """See that an image does not give away what is encrypted."""
    if doubt := exposure(facts.store, facts.root):
        return problem(doubt.message, doubt.remedy)
    return ok("an image is as secret as the file systems that are mounted")


def swapped(facts: Facts) -> Iterator[Finding]:
    """See that swap is as secret as sealed images are."""
    if doubt := plain_swap(facts.root):
        yield warning(doubt.message, doubt.remedy)


def next_boot(facts: Facts) -> Iterator[Finding]:
    """See that the next boot finds the store, as far as it can be told."""
    found = list(doubts(facts.store, facts.settings, facts.root))
    for doubt in found:
        yield problem(doubt.message, doubt.remedy, doubt.enabling)
    if not found:
        by = "resume= on the kernel command line" if facts.settings.named else "torpor enable"
        yield ok(f"the next boot looks for the image where {by} says, which is the store")


def names(facts: Facts) -> Iterator[Finding]:
    """See that the names that lead to the store are those of the next boot."""
    for doubt in passing_names(facts.settings, facts.root):
        yield warning(doubt.message, doubt.remedy)
