"""What the console of a virtual machine says of the emulator itself."""

import pytest

from vm.machine import Result

FAILED = "[ 34.2] Freezing of tasks failed after 20.008 seconds (1 tasks refusing to freeze):\n"
RUNS = "[ 34.2] task:torpor  state:R  running task     stack:0     pid:250   ppid:222\n"
SLEEPS = "[ 34.2] task:cp      state:D stack:0     pid:305   ppid:121    flags:0x00000006\n"
TRACE = "[ 34.2] Call Trace:\n[ 34.2]  <TASK>\n"
AT_THE_BREAKPOINT = "[ 34.2]  ? get_signal+0xa0/0x990\n[ 34.2]  ? get_signal+0xa1/0x990\n"
ELSEWHERE = "[ 34.2]  __schedule+0x34d/0xa00\n[ 34.2]  mnt_want_write+0x8b/0xc0\n"


@pytest.mark.parametrize(
    ("console", "is_it"),
    [
        (FAILED + RUNS + TRACE + AT_THE_BREAKPOINT, True),
        (FAILED + SLEEPS + TRACE + ELSEWHERE, False),
        (FAILED + RUNS + TRACE + ELSEWHERE, False),
        (FAILED + SLEEPS + TRACE + AT_THE_BREAKPOINT, False),
        (RUNS + TRACE + AT_THE_BREAKPOINT, False),
    ],
)
def test_a_task_that_the_emulator_keeps_is_told_from_one_that_we_do(
    console: str, is_it: bool
) -> None:
    assert Result(0, console, [], 1.0).is_emulators_fault == is_it
