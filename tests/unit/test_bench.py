"""What the benchmarks make of what they measure. Nothing here depends on how long a thing takes."""

import ctypes
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from bench import codecs, generate, kernel_save, limit, sealed
from bench.devices import Save, saves_in
from bench.figure import Bar, Figure, print_table
from bench.hibernation import seconds_between
from bench.measure import Run, in_turn, largest, run_command
from format import PAGE_SIZE
from format.pipeline import CHUNK_SIZE, PageBuffer
from tests.sources import reader_of, write_image
from tests.vectors import images
from vm.machine import MachineError

CHUNKS = 3
STREAM = images.noise(2 << 20) + bytes(1 << 20)


def test_a_bar_is_met_on_its_own_side() -> None:
    assert Bar(0.6, 0.4).is_met(0.6)
    assert not Bar(0.6, 0.4).is_met(0.61)
    assert Bar(0.8, 0.95, at_least=True).is_met(0.8)
    assert not Bar(0.8, 0.95, at_least=True).is_met(0.79)


def test_a_figure_is_judged_by_its_median() -> None:
    figure = Figure("pack", [0.5, 9.0, 0.7], bar=Bar(0.75, 0.55))
    assert figure.row() == ["pack", "≤ 0.75", "0.55", "0.7", "0.5 to 9", "yes"]
    assert figure.facts()["met"] is True
    assert Figure("pack", [1.0, 9.0, 0.1], bar=Bar(0.75, 0.55)).row()[-1] == "NO"


def test_tables_are_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("title", ["a", "long"], [["wide", "1"]])
    assert capsys.readouterr().out.splitlines()[3:] == [
        "| a    | long |",
        "| ---- | ---- |",
        "| wide | 1    |",
    ]


def test_jobs_take_turns_after_a_lap_to_warm_up() -> None:
    done: list[str] = []

    def job(name: str) -> Run:
        done.append(name)
        return Run(len(done), 0, len(name), 0)

    rounds = in_turn({"a": lambda: job("a"), "bb": lambda: job("bb")}, runs=2)
    assert done == ["a", "bb"] * 3
    assert [run.seconds for run in rounds["a"]] == [3, 5]
    assert largest(list(rounds.values())) == [2, 2]


def test_what_sealing_costs_is_judged_by_both_times() -> None:
    plain, quick, slow = Run(2, 4, 0, 0), Run(2.2, 4.4, 0, 0), Run(3, 4, 0, 0)
    wall, processor = sealed.figures_of(
        "pack", {"pack": [plain] * 3, "pack, sealed": [slow, quick, quick]}
    )
    assert wall.values == [1.5, 1.1, 1.1]
    assert processor.values == [1, 1.1, 1.1]
    assert [figure.row()[-1] for figure in (wall, processor)] == ["yes", "yes"]
    (late, _) = sealed.figures_of("verify", {"verify": [plain], "verify, sealed": [slow]})
    assert late.row()[-1] == "NO"
    (unpack, _) = sealed.figures_of("unpack", {"unpack": [plain], "unpack, sealed": [slow]})
    assert unpack.bar is None


def test_a_command_is_measured(tmp_path: Path) -> None:
    """What it reads and the memory it takes; an exit status that is not expected is an error."""
    file = tmp_path / "file"
    file.write_bytes(bytes(8 << 20))
    read = f"data = open({str(file)!r}, 'rb').read(); raise SystemExit(3)"
    run = run_command([sys.executable, "-I", "-S", "-c", read], status=3)
    assert 8 << 10 <= run.read_kib < 9 << 10
    assert 8 < run.rss_mib < 64
    with pytest.raises(subprocess.CalledProcessError):
        run_command([sys.executable, "-I", "-S", "-c", read])


def test_the_limit_does_every_chunk(tmp_path: Path) -> None:
    stream, image = tmp_path / "stream", tmp_path / "image"
    stream.write_bytes(STREAM)
    image.write_bytes(write_image(reader_of(STREAM), CHUNK_SIZE))
    limit.packing(str(stream), str(tmp_path))()
    limit.verifying(str(image))()
    limit.serial(str(stream))()
    limit.copying(str(stream))()
    done: list[int] = []
    limit.in_parallel([done.append] * 2, CHUNKS)
    assert sorted(done) == [0, 1, 2]


def test_the_kernels_way_leaves_the_stream_in_units(tmp_path: Path) -> None:
    """Each begins at a page with the length of what is in it, a unit as liblzo2 packs it."""
    raw = STREAM + images.noise(PAGE_SIZE)
    stream, packed = tmp_path / "stream", tmp_path / "packed"
    stream.write_bytes(raw)
    save = kernel_save.Save(2)
    with stream.open("rb", buffering=0) as source, packed.open("wb", buffering=0) as file:
        save.run(source.fileno(), file.fileno())
    save.end()
    assert save.checksum == zlib.crc32(raw)
    rest, units = packed.read_bytes(), []
    while rest:
        size = int.from_bytes(rest[:8], "little")
        units.append(_unpacked(rest[8 : 8 + size]))
        rest = rest[-(-(8 + size) // PAGE_SIZE) * PAGE_SIZE :]
    assert set(map(len, units)) == {32 * PAGE_SIZE, PAGE_SIZE}
    assert b"".join(units) == raw


def _unpacked(data: bytes) -> bytes:
    room = ctypes.create_string_buffer(32 * PAGE_SIZE)
    size = ctypes.c_size_t(len(room))
    lzo = ctypes.CDLL("liblzo2.so.2")
    assert lzo.lzo1x_decompress_safe(data, len(data), room, ctypes.byref(size), None) == 0
    return room.raw[: size.value]


def test_the_kernel_leaves_a_processor_to_others() -> None:
    assert [kernel_save.threads_for(count) for count in (1, 2, 3, 4, 16)] == [1, 1, 2, 3, 3]


def test_generated_stream_is_the_beginning_over_and_over(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(STREAM)
    period, size = 100_000, 1_234_567
    words = [sys.executable, generate.__file__, str(source), str(size), str(period)]
    made = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
    assert made == (STREAM[:period] * 13)[:size]


def test_the_last_beginning_and_the_next_end_on_a_console_count() -> None:
    """A restored kernel says again what it had not yet said, and the next hibernation, too."""
    console = "[    1.000000] begin\n[    2.0] end\n[    5.500000] begin\nx\n[   12.250000] end 7\n"
    console += "[   90.000000] end 8\n"
    assert seconds_between(console, "begin", r"end \d") == 6.75
    with pytest.raises(MachineError, match="never showed"):
        seconds_between(console, "begin", "another")


def test_ways_to_compress_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes out is what went in, by each of them; a look at noise stores the whole chunk."""
    monkeypatch.setattr(codecs, "ROUNDS", 1)
    text = b"".join(b"%d and more " % n for n in range(1 << 17))[: 1 << 20]
    noise = images.noise(1 << 18)
    sample = PageBuffer(codecs.PIECE).view
    sample[: 2 << 20] = noise + text[: 3 << 18] + text
    ways = {name: codecs.CODECS[name] for name in ("LZ4 1", "LZ4 16", "Zstandard 1")}
    results = codecs._try(ways | codecs.SIZES | codecs.LOOKING, sample)
    stored = {name: took[1][0].stored for name, took in results.items()}
    assert stored["Zstandard 1"] < stored["LZ4 1"] < 1 << 20 < stored["first 16 KiB"]
    assert stored[f"{CHUNK_SIZE >> 10} KiB"] == stored["no look"]
    assert all(took[1][0].stored == took[2][0].stored for took in results.values())
    codecs._print_results("title", "codec", results, len(sample))


def test_a_sample_is_of_the_whole_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "PIECE", 4096)
    monkeypatch.setattr(codecs, "PIECES", 4)
    (tmp_path / "stream").write_bytes(b"".join(bytes([n]) * 4096 for n in range(8)))
    assert bytes(codecs._sample(tmp_path / "stream")[::4096]) == bytes([0, 2, 4, 6])


def test_saves_to_a_device_stand_in_the_kernel_log() -> None:
    """One after the other in one life."""
    line = "[{}] torpor: {}\n".format
    console = "[    1.000000] random: crng init done\n"
    for second in (10, 20):
        console += line(f"   {second}.500000", "snapshot of 100 MiB taken, writing it to /dev/x")
        console += line(f"   {second + 2}.500000", "100 MiB stored as 40 MiB in 2.0 s")
    (first, again) = saves_in(console)
    assert first == again == Save(2.0, 104.8576, 41.94304)
    assert first.speed == pytest.approx(52.4288)
