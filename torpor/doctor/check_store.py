"""Checks that there is a store with room for an image, and that the next boot looks there."""

from collections.abc import Iterator

from hibernate.choose import LEAST_RATIO
from linux.memory import image_of
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, ok, problem, warning
from torpor.doctor.stores import Kind, Store

_ENABLE = "torpor enable"


def store(facts: Facts) -> Iterator[Finding]:
    """Say what the store is."""
    found = facts.store
    yield ok(f"the store is {found.path}, a {found.kind}")


def room(facts: Facts) -> Iterator[Finding]:
    """Compare the room in the store with what an image may take."""
    found, sizes = facts.store, facts.machine.memory()
    limit = facts.conf.image_size
    if limit is None:
        limit = int(facts.machine.line("/sys/power/image_size") or 0)
    expected = image_of(sizes, limit)
    words = f"{found.path} has {_mib(found.room)} for an image of about {_mib(expected)}"
    if found.room * LEAST_RATIO < expected:
        yield problem(
            f"{words} before compression: it will not fit",
            "use a larger store, empty swap (swapoff -a; swapon -a), or close programs",
        )
    elif found.room < expected:
        yield warning(
            f"{words} before compression: it may not fit",
            "use a larger store, or set image-size in /etc/torpor.conf",
        )
    else:
        yield ok(words)


def _mib(size: int) -> str:
    return f"{size >> 20} MiB"


def memory(facts: Facts) -> Iterator[Finding]:
    """See that half of the memory can be free: the snapshot has to fit there."""
    sizes = facts.machine.memory()
    programs = sizes.get("AnonPages", 0) + sizes.get("Shmem", 0)
    fixed = programs + sizes.get("SUnreclaim", 0)
    over = fixed - sizes["MemTotal"] // 2
    if over > sizes.get("SwapFree", 0):
        yield problem(
            f"programs hold {_mib(over)} more than half of the memory, and there is no swap for it",
            "close programs, or add swap",
        )
    elif over > 0:
        yield warning(
            f"programs hold {_mib(over)} more than half of the memory, which has to be swapped out "
            "first",
            "close programs to hibernate faster",
        )
    else:
        yield ok("there is memory for a snapshot")


def old_image(facts: Facts) -> Iterator[Finding]:
    """Look for an image that nobody resumed from."""
    found = facts.store
    if found.kind in (Kind.STORE_DEVICE, Kind.STORE_FILE) and found.header.holds_image():
        yield warning(
            f"an old image lies on {found.path}, of memory that is long gone",
            f"torpor discard {found.path}",
        )
    else:
        yield ok(f"no old image lies on {found.path}")


def resume_parameter(facts: Facts) -> Iterator[Finding]:
    """Compare the kernel command line with the store."""
    parameters = facts.parameters
    if "noresume" in parameters:
        yield problem(
            "the kernel command line has noresume: a boot with it throws the image away",
            "take it off the boot loader's configuration",
        )
    spec = parameters.get("resume")
    if not spec:
        yield from _without_parameter(facts)
        return
    device = facts.machine.device(spec)
    if device is None:
        yield problem(
            f"resume={spec} on the kernel command line names nothing that is there: each boot "
            "waits for it",
            "take it off the boot loader's configuration and run: torpor enable",
        )
        return
    offset = parameters.get("resume_offset", "0")
    yield from _compare(facts.store, f"resume={spec} on the kernel command line", device, offset)


def _without_parameter(facts: Facts) -> Iterator[Finding]:
    enabling = f"tell the next boot where {facts.store.path} is"
    if facts.location:
        yield ok("no resume= on the kernel command line: the boot looks where torpor enable says")
    elif facts.store.page:
        yield problem(f"nothing tells the next boot where {facts.store.path} is", _ENABLE, enabling)
    else:
        yield warning(
            f"nothing tells the next boot to wait for {facts.store.path}", _ENABLE, enabling
        )


def _compare(found: Store, source: str, device: str, offset: str) -> Iterator[Finding]:
    if device != found.device:
        yield problem(
            f"{source} names {device}, but the store {found.path} is on {found.device}",
            "take resume= off the boot loader's configuration, and run: torpor enable",
        )
    elif not offset.isdecimal() or int(offset) != found.page:
        yield problem(
            f"{source} says page {offset}, but {found.path} begins at page {found.page}",
            "take resume_offset= off the boot loader's configuration, and run: torpor enable",
        )
    else:
        yield ok(f"{source} names the store")


def location(facts: Facts) -> Iterator[Finding]:
    """Compare what `torpor enable` wrote with the store of now."""
    found, kept = facts.store, facts.location
    if kept is None:
        return  # whether that matters, resume_parameter says
    device = facts.machine.device(kept.resume)
    machine_id = facts.machine.line("/etc/machine-id")
    again = f"torpor enable --store {found.path}"
    if device is None:
        yield problem(f"/var/lib/torpor/location: {kept.resume} is not there", again)
    elif device != found.device:
        yield problem(
            f"/var/lib/torpor/location names {device}, but {found.path} is on {found.device}", again
        )
    elif kept.offset != found.page:
        yield problem(
            f"{found.path} has moved: it begins at page {found.page}, and /var/lib/torpor/location "
            f"says {kept.offset}",
            again,
        )
    elif kept.machine_id and machine_id and kept.machine_id != machine_id:
        yield problem("/var/lib/torpor/location is another installation's: machine_id", again)
    else:
        yield ok("/var/lib/torpor/location names the store")
