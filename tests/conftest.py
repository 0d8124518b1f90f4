"""What all tests share: how much of them runs, and the table of what hibernated where."""

import pytest

ROW = "hibernated"
"""The user property of a test that stands in the table: generator, place, kernel, seconds."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also the tests that take an hour or two")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: only with --long")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        skipped = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in skipped]
        config.hook.pytest_deselected(items=skipped)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        (*value, report.outcome)
        for reports in (
            terminalreporter.getreports("passed"),
            terminalreporter.getreports("failed"),
        )
        for report in reports
        if report.when == "call"
        for name, value in report.user_properties
        if name == ROW
    ]
    if rows:
        terminalreporter.section("hibernated to, resumed from")
        form = "{:<16} {:<28} {:<8} {:>8} {:>10} {:>8}  {}"
        head = ("generator", "place", "kernel", "boot s", "hibern. s", "resume s", "outcome")
        for row in [head, *sorted(rows)]:
            terminalreporter.write_line(form.format(*row))
