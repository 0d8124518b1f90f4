"""Whatever an image or a mark contains: a documented exit code, in little memory and time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from errors import DamagedError
from format import codec
from format.first_page import STORE_MAGIC
from format.reader import ImageReader
from format.records import GUARD, KERNEL_STREAM
from format.sealing import ImageKey
from format.tables import Guard, Method, all_tables
from tests.conftest import FUZZED, FUZZED_BY
from tests.forge import UUID_A
from tests.forge_sealed import SECRET
from tests.fuzz import mutate
from tests.fuzz.run import BOOT_CODES, CODES, KINDS, Stats
from tests.sources import MemorySource
from tests.test_structure import all_errors
from tests.tools import confined, failing

FEW, MANY = 2000, 200_000

MEBIBYTES = 64
PATIENCE = 2.0
"""Seconds of the processor for one case; what only waits meets the limit of the whole run."""

Record = Callable[[str, object], None]


def tried(seed: int, count: int, folder: Path, limit: int) -> dict[str, Any]:
    """Try so many cases; `limit` is in seconds."""
    words = map(str, (seed, count, folder, MEBIBYTES))
    ended = confined("-m", "tests.fuzz.run", *words, seconds=limit)
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout)
    return told


def assert_unsurprising(told: dict[str, Any], count: int, record: Record) -> None:
    assert (*CODES,) == FUZZED_BY
    meanings = {error.exit_code: error.meaning for error in all_errors()} | {0: "sound"}
    found = [told["outcomes"][name] for name in CODES]
    for code in {int(code) for counts in found for code in counts}:
        counts = [str(each.get(str(code), 0)) for each in found]
        record(FUZZED, (f"{code:2}", *counts, meanings.get(code, "a surprise")))
    assert not told["surprises"], "\n".join(told["surprises"])
    assert told["slowest"] < PATIENCE
    for name in ("verify", "inspect", "unpack", "dry run", "replay"):
        assert sum(told["outcomes"][name].values()) == count


def test_a_few(tmp_path: Path, record_property: Record) -> None:
    told = tried(0, FEW, tmp_path, 600)
    assert_unsurprising(told, FEW, record_property)
    assert {int(code) for code in told["outcomes"]["dry run"]} == BOOT_CODES
    for name in set(CODES) - {"dry run", "resume"}:
        assert {int(code) for code in told["outcomes"][name]} == CODES[name]


@pytest.mark.long
def test_many(tmp_path: Path, record_property: Record) -> None:
    assert_unsurprising(tried(FEW, MANY, tmp_path, 3 * 3600), MANY, record_property)


def test_a_number_is_always_the_same_case() -> None:
    for make in (lambda number: mutate.case(number, KINDS)[0], mutate.working_set_case):
        cases = ([make(number) for number in range(30)] for _ in range(2))
        assert next(cases) == next(cases)


def test_the_specimens_have_all_that_an_image_may_have() -> None:
    """What is added to the format is to be added to them."""
    assert {one.is_sealed for one in KINDS if one.is_device} == {False, True}
    images = [ImageReader(MemorySource(one.image)) for one in KINDS if not one.is_sealed]
    sections = {section.kind for image in images for section in image.index.sections}
    assert sections == {KERNEL_STREAM, *all_tables()}
    codecs = {one.image[start + 4] for one in KINDS for start, _ in one.places.chunks}
    assert codecs == {codec.NONE, codec.LZ4, codec.FILL, codec.ZSTD}
    methods = {entry.method for image in images for entry in image.read(GUARD, Guard) or ()}
    assert methods == set(Method)
    devices = {one.start for one in KINDS if one.is_device}
    assert devices == {b"", STORE_MAGIC}


@pytest.mark.parametrize("one", KINDS)
def test_the_specimens_are_sound(one: mutate.Specimen) -> None:
    key = ImageKey(SECRET, UUID_A) if one.is_sealed else None
    image = ImageReader(MemorySource(one.image, key=key))
    for kind, table in all_tables().items():
        image.read(kind, table)
    assert b"".join(bytes(part) for part in image.stream())


def test_a_surprise_is_noticed() -> None:
    stats = Stats()
    stats.attempt(1, "verify", failing(DamagedError("it is")))
    assert (stats.outcomes["verify"][4], stats.surprises) == (1, [])
    stats.attempt(2, "dry run", failing(OverflowError()))
    assert "case 2, dry run" in stats.surprises[0]
    assert "OverflowError" in stats.surprises[0]


def test_the_memory_limit_is_one(tmp_path: Path) -> None:
    """A process whose limit is below what it already has fails at once."""
    ended = confined("-m", "tests.fuzz.run", "0", "10", str(tmp_path), "-8", seconds=60)
    assert ended.returncode != 0 or json.loads(ended.stdout)["surprises"]
