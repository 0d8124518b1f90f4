"""pack, verify and unpack beside lz4, their memory, and how long an index takes to open."""

import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

from bench.measure import Figure, in_turn
from bench.stream import real_stream
from format.pipeline import PageBuffer
from format.reader import ImageReader
from format.records import Identity, Superblock
from format.writer import ImageWriter, new_buffers
from store.file import FileSink, new_file
from store.image import open_image
from vm.host import BUILD

TORPOR = str(BUILD / "torpor/torpor")
RESUME = str(BUILD / "torpor-resume/torpor-resume")
CHUNKS = 16384
OPENINGS = 21


def main() -> int:
    stream = real_stream()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        report = {"stream_bytes": stream.stat().st_size, **_compare(stream, Path(folder))}
        report["open_16384_chunks_ms"] = _open_index(Path(folder))
    (BUILD / "bench.json").write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _compare(source: Path, folder: Path) -> dict[str, object]:
    stream, image, packed = folder / "stream", folder / "image", folder / "stream.lz4"
    shutil.copyfile(source, stream)
    pack = [TORPOR, "pack", str(stream), str(image)]
    commands = {
        "torpor pack": pack,
        "lz4 -1": ["lz4", "-1", "-f", str(stream), str(packed)],
        "torpor verify": [TORPOR, "verify", str(image)],
        "lz4 -t": ["lz4", "-t", str(packed)],
        "torpor unpack": [TORPOR, "unpack", str(image), "-"],
        "lz4 -d": ["lz4", "-d", "-c", str(packed)],
        "torpor-resume --dry-run": [RESUME, "--dry-run", "--cmdline", f"resume={image}"],
    }
    figures = dict(zip(commands, in_turn(list(commands.values())), strict=True))
    _print_table(stream.stat().st_size, figures)
    ratios = {
        f"{ours} / {theirs}": figures[theirs].median / figures[ours].median
        for ours, theirs in (
            ("torpor pack", "lz4 -1"),
            ("torpor verify", "lz4 -t"),
            ("torpor unpack", "lz4 -d"),
        )
    }
    for name, ratio in ratios.items():
        print(f"speed of {name}: {ratio:.2f}")
    print(f"image {image.stat().st_size >> 20} MiB, lz4 -1 {packed.stat().st_size >> 20} MiB")
    seconds = {name: {"seconds": f.seconds, "rss_mib": f.rss_mib} for name, f in figures.items()}
    return {"commands": seconds, "speed": ratios}


def _print_table(size: int, figures: dict[str, Figure]) -> None:
    print(f"stream of {size >> 20} MiB on a tmpfs; unpack and lz4 -d write to /dev/null\n")
    print(f"{'command':24} {'median s':>9} {'spread s':>14} {'MB/s':>6} {'peak MiB':>9}")
    for name, figure in figures.items():
        speed = size / figure.median / 1e6
        print(
            f"{name:24} {figure.median:9.2f} {figure.spread:>14} {speed:6.0f} {figure.rss_mib:9.0f}"
        )


def _open_index(folder: Path) -> float:
    """Return the median milliseconds to open an image of CHUNKS chunks of one page."""
    path = folder / "chunks"
    identity = Identity("6.1", "#1", "x86_64", "bench", bytes(32), "")
    superblock = Superblock(UUID(int=1), 0, 4096, identity, platform=False)
    left = [CHUNKS]

    def read(buffer: PageBuffer, _at: int) -> int:
        left[0] -= 1
        return len(buffer.view) if left[0] >= 0 else 0

    with new_file(str(path)) as fd:
        writer = ImageWriter(FileSink(fd, str(path)), superblock, new_buffers(4096))
        writer.write_stream(read, lambda _: None)
        writer.finish()
    times = []
    for _ in range(OPENINGS):
        begun = time.perf_counter()
        with open_image(str(path)) as source:
            ImageReader(source)
        times.append((time.perf_counter() - begun) * 1000)
    median = statistics.median(times)
    print(f"\nopening an image of {CHUNKS} chunks: {median:.1f} ms (median of {OPENINGS})")
    return median


if __name__ == "__main__":
    sys.exit(main())
