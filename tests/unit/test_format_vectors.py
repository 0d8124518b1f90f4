"""What torpor makes of images, sound and damaged.

The vectors of tests/vectors are the same bytes as ever. Whatever else is damaged is refused with a
documented error, and nothing else happens.
"""

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import (
    DamagedError,
    ForeignError,
    IncompleteError,
    LockedError,
    NoImageError,
    SealedError,
    UnsupportedError,
)
from format.reader import ImageReader
from format.tables import all_tables
from seal.identity import by_identity
from store.image import open_image
from tests import forge
from tests.sources import DAMAGE_CODES, opened, outcome, read_file, read_image
from tests.tools import ROOT, Result, confined, finished, start
from tests.unit.conftest import Torpor
from tests.vectors import build, devices, images

EXPECTED: dict[str, dict[str, Any]] = json.loads(build.EXPECTED.read_text())
BROKEN = [name for name, wanted in EXPECTED.items() if wanted["rule"]]
RULES: dict[str, str] = dict(
    re.findall(r"^- (R\d+) \((\w+)\) ", (ROOT / "docs/FORMAT.md").read_text(), re.MULTILINE)
)
"""What a reader must refuse, and as what."""
CLOSED = {"locked": LockedError, "foreign": ForeignError}
"""What is not damaged, but nothing for the identity."""
KINDS = {"none": NoImageError, "damaged": DamagedError, "unsupported": UnsupportedError}
SOUND = [name for name, wanted in EXPECTED.items() if not wanted["rule"]]
SEALED = [name for name, wanted in EXPECTED.items() if "keyless" in wanted]


def path_of(name: str) -> str:
    return str(build.FOLDER / f"{name}.img")


def identity_of(name: str) -> Path | None:
    """Return the identity that the vector is to be read with."""
    return build.IDENTITY if name in SEALED else None


def words_of(name: str) -> list[str]:
    """Return the words of torpor verify."""
    return [f"--identity={build.IDENTITY}"] * (name in SEALED) + [path_of(name)]


@contextmanager
def image_of(name: str) -> Iterator[ImageReader]:
    identity = identity_of(name)
    with open_image(path_of(name), by_identity(str(identity)) if identity else None) as source:
        yield ImageReader(source)


def test_checked_in_files_are_the_builders() -> None:
    assert build.EXPECTED.read_text() == build.expected_json()
    made = {f"{vector.name}.img": vector.data for vector in build.all_vectors()}
    assert {path.name: path.read_bytes() for path in build.FOLDER.glob("*.img")} == made


def test_there_are_enough_and_small_ones() -> None:
    sizes = [path.stat().st_size for path in build.FOLDER.glob("*.img")]
    assert len(set(SOUND) - set(SEALED)) >= 10
    assert len(set(BROKEN) - set(SEALED)) >= 60
    assert len({*SOUND} & {*SEALED}) >= 15
    assert len({*BROKEN} & {*SEALED}) >= 100
    assert max(sizes) <= 64 << 10
    assert sum(sizes) < 9 << 20


@pytest.mark.parametrize("name", EXPECTED)
def test_verify_says_what_is_expected(name: str, torpor: Torpor) -> None:
    check(name, torpor("verify", *words_of(name)))


@pytest.mark.parametrize("name", SEALED)
def test_verify_without_the_key(name: str, torpor: Torpor) -> None:
    """It says what it could check, and never that the image is sound."""
    result = torpor("verify", path_of(name))
    assert result.code == EXPECTED[name]["keyless"] != 0
    if result.code == SealedError.exit_code:
        assert "whether anybody changed it, only its key tells" in result.err


def check(name: str, result: Result) -> None:
    said, silent = (result.err, result.out) if name in BROKEN else (result.out, result.err)
    assert (result.code, silent) == (EXPECTED[name]["exit_code"], "")
    assert EXPECTED[name]["message"] in said
    assert said.count("\n") == 1 + ("\n  " in said), "one line, and perhaps a hint"


def test_specification_and_vectors_have_the_same_rules() -> None:
    assert list(RULES) == [f"R{number}" for number in range(1, len(RULES) + 1)]
    assert {wanted["rule"] for wanted in EXPECTED.values()} - {""} == {*RULES, *CLOSED}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_vector_is_refused_before_the_bad_chunk_is_seen(name: str) -> None:
    seen: list[bytes] = []
    rule = EXPECTED[name]["rule"]
    with pytest.raises(CLOSED.get(rule) or KINDS[RULES[rule]]):  # noqa: PT012, SIM117
        with image_of(name) as image:
            for kind, table in all_tables().items():
                image.read(kind, table)
            for raw in image.stream():
                seen.append(bytes(raw))  # noqa: PERF401 - what came before the error counts
    assert seen in ([], [b"A" * 4096], [b"A" * 8192])


@pytest.mark.parametrize("name", SOUND)
def test_stream_of_sound_vector(name: str) -> None:
    with image_of(name) as image:
        digest = hashlib.sha256()
        for raw in image.stream():
            digest.update(raw)
    assert digest.hexdigest() == EXPECTED[name]["stream"]


@pytest.mark.parametrize(
    "name",
    [
        "sound-three-chunks",
        "sound-swap-scattered",
        "sound-host-name-not-utf8",
        "no-magic",
        "version-3",
        "chunk-bomb",
        "chunks-swapped",
        "mark-of-another-image",
        "sound-sealed-all-kinds",
        "sound-sealed-swap-scattered",
        "sealed-chunks-swapped",
        "sealed-flag-taken-away",
        "sealed-claimed",
    ],
)
def test_the_program_itself(name: str) -> None:
    check(name, finished(start("verify", *words_of(name), stdout=subprocess.PIPE)))


def test_host_name_cannot_paint_the_terminal(torpor: Torpor) -> None:
    for name, shown in (("not-ascii", "luchs-für-日本"), ("not-utf8", r"l\udcfcchs\x1b[31m")):
        result = torpor("inspect", path_of(f"sound-host-name-{name}"))
        assert (result.code, shown in result.out, "\x1b" in result.out) == (0, True, False)


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


def places_in(data: bytes) -> Iterator[int]:
    """Yield the number of each byte that is near one that is not 0, and of a few of all others."""
    for at in range(len(data)):
        if at % 64 == 0 or any(data[max(at - 32, 0) : at + 32]):
            yield at


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_changed_byte_is_noticed(pattern: int) -> None:
    """But for most of the zeros in reserved bytes."""
    assert read_image(IMAGE) == STREAM
    hit = bytearray(IMAGE)
    for at in places_in(IMAGE):
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


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_changed_byte_of_mark_and_map_is_noticed(tmp_path: Path, pattern: int) -> None:
    path = tmp_path / "swap"
    data = devices.Device().build()
    path.write_bytes(data)
    assert read_file(path) == STREAM
    mapped = devices.MAP * 4096
    table = (mapped + at for at in places_in(data[mapped : mapped + 4096]))
    places = [*range(1280, 1280 + 256), *range(4086, 4096), *table]
    with opened(path) as fd:
        for at in places:
            os.pwrite(fd, bytes([data[at] ^ pattern]), at)
            assert outcome(lambda: read_file(path)) in DAMAGE_CODES, at
            os.pwrite(fd, data[at : at + 1], at)
    assert read_file(path) == STREAM


@many
@given(st.binary(max_size=9000), st.booleans())
def test_random_bytes_are_no_image(data: bytes, begins_well: bool) -> None:
    data = IMAGE[: 2 * 4096] + data if begins_well else data
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
from tests.unit.test_format_vectors import identity_of
paths = [Path(name) for name in sys.argv[2:]]
outcome(lambda: read_file(paths[0]))
limit_memory(int(sys.argv[1]))
for path in paths:
    found = outcome(lambda: read_file(path, identity_of(path.stem)))
    print(path.stem, found if isinstance(found, int) else 0)
"""


def with_little_memory(mebibytes: int, paths: list[Path]) -> subprocess.CompletedProcess[str]:
    """Read the images in a process that may get so much more memory than it needs to begin."""
    return confined("-c", _WITH_LITTLE_MEMORY, *map(str, (mebibytes, *paths)))


def test_no_length_field_costs_memory() -> None:
    """All vectors, absurd counts and sizes among them, are read within 64 MiB."""
    paths = sorted(build.FOLDER.glob("*.img"))
    result = with_little_memory(64, paths)
    assert result.stderr == ""
    codes = dict(line.split() for line in result.stdout.splitlines())
    assert codes == {name: str(wanted["exit_code"]) for name, wanted in EXPECTED.items()}


def test_memory_limit_is_one() -> None:
    """The image with the largest chunks does not fit into 1 MiB: the limit above is real."""
    result = with_little_memory(1, [build.FOLDER / "sound-largest-chunk-size.img"])
    assert result.returncode != 0
