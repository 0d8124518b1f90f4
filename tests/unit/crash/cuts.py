"""Every disk that a power cut can leave of a trace.

The method of CrashMonkey (Mohan et al., OSDI 2018) and ALICE (Pillai et al., OSDI 2014): all that
was flushed is there, of the rest any part, in any order, down to the sector.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from random import Random

from tests.forge import PAGE
from tests.unit.crash.trace import Disks, Event, Flush, Write, replay

SECTOR = 512


@dataclass(frozen=True, slots=True)
class Depth:
    """How much is tried where all would be too many."""

    all_of: int
    """Every subset of so many unflushed writes at most."""
    random: int
    """So many random subsets of more."""
    sectors: int
    """Every subset of the sectors of a write that has so many at most."""
    both: int
    """So many ways to tear both of two unflushed writes, for every two of them."""


FEW = Depth(all_of=3, random=4, sectors=2, both=1)
SHORT = Depth(all_of=5, random=30, sectors=4, both=2)
LONG = Depth(all_of=11, random=600, sectors=8, both=20)


@dataclass(frozen=True, slots=True)
class Crash:
    """What a power cut leaves, and what a boot may do with it."""

    flushed: Disks
    parts: Sequence[Write]
    """What reached the disks of the rest."""
    may: frozenset[str]
    digest: bytes
    """Of the disks: tells them from others."""
    where: str
    """For messages."""

    @property
    def disks(self) -> Disks:
        return replay(self.flushed, self.parts)


def crashes(
    before: Disks, events: Sequence[Event], may: frozenset[str], depth: Depth, known: int
) -> Iterator[Crash]:
    """Yield each crash of this trace, some more than once; `may` is what holds at its beginning.

    Those within the first `known` events are left out.

    A cut between two writes leaves what a later one leaves that loses the second write whole. So
    cuts are made only where something changes: before a flush, a new expectation and the end.
    """
    durable, pending = before, list[Write]()
    digests = Digests(durable)
    for nth, event in enumerate([*events, None]):
        if isinstance(event, Write):
            pending.append(event)
            continue
        found = [_changing(one, durable) for one in pending]
        for parts in _survivors(found, depth) if nth >= known else ():
            where = f"event {nth} of {len(events)}, {len(parts)} pieces of {len(pending)} writes"
            yield Crash(durable, parts, may, digests.after(parts), where)
        if isinstance(event, Flush):
            durable = replay(durable, [one for one in pending if one.disk == event.disk])
            digests = Digests(durable)
            pending = [one for one in pending if one.disk != event.disk]
        elif event:
            may = event.may


def _changing(write: Write, disks: Disks) -> Write:
    """Return the write without the sectors at its ends that are on the disk already."""
    there, size = disks[write.disk], len(write.data)
    starts = [
        start
        for start in range(0, size, SECTOR)
        if write.data[start : start + SECTOR]
        != there[write.offset + start : write.offset + min(start + SECTOR, size)]
    ]
    first, end = (starts[0], starts[-1] + SECTOR) if starts else (0, 0)
    return Write(write.disk, write.offset + first, write.data[first:end])


def _survivors(pending: Sequence[Write], depth: Depth) -> Iterator[list[Write]]:
    """Yield what can reach the disks of these writes: any of them, one or two of them torn."""
    yield from (
        [one for one, is_kept in zip(pending, kept, strict=True) if is_kept]
        for kept in _subsets(len(pending), depth.all_of, depth.random)
    )
    torn = [[*_torn(write, depth)] for write in pending]
    for nth, ways in enumerate(torn):
        for way in ways:
            yield way
            yield [*pending[:nth], *way]
            yield [*pending[:nth], *way, *pending[nth + 1 :]]
    chance = Random(len(pending))
    for first, second in combinations([nth for nth, ways in enumerate(torn) if ways], 2):
        for _ in range(depth.both):
            one, other = chance.choice(torn[first]), chance.choice(torn[second])
            yield [*one, *other]
            yield [*pending[:first], *one, *pending[first + 1 : second], *other]
            yield [
                *pending[:first],
                *one,
                *pending[first + 1 : second],
                *other,
                *pending[second + 1 :],
            ]


def _subsets(count: int, all_of: int, some: int) -> Iterator[Sequence[bool]]:
    """Yield which of so many are kept: all subsets, or the telling ones and random ones."""
    if count <= all_of:
        yield from product((False, True), repeat=count)
        return
    chance = Random(count)
    for nth in range(count + 1):
        yield [one < nth for one in range(count)]
        yield [one >= nth for one in range(count)]
        yield [one == nth for one in range(count)]
        yield [one != nth for one in range(count)]
    for _ in range(some):
        yield [chance.random() < 0.5 for _ in range(count)]


def _torn(write: Write, depth: Depth) -> Iterator[list[Write]]:
    """Yield the sectors of a write that reach the disk: neither all nor none of them."""
    starts = range(0, len(write.data), SECTOR)
    for kept in _subsets(len(starts), depth.sectors, depth.random // 10):
        if any(kept) and not all(kept):
            yield [
                Write(write.disk, write.offset + start, write.data[start : start + SECTOR])
                for start, is_kept in zip(starts, kept, strict=True)
                if is_kept
            ]


class Digests:
    """Tells these disks, a few writes later, from all others; hashes only the pages written to."""

    def __init__(self, disks: Disks) -> None:
        self._disks = disks
        self._pages = {
            (nth, at): hashlib.sha256(disk[at : at + PAGE]).digest()
            for nth, disk in enumerate(disks)
            for at in range(0, len(disk), PAGE)
        }

    def after(self, writes: Sequence[Write]) -> bytes:
        changed: dict[tuple[int, int], bytearray] = {}
        for write in writes:
            for at in range(write.offset // PAGE * PAGE, write.offset + len(write.data), PAGE):
                page = changed.setdefault((write.disk, at), self._page(write.disk, at))
                data = write.data[max(at - write.offset, 0) : at + PAGE - write.offset]
                first = max(write.offset - at, 0)
                page[first : first + len(data)] = data
        found = self._pages | {at: hashlib.sha256(page).digest() for at, page in changed.items()}
        return hashlib.sha256(b"".join(found.values())).digest()

    def _page(self, disk: int, at: int) -> bytearray:
        return bytearray(self._disks[disk][at : at + PAGE])
