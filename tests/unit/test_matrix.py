"""The rows of tests/vm/matrix.py, and the table that several runs make."""

from itertools import combinations, product
from pathlib import Path

import pytest

from tests.conftest import keep_rows
from tests.vm.places import PLACES, places_of, rows
from tests.vm.test_debian_places import SHORT
from vm.debian import GENERATORS
from vm.suites import NEWEST, SUITES, suites_from_here

PLACE_NAMES = [place.name for place in PLACES]
KERNELS = [(suite.name, series) for suite in SUITES.values() for series in suite.series]
"""Each suite's own. The newest of 13 is that of its backports, another one than unstable's."""
FACTORS = ("generator", "suite", "kernel", "place")
HEAD = ("what", "where", "seconds")


def levels(generator: str, suite: str, series: str, place: str) -> dict[str, str]:
    kernel = f"{suite} {series}" if series == NEWEST else series
    return dict(zip(FACTORS, (generator, suite, kernel, place), strict=True))


WANTED = [
    levels(generator, suite, series, place)
    for generator, (suite, series), place in product(GENERATORS, KERNELS, PLACE_NAMES)
]
"""All rows that there could be."""
ROWS = [levels(*kind, place.name) for kind, place in rows()]


@pytest.mark.parametrize(("one", "other"), list(combinations(FACTORS, 2)))
def test_every_pair_occurs(one: str, other: str) -> None:
    wanted = {(row[one], row[other]) for row in WANTED}
    assert {(row[one], row[other]) for row in ROWS} == wanted


def test_as_many_levels_as_there_should_be() -> None:
    assert len(set(PLACE_NAMES)) == len(PLACE_NAMES) == 10
    assert (len(GENERATORS), len(SUITES), len(KERNELS)) == (3, 3, 5)


def test_each_row_runs_once_and_on_few_machines() -> None:
    named = [(*kind, place.name) for kind, place in rows()]
    assert len(named) == len(set(named)) == 4 * len(PLACES)
    machines = list(dict.fromkeys(kind for kind, _ in rows()))
    assert len(machines) == 12
    assert [(kind, place) for kind in machines for place in places_of(kind)] == list(rows())
    assert SHORT in named


@pytest.mark.parametrize(
    ("codename", "names"),
    [
        ("bookworm", ["12", "13", "unstable"]),
        ("trixie", ["13", "unstable"]),
        ("sid", ["unstable"]),
        ("noble", ["unstable"]),
        (None, ["unstable"]),
    ],
)
def test_programs_run_on_suites_no_older_than_the_host(
    codename: str | None, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = {"VERSION_CODENAME": codename} if codename else {}
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: release)
    assert [suite.name for suite in suites_from_here()] == names


def test_runs_add_to_a_kept_table(tmp_path: Path) -> None:
    file = tmp_path / "table.md"
    keep_rows(file, HEAD, [("b", "x", "1"), ("a", "y", "-")], 2)
    keep_rows(file, HEAD, [("a", "y", "3"), ("a", "x", "4")], 2)
    assert file.read_text().splitlines() == [
        "| what | where | seconds |",
        "| --- | --- | --- |",
        "| a | x | 4 |",
        "| a | y | 3 |",
        "| b | x | 1 |",
    ]
