"""The table of what came of the changed images."""

from collections.abc import Iterator

import pytest

from tests.fuzz.run import CODES
from tests.test_structure import all_errors

TABLE = "changed images and marks"
"""The user property of a test that fills the table: outcomes by program and exit code."""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in (
        *terminalreporter.getreports("passed"),
        *terminalreporter.getreports("failed"),
    ):
        for name, value in report.user_properties if report.when == "call" else ():
            if name == TABLE and isinstance(value, dict):
                terminalreporter.section(TABLE)
                for line in lines(value):
                    terminalreporter.write_line(line)


def lines(outcomes: dict[str, dict[str, int]]) -> Iterator[str]:
    """Yield the table: a line for each exit code, a column for each program."""
    meanings = {error.exit_code: error.meaning for error in all_errors()} | {0: "sound"}
    form = "{:>9}" + " {:>9}" * len(CODES) + "  {}"
    yield form.format("exit code", *CODES, "")
    for code in sorted({int(code) for found in outcomes.values() for code in found}):
        counts = [outcomes[program].get(str(code), 0) for program in CODES]
        yield form.format(code, *counts, meanings[code])
    yield form.format("", *(sum(outcomes[program].values()) for program in CODES), "in all")
