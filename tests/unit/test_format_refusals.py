"""docs/FORMAT.md, "What a reader must refuse": each of its rules R1, R2 and so on."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from errors import DamagedError, NoImageError, TorporError, UnsupportedError
from format.reader import ImageReader
from format.sections import TABLES
from store.image import open_image
from tests.vectors import build

SPECIFICATION = (Path(__file__).parents[2] / "docs/FORMAT.md").read_text()
KINDS: dict[str, type[TorporError]] = {
    "none": NoImageError,
    "damaged": DamagedError,
    "unsupported": UnsupportedError,
}
RULES: dict[str, str] = dict(re.findall(r"^- (R\d+) \((\w+)\) ", SPECIFICATION, re.MULTILINE))
EXPECTED: dict[str, dict[str, Any]] = json.loads(build.EXPECTED.read_text())


def vectors_of(rule: str) -> list[str]:
    return [name for name, wanted in EXPECTED.items() if wanted["rule"] == rule]


@pytest.mark.parametrize("rule", RULES)
def test_rule(rule: str) -> None:
    """The vectors of the rule are refused as its kind says, before the bad chunk is seen."""
    assert vectors_of(rule)
    for name in vectors_of(rule):
        handed_out: list[bytes] = []
        with pytest.raises(KINDS[RULES[rule]]) as caught:
            _read_all(name, handed_out)
        assert EXPECTED[name]["message"] in str(caught.value)
        assert caught.value.exit_code == EXPECTED[name]["exit_code"]
        assert handed_out in ([], [b"A" * 4096], [b"A" * 8192])


def _read_all(name: str, handed_out: list[bytes]) -> None:
    with open_image(str(build.FOLDER / f"{name}.img")) as source:
        image = ImageReader(source)
        for table in TABLES:
            image.read(table)
        for raw in image.stream():
            handed_out.append(bytes(raw))  # noqa: PERF401 - what came before the error counts


def test_specification_and_vectors_have_the_same_rules() -> None:
    numbers = [int(rule[1:]) for rule in RULES]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {wanted["rule"] for wanted in EXPECTED.values()} - {""} == set(RULES)
