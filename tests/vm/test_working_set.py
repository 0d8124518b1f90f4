"""What was in memory is there again after the resume, as far as it fits, at no cost to others."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vm.disks import swap_disk
from vm.initramfs import new_machine
from vm.kernels import find_kernel
from vm.machine import Result, told
from vm.working_set import DISK, HOLD_MIB, MEMORY_MIB, SWAP_MIB, files_disk, live, make_machine

pytestmark = [pytest.mark.vm, pytest.mark.long]

WARM = 0.95
SPARE_MIB = 96
HOLDER_PAGES = HOLD_MIB * 256


@pytest.mark.parametrize("series", ["6.1", "6.12"])
def test_full_machine_is_warm_again(series: str, tmp_path: Path) -> None:
    """Four fifths of the memory in use, half of that processes': right, and nearly all back.

    By the replay's own count, and by what the guest sees when nobody else has touched it.
    """
    ways = ["alone"]
    machine = make_machine(find_kernel(series), tmp_path, ways, tmp_path / "console.log")
    warming = live(machine, ways)["alone"]
    assert warming.is_same
    assert warming.used >= 80
    assert warming.recorded is not None
    assert warming.files[1] < 0.1 * warming.files[0], "the kernel kept the page cache: no test"
    assert warming.anon[1] < 0.9 * warming.anon[0], "nothing was swapped out: no test"
    assert (warming.replay["outcome"], warming.replay["reason"]) == ("done", "")
    assert warming.replay["skipped"].get("changed", 0) == warming.replay["files"]["skipped"] <= 2
    assert warming.warm_share >= WARM
    for before, _, again in (warming.files, warming.anon):
        assert again >= WARM * before
    assert warming.swapped_out == 0


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A machine that replays what it cannot bring back, or not all of it."""
    folder = tmp_path_factory.mktemp("short")
    swap_disk(folder / "swap.img", SWAP_MIB)
    disks = [files_disk(folder / "files.img"), folder / "swap.img"]
    append = f"scenario=short hold={HOLD_MIB} spare={SPARE_MIB}"
    machine = new_machine(find_kernel("6.1"), folder, disks, append, MEMORY_MIB)
    result = replace(machine, throttle=DISK).run(240)
    assert result.status == 0, result.console[-4000:]
    return result


def pages(result: Result, event: str, key: str) -> int:
    line = next(line for line in result.report if line.startswith(f"{event} "))
    return int(str(told([line], key)))


def replayed(result: Result, name: str) -> dict[str, Any]:
    start = f"replay-{name} "
    line = next(line for line in result.report if line.startswith(start))
    facts: dict[str, Any] = json.loads(line.removeprefix(start))
    return facts


@pytest.mark.long
def test_machine_without_memory_to_spare_does_not_swap(short: Result) -> None:
    """Memory that others use stays theirs; free memory is used, but not all of it."""
    replay = replayed(short, "short")
    assert (replay["outcome"], replay["reason"]) == ("stopped", "free memory runs short")
    assert pages(short, "short", "swapped-out") == 0
    assert pages(short, "short", "anon") == pages(short, "filled", "anon")
    assert pages(short, "filled", "free") <= SPARE_MIB
    assert 0 < pages(short, "short", "files") < 0.5 * pages(short, "recorded", "files")
    assert 0 < replay["file_pages"]["restored"] < 0.5 * replay["file_pages"]["recorded"]


@pytest.mark.long
def test_signal_ends_a_replay_half_way(short: Result) -> None:
    replay = replayed(short, "signal")
    assert (replay["outcome"], replay["reason"]) == ("stopped", "stopped by a signal")
    assert pages(short, "signal", "code") == 0
    assert 1000 < pages(short, "signal", "files") < WARM * pages(short, "recorded", "files")


@pytest.mark.long
def test_what_is_gone_is_counted(short: Result) -> None:
    """A process that ended, and all files of a file system that is not mounted any more."""
    replay = replayed(short, "gone")
    assert (replay["outcome"], replay["reason"]) == ("done", "")
    assert replay["processes"]["skipped"] == 1
    assert HOLDER_PAGES <= replay["process_pages"]["skipped"] < 1.2 * HOLDER_PAGES
    assert set(replay["skipped"]) == {"file system not mounted"}
    assert replay["files"]["skipped"] >= 800
    assert pages(short, "gone", "code") == 0
