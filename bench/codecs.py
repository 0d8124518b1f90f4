"""LZ4's acceleration, other codecs, chunk sizes and a look beforehand, over real streams.

Compressing and decompressing alone, in memory: a sample of each stream, by one thread and by two.
All times are processor time, which other load on the machine adds little to.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.database import database_stream
from bench.figure import Figure, print_table
from bench.stream import real_stream
from format import codec
from format.pipeline import CHUNK_SIZE, PageBuffer

PIECE = 4 << 20
PIECES = 64
"""A sample is so many pieces, evenly out of the whole stream."""
THREADS = (1, 2)
ROUNDS = 5
ACCELERATIONS = (1, 2, 3, 4, 6, 8, 16)
CHUNK_SIZES = (1 << 18, 1 << 19, 1 << 20, 1 << 21, 1 << 22)
LOOKS = (16 << 10, 64 << 10)
"""Bytes at a chunk's beginning that tell whether the rest is worth it: if they shrink."""
DEVICES = (200, 400, 800, 2000)
"""MB/s."""

VERBS = ("compress", "decompress")


@dataclass(frozen=True, slots=True)
class Way:
    """A way to store chunks: the codec, what compresses up to so many bytes, and how many."""

    kind: int
    new: Callable[[int], codec.Compress]
    chunk_size: int = CHUNK_SIZE


def _fast(acceleration: int) -> Callable[[int], codec.Compress]:
    return lambda _size: codec.lz4_fast(acceleration)


def _zstd(level: int) -> Callable[[int], codec.Compress]:
    return lambda size: codec.zstd(size, level)


def _looking(size: int) -> Callable[[int], codec.Compress]:
    """Compress only what shrinks by a thirty-second part in its first `size` bytes."""

    def new(_largest: int) -> codec.Compress:
        compress = codec.lz4_fast(codec.ACCELERATION)

        def look(raw: memoryview, room: memoryview) -> int:
            return compress(raw[:size], room[: size - size // 32]) and compress(raw, room)

        return look

    return new


CODECS = {f"LZ4 {one}": Way(codec.LZ4, _fast(one)) for one in ACCELERATIONS} | {
    "LZ4 HC 3": Way(codec.LZ4, lambda _size: codec.lz4_hc(3)),
    **{f"Zstandard {one}": Way(codec.ZSTD, _zstd(one)) for one in (-5, 1, 3)},
}
SIZES = {
    f"{size >> 10} KiB": Way(codec.LZ4, _fast(codec.ACCELERATION), size) for size in CHUNK_SIZES
}
LOOKING = {"no look": Way(codec.LZ4, _fast(codec.ACCELERATION))} | {
    f"first {size >> 10} KiB": Way(codec.LZ4, _looking(size)) for size in LOOKS
}


@dataclass(slots=True)
class Took:
    """Processor time that a way took, in seconds, and the bytes that came of it."""

    compress: float = 0.0
    decompress: float = 0.0
    stored: int = 0

    def add(self, other: "Took") -> None:
        self.compress += other.compress
        self.decompress += other.decompress
        self.stored += other.stored


Results = dict[str, dict[int, list[Took]]]
"""By way and number of threads: what all threads took together, round by round."""


def measure() -> tuple[list[Figure], dict[str, object]]:
    """Try all of it on each stream; return the figures and all that was measured."""
    figures: list[Figure] = []
    report: dict[str, object] = {}
    for name, path in _streams():
        sample = _sample(path)
        _print_chunks(f"{name}: chunks", sample)
        found: Results = {}
        for what, ways in (("codec", CODECS), ("chunks of", SIZES), ("look", LOOKING)):
            results = _try(ways, sample)
            _print_results(f"{name}: {what}", what, results, len(sample))
            found |= results
        report[name] = {
            way: {threads: [asdict(took) for took in rounds] for threads, rounds in result.items()}
            for way, result in found.items()
        }
        figures += _figures(name, found)
    return figures, report


def _streams() -> Iterator[tuple[str, Path]]:
    yield "bench", real_stream()
    if os.geteuid() != 0:
        print("\ndatabase: not measured, making its guest takes root")
        return
    yield "database", database_stream()


def _sample(path: Path) -> memoryview:
    """Return PIECES pieces of the stream, of which each chunk size makes whole chunks."""
    sample = PageBuffer(PIECES * PIECE).view
    with path.open("rb") as file:
        whole = path.stat().st_size // PIECE
        for number in range(PIECES):
            file.seek(number * whole // PIECES * PIECE)
            file.readinto(sample[number * PIECE : (number + 1) * PIECE])
    return sample


def _try(ways: Mapping[str, Way], sample: memoryview) -> Results:
    """Compress and decompress each piece by each way in turn, so that other load meets all."""
    results: Results = {name: {threads: [] for threads in THREADS} for name in ways}
    for threads in THREADS:
        for _ in range(ROUNDS):
            with ThreadPoolExecutor(threads) as executor:
                begun = [
                    executor.submit(_work, ways, sample, nth, threads) for nth in range(threads)
                ]
            sums = {name: Took() for name in ways}
            for worker in begun:
                for name, took in worker.result().items():
                    sums[name].add(took)
            for name, took in sums.items():
                results[name][threads].append(took)
    return results


def _work(ways: Mapping[str, Way], sample: memoryview, first: int, step: int) -> dict[str, Took]:
    """Do every so manieth piece; each begins with another way."""
    jobs = [(name, _Job(way)) for name, way in ways.items()]
    took = {name: Took() for name in ways}
    for number in range(first, len(sample) // PIECE, step):
        piece = sample[number * PIECE : (number + 1) * PIECE]
        turn = number % len(jobs)
        for name, job in (*jobs[turn:], *jobs[:turn]):
            took[name].add(job.carry_out(piece))
    return took


class _Job:
    """A way, with the memory that it needs."""

    def __init__(self, way: Way) -> None:
        self._kind, self._size = way.kind, way.chunk_size
        self._compress = way.new(way.chunk_size)
        self._room = PageBuffer(PIECE).view
        self._raw = PageBuffer(way.chunk_size).view

    def carry_out(self, piece: memoryview) -> Took:
        """Compress all chunks of a piece, then decompress them."""
        begun = time.thread_time()
        chunks = [self.encode(piece, at) for at in range(0, len(piece), self._size)]
        between = time.thread_time()
        for kind, payload in chunks:
            if kind != codec.NONE and not codec.decompress(kind, payload, self._raw):
                raise ValueError("a chunk cannot be decompressed")
        stored = sum(len(payload) for _, payload in chunks)
        return Took(between - begun, time.thread_time() - between, stored)

    def encode(self, piece: memoryview, at: int) -> tuple[int, memoryview]:
        """Return the codec and the payload of the chunk there, as format.chunks makes them."""
        raw = piece[at : at + self._size]
        if codec.is_fill(raw):
            return codec.FILL, raw[:1]
        room = self._room[at : at + self._size - 1]
        size = self._compress(raw, room)
        return (self._kind, room[:size]) if size else (codec.NONE, raw)


def _print_chunks(title: str, sample: memoryview) -> None:
    """Print what the chunks of a sample are, and how long one of each kind takes."""
    job = _Job(LOOKING["no look"])
    kinds: dict[str, list[float]] = {"of one byte": [], "stored as it is": [], "compressed": []}
    names = dict(zip((codec.FILL, codec.NONE, codec.LZ4), kinds, strict=True))
    for at in range(0, len(sample), CHUNK_SIZE):
        begun = time.thread_time()
        kind, _ = job.encode(sample[at - at % PIECE :][:PIECE], at % PIECE)
        kinds[names[kind]].append(time.thread_time() - begun)
    chunks = sum(map(len, kinds.values()))
    rows = [
        [kind, f"{len(took) / chunks:.1%}", f"{statistics.median(took) * 1e6:.0f}"]
        for kind, took in kinds.items()
        if took
    ]
    print_table(title, ["chunk", "share", "compressing it, µs"], rows)


def _print_results(title: str, what: str, results: Results, size: int) -> None:
    """Print MB/s by one thread and by two, and how long a GB takes to a device, if that waits."""
    headings = [what, "size", *(f"{verb}, {n}" for verb in VERBS for n in THREADS)]
    headings += [f"s/GB at {speed}" for speed in DEVICES]
    rows = []
    for name, by_threads in results.items():
        speeds = {
            (verb, threads): threads * size / 1e6 / statistics.median(_seconds(verb, rounds))
            for verb in VERBS
            for threads, rounds in by_threads.items()
        }
        share = by_threads[1][0].stored / size
        fastest = speeds["compress", THREADS[-1]]
        writes = [1000 * max(1 / fastest, share / speed) for speed in DEVICES]
        row = [name, f"{share:.1%}", *(f"{speed:.0f}" for speed in speeds.values())]
        rows.append([*row, *(f"{each:.2f}" for each in writes)])
    print_table(title, headings, rows)


def _figures(stream: str, results: Results) -> list[Figure]:
    """Compare each acceleration with LZ4's own, and each look with none, round by round."""
    figures = []
    pairs = [(f"LZ4 {one}", "LZ4 1", f"acceleration {one} / 1") for one in ACCELERATIONS[1:]]
    pairs += [(look, "no look", f"look at {look} / none") for look in LOOKING if look != "no look"]
    for ours, theirs, name in pairs:
        one, other = results[ours][1], results[theirs][1]
        for verb in VERBS:
            both = zip(_seconds(verb, one), _seconds(verb, other), strict=True)
            figures.append(Figure(f"{stream}: {name}, {verb}", [a / b for a, b in both]))
        figures.append(Figure(f"{stream}: {name}, size", [one[0].stored / other[0].stored]))
    return figures


def _seconds(verb: str, rounds: Sequence[Took]) -> list[float]:
    return [took.compress if verb == "compress" else took.decompress for took in rounds]
