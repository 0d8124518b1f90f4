"""The vectors whose tables are wrong."""

from dataclasses import replace

from tests.forge import PAGE, chunk, guard, guard_entry, leb, working_set
from tests.vectors.images import FACTS, SMALL, TABLED, Broken, flipped

PAGE_TYPES = bytes(range(40))


def sound() -> dict[str, tuple[bytes, bytes]]:
    """Return the sound images of this kind: of each its bytes, and its stream."""
    tables = ((4, working_set()), (5, PAGE_TYPES))
    numbered = tuple(
        (kind, chunk(nth, data, len(data))) for nth, (kind, data) in enumerate(tables, 2)
    )
    image = replace(SMALL, tables=numbered).build()
    return {"sound-working-set": (image, b"A" * PAGE + b"B" * PAGE)}


def broken() -> dict[str, Broken]:
    """Return all images that break a rule in their tables."""
    entry = guard_entry()
    no_facts, no_guard = "machine facts cannot be read", "guard cannot be read"
    cases = {
        "guard-too-few": ("R41", 4, no_guard, 2, guard(entry, count=2)),
        "guard-too-many": ("R41", 4, no_guard, 2, guard(entry, entry, count=1)),
        "guard-absurd-count": ("R41", 4, "more file systems", 2, guard(count=0xFFFF_FFFF)),
        "guard-absurd-text": ("R41", 4, no_guard, 2, guard(entry[:60] + b"\xff\xff" + entry[62:])),
        "guard-cut": ("R41", 4, no_guard, 2, guard(entry)[:-1]),
        "guard-method": ("R42", 5, "unknown kind 7", 2, guard(guard_entry(method=7))),
        "guard-flags": ("R42", 5, "unknown kind", 2, guard(guard_entry(flags=1))),
        "facts-cut": ("R41", 4, no_facts, 3, FACTS[:-1]),
        "facts-longer": ("R41", 4, no_facts, 3, FACTS + b"\0"),
        "facts-absurd-text": ("R41", 4, no_facts, 3, b"\xff" * 12),
        **_working_sets(),
        "page-types-cut": ("R43", 4, "page types cannot be read", 5, PAGE_TYPES[:-1]),
        "page-types-longer": ("R43", 4, "page types cannot be read", 5, PAGE_TYPES + b"\0"),
    }
    made = {
        name: (
            rule,
            code,
            message,
            replace(SMALL, tables=((kind, chunk(2, data, len(data))),)).build(),
        )
        for name, (rule, code, message, kind, data) in cases.items()
    }
    hit = flipped(TABLED.build(), TABLED.offsets()[3] + 60)
    hint = replace(SMALL, tables=((4, chunk(2, working_set(), len(working_set()))),))
    header = hint.offsets()[2] - 32
    return made | {
        "table-checksum": ("R23", 4, "chunk 3 has a wrong checksum", hit),
        "working-set-header": (
            "R20",
            4,
            f"section header at byte {header}",
            flipped(hint.build(), header + 12),
        ),
    }


def _working_sets() -> dict[str, tuple[str, int, str, int, bytes]]:
    unreadable, ends = "working set cannot be read", "ends before its ranges do"
    sets = {
        "cut": (unreadable, working_set()[:-1]),
        "longer": (unreadable, working_set() + b"\0"),
        "too-many-files": ("claims 4294967295 files", working_set(file_counts=(0xFFFF_FFFF,))),
        "checks": ("another number of checks", working_set(checks=bytes(8))),
        "name-shares-too-much": ("does not fit", working_set(names=b"\x01\x05bin/a")),
        "name-cut": ("does not fit", working_set(names=b"\x00\x05bin/")),
        "name-length": ("without a length", working_set(names=b"\x00\xff\xff\xff\x01")),
        "names-of-no-file": ("more names", working_set(names=working_set_names() + b"\0\0")),
        "ranges-cut": (ends, working_set(ranges=leb(5, 0, 0, 300))),
        "ranges-absurd-count": (ends, working_set(ranges=leb(1 << 60))),
        "ranges-of-no-file": ("of no file", working_set(ranges=leb(0, 0, 0, 0))),
        "ranges-touch": ("impossible range", working_set(ranges=leb(4, 0, 0, 0, 0, 0, 0))),
        "range-too-far": ("impossible range", working_set(ranges=leb(2, 1 << 63, 0, 0, 0))),
        "number-half": ("within a number", working_set(ranges=b"\x80")),
        "number-endless": ("no end", working_set(ranges=b"\xff" * 11)),
        "process-0": ("impossible process", working_set(processes=leb(0, 1, 0))),
        "process-cut": (ends, working_set(processes=leb(1, 17))),
    }
    made = {
        f"working-set-{name}": ("R43", 4, message, 4, data)
        for name, (message, data) in sets.items()
    }
    made["working-set-flags"] = ("R44", 5, "unknown flags 0x4", 4, working_set(flags=4))
    return made


def working_set_names() -> bytes:
    """Return the names of the sound one."""
    return b"\x00\x05bin/a\x04\x01b\x00\x01c"
