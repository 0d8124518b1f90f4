"""What is swapped out before a snapshot: how much, of which process, in which order."""

import os
from itertools import pairwise

import pytest

from format.sections.working_set import ProcessMemory
from linux import PAGE_SIZE, process_memory, tasks
from linux.process_memory import page_out as really_page_out
from tests.unit.test_linux_memory import sleeper
from workingset import page_out as module
from workingset.page_out import page_out, to_page_out

MIB = 1 << 20
Ranges = list[tuple[int, int]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Ranges:
    """What was asked for: address and bytes of each range."""
    ranges: Ranges = []

    def take(_pidfd: int, some: Ranges) -> int:
        assert len(some) <= 1024
        ranges.extend(some)
        return sum(size for _, size in some)

    monkeypatch.setattr(process_memory, "page_out", take)
    return ranges


def sizes(**changed: int) -> dict[str, int]:
    """Return a machine of 1000 MiB: 300 of caches, 400 of processes, 100 of the kernel."""
    return {
        name: size * MIB
        for name, size in {
            "MemTotal": 1000,
            "MemFree": 200,
            "Active(file)": 100,
            "Inactive(file)": 200,
            "Active(anon)": 400,
            "SwapFree": 2000,
            **changed,
        }.items()
    }


@pytest.mark.parametrize(
    ("image", "changed", "wanted"),
    [
        (1000, {}, 300 - 300 + 128),
        (1000, {"MemFree": 600, "Active(file)": 0, "Inactive(file)": 0}, 0),
        (400, {}, 400 - 300 + 128),
        (400, {"SwapFree": 0}, 0),
        (400, {"SwapFree": 100}, 50),
        (0, {}, 700 - 300 + 128),
        (500, {"Inactive(file)": 600}, 0),
    ],
)
def test_caches_go_first(
    image: int, changed: dict[str, int], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "memory", lambda: sizes(**changed))
    assert to_page_out(image * MIB) == wanted * MIB


def mine(*ranges: tuple[int, int], started: int | None = None) -> ProcessMemory:
    pid = os.getpid()
    return ProcessMemory(pid, tasks.start_of(pid) if started is None else started, ranges)


def test_each_gives_its_share_in_the_order_of_addresses(asked: Ranges) -> None:
    large = mine(*((page, 3) for page in range(0, 40_000, 4)))
    small = mine((1 << 20, 10_000))
    page_out([large, small], 20_000 * PAGE_SIZE)
    pages = [size // PAGE_SIZE for _, size in asked]
    assert sum(pages) == 15_000 + 5_000
    at = next(n for n, (address, _) in enumerate(asked) if address >= (1 << 20) * PAGE_SIZE)
    assert sum(pages[:at]) == 15_000
    assert all(one[0] + one[1] <= other[0] for one, other in pairwise(asked))
    assert max(pages) == 2048


def test_all_of_it_and_no_more(asked: Ranges) -> None:
    assert page_out([mine((5, 3000), (9000, 1))], 1 << 40) == 3001 * PAGE_SIZE
    assert asked == [
        (5 * PAGE_SIZE, 2048 * PAGE_SIZE),
        (2053 * PAGE_SIZE, 952 * PAGE_SIZE),
        (9000 * PAGE_SIZE, PAGE_SIZE),
    ]


def test_who_has_little_or_is_gone_or_another_is_left_alone(asked: Ranges) -> None:
    gone = ProcessMemory((1 << 31) - 1, 1, ((0, 5000),))
    assert page_out([mine((0, 200)), mine((0, 5000), started=1), gone], 1 << 40) == 0
    assert page_out([], 1 << 40) == 0
    assert asked == []


def test_it_ends_in_time(asked: Ranges, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 0.0)
    assert page_out([mine((0, 5000))], 1 << 40) == 0


def test_the_kernel_takes_the_advice() -> None:
    """Without swap nothing happens to a process of ours, and what is not mapped is refused."""
    with sleeper() as (pid, private, _shared):
        pidfd = os.pidfd_open(pid)
        try:
            assert really_page_out(pidfd, [(private, 10 * PAGE_SIZE)]) == 10 * PAGE_SIZE
            with pytest.raises(OSError, match="memory"):
                really_page_out(pidfd, [(PAGE_SIZE, PAGE_SIZE)])
        finally:
            os.close(pidfd)
