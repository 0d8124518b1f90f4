"""A damaged image is refused with a documented error, and nothing else happens."""

import json
import os
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import DamagedError, IncompleteError
from tests import forge
from tests.sources import DAMAGE_CODES, opened, outcome, read_file, read_image
from tests.tools import confined
from tests.vectors import build, devices, images

IMAGE = images.SMALL.build()
STREAM = b"A" * 4096 + b"B" * 4096
PATTERNS = (0x01, 0x80, 0xFF)
many = settings(
    max_examples=2200,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
words = st.integers(0, 2**32 - 1)
long_words = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_changed_byte_is_noticed(pattern: int) -> None:
    assert read_image(IMAGE) == STREAM
    hit = bytearray(IMAGE)
    for at in range(len(IMAGE)):
        hit[at] ^= pattern
        assert outcome(lambda: read_image(bytes(hit))) in DAMAGE_CODES, at
        hit[at] ^= pattern


def test_every_length_cut_off_is_noticed() -> None:
    found = [outcome(partial(read_image, IMAGE[:size])) for size in range(len(IMAGE))]
    assert found == [3] * 8 + [4] * (len(IMAGE) - 8)


@pytest.mark.parametrize("extra", [1, 3, 63, 64, 65, 4096])
@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
def test_bytes_after_the_trailer_of_a_file_are_refused(extra: int, byte: bytes) -> None:
    with pytest.raises(IncompleteError, match="no trailer"):
        read_image(IMAGE + byte * extra)


def test_two_images_one_after_the_other_are_refused() -> None:
    with pytest.raises(DamagedError, match="claims to have"):
        read_image(IMAGE + IMAGE)


def test_chunks_of_two_images_do_not_mix() -> None:
    """The same bytes at the same place, sound in themselves, of an older image."""
    older = replace(images.SMALL, superblock=forge.Super(uuid=forge.UUID_B))
    pieces = [
        forge.chunk(n, forge.lz4_run(b"AB"[n : n + 1], 4096), codec=forge.LZ4, uuid=forge.UUID_B)
        for n in (0, 1)
    ]
    old = replace(older, pieces=tuple(pieces)).build()
    assert read_image(old) == STREAM
    start, end = images.SMALL.offsets()
    for mixed in (
        IMAGE[:start] + old[start:end] + IMAGE[end:],
        IMAGE[:end] + old[end:],
        old[:4096] + IMAGE[4096:],
    ):
        with pytest.raises(DamagedError):
            read_image(mixed)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_changed_byte_of_mark_and_map_is_noticed(tmp_path: Path, pattern: int) -> None:
    path = tmp_path / "swap"
    data = devices.Device().build()
    path.write_bytes(data)
    assert read_file(path) == STREAM
    mapped = devices.MAP * 4096
    places = [*range(1280, 1280 + 256), *range(4086, 4096), *range(mapped, mapped + 4096)]
    with opened(path) as fd:
        for at in places:
            os.pwrite(fd, bytes([data[at] ^ pattern]), at)
            assert outcome(lambda: read_file(path)) in DAMAGE_CODES, at
            os.pwrite(fd, data[at : at + 1], at)
    assert read_file(path) == STREAM


@many
@given(st.binary(max_size=9000), st.booleans())
def test_random_bytes_are_no_image(data: bytes, begins_well: bool) -> None:
    data = IMAGE[: 4096 + 32] + data if begins_well else data
    assert outcome(lambda: read_image(data)) in DAMAGE_CODES


@many
@given(
    st.lists(st.tuples(st.integers(0, len(IMAGE) - 1), st.binary(min_size=1, max_size=12))),
    st.integers(0, len(IMAGE)),
    st.integers(0, len(IMAGE)),
)
def test_mutated_images_are_refused(
    edits: list[tuple[int, bytes]], first: int, second: int
) -> None:
    """Some bytes written over, and a part left out (a part of nothing where they are equal)."""
    changed = bytearray(IMAGE)
    for at, new in edits:
        changed[at : at + len(new)] = new
    del changed[min(first, second) : max(first, second)]
    found = outcome(lambda: read_image(bytes(changed)))
    assert (found in DAMAGE_CODES) == (bytes(changed) != IMAGE)


@many
@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 1, 1, 2]), words, words, words, long_words)),
    st.lists(st.one_of(st.integers(4000, 5000), long_words), max_size=4),
    st.none() | st.tuples(st.integers(0, 3), words),
    st.none() | st.tuples(long_words, st.integers(0, 5000), words),
)
def test_lies_under_right_checksums_are_refused(
    rows: list[tuple[int, int, int, int, int]],
    offsets: list[int],
    counts: tuple[int, int] | None,
    end: tuple[int, int, int] | None,
) -> None:
    """An index and trailer of anything at all: damaged, and not one chunk of it read."""
    table = forge.index(rows, offsets, [0] * len(offsets), counts=counts)
    lie = replace(images.SMALL, index=table, trailer=end and forge.trailer(*end))
    assert outcome(lambda: read_image(lie.build())) in DAMAGE_CODES


@many
@given(
    st.binary(max_size=4200),
    st.integers(0, 5),
    st.integers(0, 3),
    st.integers(0, 2) | long_words,
    st.sampled_from([0, 4096, 8192]) | words,
    st.none() | words,
)
def test_chunks_of_anything_are_refused_or_that_long(
    payload: bytes, codec: int, flags: int, number: int, raw_size: int, stored: int | None
) -> None:
    """A chunk with a right checksum is of a known codec, or an error; never a crash."""
    piece = forge.chunk(number, payload, raw_size, codec=codec, flags=flags, stored_size=stored)
    parts = forge.Parts(forge.Super(), (replace(piece, raw_size=4096),))
    found = outcome(lambda: read_image(parts.build()))
    consistent = (number, raw_size, flags) == (0, 4096, 0) and stored in (None, len(payload))
    assert found in DAMAGE_CODES or (consistent and codec < 4)


@settings(many, max_examples=1200)
@given(
    marked=st.tuples(st.integers(0, 10_000) | long_words, st.integers(0, 8), st.integers(0, 4)),
    runs=st.lists(st.tuples(st.integers(0, 8) | long_words, st.integers(0, 8) | long_words)),
    count=st.none() | words,
    following=st.integers(0, 8) | long_words,
)
def test_marks_and_maps_of_anything_are_refused(
    tmp_path_factory: pytest.TempPathFactory,
    marked: tuple[int, int, int],
    runs: list[tuple[int, int]],
    count: int | None,
    following: int,
) -> None:
    path = tmp_path_factory.getbasetemp() / "marked"
    table = forge.map_page(runs[:253], count=count, following=following)
    path.write_bytes(devices.Device(marked=forge.mark(*marked), map=table).build())
    sound = marked == (len(devices.IMAGE), devices.MAP, 2) and tuple(runs) == devices.RUNS
    assert (outcome(lambda: read_file(path)) in DAMAGE_CODES) != sound


_WITH_LITTLE_MEMORY = """
import sys
from pathlib import Path
from tests.sources import limit_memory, outcome, read_file
paths = [Path(name) for name in sys.argv[2:]]
outcome(lambda: read_file(paths[0]))
limit_memory(int(sys.argv[1]))
for path in paths:
    found = outcome(lambda: read_file(path))
    print(path.stem, found if isinstance(found, int) else 0)
"""


def with_little_memory(mebibytes: int, paths: list[Path]) -> subprocess.CompletedProcess[str]:
    """Read the images in a process that may get so much more memory than it needs to begin."""
    words = map(str, (mebibytes, *paths))
    return confined("-c", _WITH_LITTLE_MEMORY, *words)


def test_no_length_field_costs_memory() -> None:
    """All vectors, absurd counts and sizes among them, are read within 64 MiB."""
    paths = sorted(build.FOLDER.glob("*.img"))
    result = with_little_memory(64, paths)
    assert result.stderr == ""
    codes = dict(line.split() for line in result.stdout.splitlines())
    expected = json.loads(build.EXPECTED.read_text())
    assert codes == {name: str(wanted["exit_code"]) for name, wanted in expected.items()}


def test_memory_limit_is_one() -> None:
    """The image with the largest chunks does not fit into 1 MiB: the limit above is real."""
    result = with_little_memory(1, [build.FOLDER / "sound-largest-chunk-size.img"])
    assert result.returncode != 0
