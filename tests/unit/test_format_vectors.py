"""The vectors of tests/vectors: the same bytes as ever, and what torpor makes of them."""

import hashlib
import json
import re
import subprocess
from typing import Any

import pytest

from errors import DamagedError, NoImageError, UnsupportedError
from format.reader import ImageReader
from format.tables import TABLES
from store.image import open_image
from tests.command import ROOT, Result, finished, start
from tests.unit.conftest import Torpor
from tests.vectors import build

EXPECTED: dict[str, dict[str, Any]] = json.loads(build.EXPECTED.read_text())
BROKEN = [name for name, wanted in EXPECTED.items() if wanted["rule"]]
RULES: dict[str, str] = dict(
    re.findall(r"^- (R\d+) \((\w+)\) ", (ROOT / "docs/FORMAT.md").read_text(), re.MULTILINE)
)
"""What a reader must refuse, and as what."""
KINDS = {"none": NoImageError, "damaged": DamagedError, "unsupported": UnsupportedError}
SOUND = [name for name, wanted in EXPECTED.items() if not wanted["rule"]]


def path_of(name: str) -> str:
    return str(build.FOLDER / f"{name}.img")


def test_checked_in_files_are_the_builders() -> None:
    assert build.EXPECTED.read_text() == build.expected_json()
    made = {f"{vector.name}.img": vector.data for vector in build.all_vectors()}
    assert {path.name: path.read_bytes() for path in build.FOLDER.glob("*.img")} == made


def test_there_are_enough_and_small_ones() -> None:
    sizes = [path.stat().st_size for path in build.FOLDER.glob("*.img")]
    assert len(SOUND) >= 10
    assert len(BROKEN) >= 60
    assert max(sizes) <= 64 << 10
    assert sum(sizes) < 2 << 20


@pytest.mark.parametrize("name", EXPECTED)
def test_verify_says_what_is_expected(name: str, torpor: Torpor) -> None:
    check(name, torpor("verify", path_of(name)))


def check(name: str, result: Result) -> None:
    said, silent = (result.err, result.out) if name in BROKEN else (result.out, result.err)
    assert (result.code, silent) == (EXPECTED[name]["exit_code"], "")
    assert EXPECTED[name]["message"] in said
    assert said.count("\n") == 1 + ("\n  " in said), "one line, and perhaps a hint"


def test_specification_and_vectors_have_the_same_rules() -> None:
    assert list(RULES) == [f"R{number}" for number in range(1, len(RULES) + 1)]
    assert {wanted["rule"] for wanted in EXPECTED.values()} - {""} == set(RULES)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_vector_is_refused_before_the_bad_chunk_is_seen(name: str) -> None:
    seen: list[bytes] = []
    with pytest.raises(KINDS[RULES[EXPECTED[name]["rule"]]]):  # noqa: PT012, SIM117
        with open_image(path_of(name)) as source:
            image = ImageReader(source)
            for table in TABLES:
                image.read(table)
            for raw in image.stream():
                seen.append(bytes(raw))  # noqa: PERF401 - what came before the error counts
    assert seen in ([], [b"A" * 4096], [b"A" * 8192])


@pytest.mark.parametrize("name", SOUND)
def test_stream_of_sound_vector(name: str) -> None:
    with open_image(path_of(name)) as source:
        image = ImageReader(source)
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
        "version-2",
        "chunk-bomb",
        "chunks-swapped",
        "mark-of-another-image",
    ],
)
def test_the_program_itself(name: str) -> None:
    check(name, finished(start("verify", path_of(name), stdout=subprocess.PIPE)))


def test_host_name_cannot_paint_the_terminal(torpor: Torpor) -> None:
    for name, shown in (("not-ascii", "luchs-für-日本"), ("not-utf8", "l\ufffdchs?[31m")):
        result = torpor("inspect", path_of(f"sound-host-name-{name}"))
        assert (result.code, shown in result.out, "\x1b" in result.out) == (0, True, False)
