"""The processes that the whole suite is run in."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest

from hibernate.signals import STOPPING
from tests import conftest
from tests.conftest import NICENESS, WORKERS, OneMachine

GIVEN, WHOLE = pytest.Config.ArgsSource.ARGS, pytest.Config.ArgsSource.TESTPATHS


@pytest.mark.parametrize(
    ("source", "keyword", "markers", "processors", "workers"),
    [
        (WHOLE, "", "", 2, WORKERS),
        (WHOLE, "", "", 64, WORKERS),
        (WHOLE, "", "", 1, 0),
        (WHOLE, "name", "", 2, 0),
        (WHOLE, "", "vm", 2, 0),
        (GIVEN, "", "", 2, 0),
    ],
)
def test_a_part_of_the_suite_has_no_workers(
    source: pytest.Config.ArgsSource,
    keyword: str,
    markers: str,
    processors: int,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {*range(processors)})
    option = SimpleNamespace(keyword=keyword, markexpr=markers)
    config = SimpleNamespace(args_source=source, option=option)
    assert conftest.pytest_xdist_auto_num_workers(config) == workers  # type: ignore[arg-type]


def test_one_worker_has_all_virtual_machines() -> None:
    """Files are not split: what one makes for its tests is made once."""
    scheduler = OneMachine.__new__(OneMachine)
    names = ["vm/test_tpm.py::a", "vm/test_faults.py::b[x/y::z]", "unit/test_tpm.py::a", "x.py::a"]
    scopes = [scheduler._split_scope(f"tests/{name}") for name in names]
    assert scopes == ["tests/vm/", "tests/vm/", "tests/unit/test_tpm.py", "tests/x.py"]


@pytest.mark.parametrize(
    ("is_worker", "name", "before", "after"),
    [
        (True, "unit/test_tpm.py::a", 0, NICENESS),
        (True, "unit/test_tpm.py::a", NICENESS + 1, NICENESS + 1),
        (True, "vm/test_tpm.py::a", 0, 0),
        (False, "unit/test_tpm.py::a", 0, 0),
    ],
)
def test_a_worker_lets_virtual_machines_go_first(
    *, is_worker: bool, name: str, before: int, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    priority = [before]

    def nice(more: int) -> int:
        priority[0] += more
        return priority[0]

    monkeypatch.setattr(os, "nice", nice)
    config = SimpleNamespace(workerinput={}) if is_worker else SimpleNamespace()
    item = SimpleNamespace(config=config, nodeid=f"tests/{name}")
    for _ in range(2):
        conftest.pytest_runtest_setup(item)  # type: ignore[arg-type]
    assert priority == [after]


def test_signals_come_to_the_thread_of_the_tests() -> None:
    """Others, as a worker has one, would take what this one blocks."""
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {*STOPPING}
    for thread in set(os.listdir("/proc/self/task")) - {str(os.getpid())}:
        status = Path(f"/proc/self/task/{thread}/status").read_text()
        blocked = int(status.split("SigBlk:\t")[1].split()[0], 16)
        assert all(blocked >> number - 1 & 1 for number in STOPPING), thread
