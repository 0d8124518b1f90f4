"""The vectors whose guard or machine facts are wrong."""

from dataclasses import replace

from tests.forge import chunk, guard, guard_entry
from tests.vectors.images import FACTS, SMALL, TABLED, Broken, flipped


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
    return made | {"table-checksum": ("R23", 4, "chunk 3 has a wrong checksum", hit)}
