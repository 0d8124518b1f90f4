"""What all tests share: how much of them runs, where, the seed of chance, the tables at the end."""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.servers.ceph import Ceph
from tests.servers.proxy import Proxy
from tests.tools import ROOT
from vm.certificates import Authority, Certificate
from vm.s3_server import S3Server

HIBERNATED = "hibernated"
"""The user property of a test that hibernated: suite, kernel, generator, place, seconds."""

ENDED = "ended"
"""The user property of a test whose outcome is counted: what was done, where, when, the end."""

FUZZED = "fuzzed"
"""The user property of a test with changed images: exit code, count of each program, meaning."""

FUZZED_BY = (
    *("verify", "inspect", "unpack", "key verify", "key unpack"),
    *("dry run", "resume", "replay"),
)
"""What each changed image goes through; by key: with --identity."""

CRASHED = "crashed"
"""The user property of a test of all power cuts: what was cut off, store, counts."""


@dataclass(frozen=True, slots=True)
class Table:
    """What is shown of all tests that have a user property; its value is a tuple of strings."""

    title: str
    form: str
    head: tuple[str, ...]
    is_counted: bool
    """Whether equal rows are one, with their number."""


KEY = 4
"""The first columns of the table of hibernations, which name what was tried."""

TABLES = {
    HIBERNATED: Table(
        "hibernated to, resumed from",
        "{:<9} {:<17} {:<16} {:<30} {:>7} {:>10} {:>9}  {}",
        ("Debian", "kernel", "generator", "place", "boot s", "hibern. s", "resume s", "outcome"),
        is_counted=False,
    ),
    ENDED: Table(
        "what was done to machines, and how they ended",
        "{:<28} {:<10} {:<22} {:<24} {:<8} {:>6}",
        ("done", "store", "when", "ended", "outcome", "count"),
        is_counted=True,
    ),
    FUZZED: Table(
        "changed images and marks",
        "{:>9} " + "{:>10} " * len(FUZZED_BY) + " {:<60} {}",
        ("exit code", *FUZZED_BY, "meaning", "outcome"),
        is_counted=False,
    ),
    CRASHED: Table(
        "every disk that a power cut can leave",
        "{:<20} {:<8} {:>9} {:>9} {:>9} {:>9}  {}",
        ("cut off", "store", "cuts", "disks", "resumed", "cold", "outcome"),
        is_counted=False,
    ),
}


MACHINES = "tests/vm/"
WORKERS = 2
"""Processes that run the whole suite, where there are as many processors."""

NICENESS = 5
"""Of a worker without virtual machines: theirs is the longer way, and they have to keep time."""


class OneMachine(LoadScopeScheduling):  # type: ignore[misc] # untyped
    """Gives each worker file after file; all virtual machines are one file: they fill a machine."""

    def _split_scope(self, nodeid: str) -> str:
        return MACHINES if nodeid.startswith(MACHINES) else nodeid.partition("::")[0]


@pytest.fixture(scope="session")
def packages(testrun_uid: str) -> Path:
    """Make the packages of what is here, once for all workers; return their folder."""
    with (ROOT / "build/package.run").open("a+") as made_by:
        fcntl.flock(made_by, fcntl.LOCK_EX)
        made_by.seek(0)
        if made_by.read() != testrun_uid:
            words = [sys.executable, "-m", "package"]
            subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
            made_by.truncate(0)
            made_by.write(testrun_uid)
    return ROOT / "build/package"


@pytest.fixture(scope="session")
def authority() -> Authority:
    """Who signs the certificates of the servers here."""
    return Authority()


@pytest.fixture(scope="session")
def certificate(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One that holds."""
    return authority.sign(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server that speaks in the clear; a test that stops it starts it again."""
    yield from _serving(S3Server(tmp_path_factory.mktemp("server")))


@pytest.fixture(scope="session")
def tls_server(
    certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[S3Server]:
    """Another one, which speaks TLS."""
    yield from _serving(S3Server(tmp_path_factory.mktemp("server"), certificate))


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """An S3 server of others. Tests of it are long: it fetches 150 MB, and starts in 30 s."""
    with Ceph(tmp_path_factory.mktemp("ceph")) as server:
        yield server


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[Proxy]:
    """A way to the server, which a test can make a bad one (tests/servers/faults.py)."""
    with Proxy(s3_server.port) as made:
        yield made


def _serving(server: S3Server) -> Iterator[S3Server]:
    with server:
        yield server
    shutil.rmtree(server.folder)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also the tests that take an hour or two")
    parser.addoption("--table", type=Path, help="a file to keep the table of hibernations in")
    parser.addoption("--seed", type=int, help="of the instants at which the power is cut")
    parser.addoption(
        "--cuts", type=int, default=0, help="cut the power so often in all, earlier runs included"
    )
    parser.addoption(
        "--cuts-file",
        type=Path,
        default=ROOT / "build/cuts.jsonl",
        help="where --cuts keeps what came of each machine",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell makes its background processes ignore it, and our children would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "long: only with --long")
    told = getattr(config, "workerinput", None)
    if told is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        config.option.seed = told["seed"]
        return
    if config.option.table:
        config.pluginmanager.register(TableKeeper(config.option.table))
    if config.option.seed is None:
        config.option.seed = random.randrange(1 << 32)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A part of the suite is sooner done than a worker begins."""
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    is_whole &= not (config.option.keyword or config.option.markexpr)
    return WORKERS if is_whole and len(os.sched_getaffinity(0)) >= WORKERS else 0


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneMachine:
    return OneMachine(config, log)


def pytest_configure_node(node: WorkerController) -> None:
    node.workerinput["seed"] = node.config.option.seed


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionstart() -> Generator[None]:
    """Start the workers with all signals blocked, which their main threads then let through.

    Each has a thread that talks with us. It would take signals that a test sends to itself.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if hasattr(item.config, "workerinput") and not item.nodeid.startswith(MACHINES):
        os.nice(max(NICENESS - os.nice(0), 0))


def pytest_report_header(config: pytest.Config) -> str:
    return f"power cuts: --seed {config.option.seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(MACHINES))  # they take longest
    if not config.getoption("--long"):
        skipped = [item for item in items if item.get_closest_marker("long")]
        items[:] = [item for item in items if item not in skipped]
        config.hook.pytest_deselected(items=skipped)


Row = Sequence[str]


def keep_rows(file: Path, head: Row, rows: Iterable[Row], key: int) -> None:
    """Add rows to the table in a file, which is made if it is not there.

    Of rows that are alike in the first `key` columns the last one stays. What else the file holds
    is lost.
    """
    kept = _rows_in(file) if file.exists() else []
    by_key = {tuple(row[:key]): tuple(row) for row in (*kept, *rows)}
    lines = [_line(head), _line("---" for _ in head)]
    lines += [_line(row) for _, row in sorted(by_key.items())]
    file.write_text("\n".join([*lines, ""]))


def _rows_in(file: Path) -> list[Row]:
    lines = [line for line in file.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


class TableKeeper:
    """Adds each row to a file at once, so that a run that is killed leaves its rows, too."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        rows = _rows_of(report, HIBERNATED)
        if report.when == "call" and rows:
            keep_rows(self._file, TABLES[HIBERNATED].head, rows, KEY)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, table in TABLES.items():
        rows = sorted(_rows(terminalreporter, name))
        if rows:
            terminalreporter.section(table.title)
            counted = Counter(rows).items() if table.is_counted else ((row, "") for row in rows)
            for row in (table.head, *((*row, count) for row, count in counted)):
                terminalreporter.write_line(table.form.format(*row))


def _rows(terminalreporter: pytest.TerminalReporter, name: str) -> list[tuple[str, ...]]:
    return [
        row
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
        for row in _rows_of(report, name)
    ]


def _rows_of(report: pytest.TestReport, name: str) -> list[tuple[str, ...]]:
    return [
        (*value, report.outcome)
        for key, value in report.user_properties
        if key == name and isinstance(value, tuple)
    ]
