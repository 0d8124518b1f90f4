"""A freeze in which nothing gets on ends in limited time, whatever hangs."""

import errno
import os
import re
import signal
import threading
import time
from typing import NoReturn

import pytest

from errors import KernelRefusedError
from hibernate import last_resort
from hibernate.last_resort import LastResort
from hibernate.marking import Marking
from hibernate.watchdog import Watchdog
from linux import memory, power, proc
from tests.tools import wait_until
from tests.unit.hibernating import SCATTERED, Hibernation

LIMIT = 0.4


class Restarted(BaseException):
    """Where the real machine has begun to boot."""


@pytest.fixture(autouse=True)
def restarts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often the machine was restarted; the threads that did it have ended."""
    times: list[str] = []

    def restart() -> NoReturn:
        times.append("restarted")
        raise Restarted

    monkeypatch.setattr(power, "restart_at_once", restart)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(last_resort, "reclaimed", lambda: 0)
    return times


def resort(said: list[str], *, is_marking: bool = False) -> LastResort:
    return LastResort(LIMIT, said.append, lambda: is_marking)


def test_without_progress_the_machine_goes_on() -> None:
    said: list[str] = []
    gone: list[float] = []
    begun = time.monotonic()
    last = resort(said)
    with last.armed(), last.guarding(lambda: gone.append(time.monotonic() - begun)):
        last.log("writing")
        wait_until(lambda: bool(gone))
        with pytest.raises(KernelRefusedError, match="the machine went on"):
            last.progress()
        time.sleep(2 * LIMIT)
    assert len(gone) == 1
    assert LIMIT < gone[0] < 3 * LIMIT
    assert said == ["writing", "nothing has got on for 0 s: the image is given up"]


def test_with_progress_it_stays_frozen(restarts: list[str]) -> None:
    said: list[str] = []
    last = resort(said)
    with last.armed(), last.guarding(lambda: said.append("gone")):
        for _ in range(10):
            time.sleep(LIMIT / 4)
            last.progress()
    time.sleep(3 * LIMIT)  # the signal is off, too
    assert not said
    assert not restarts


def test_what_the_kernel_reclaims_is_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """To make room for the snapshot takes as long as it takes."""
    said: list[str] = []
    until = time.monotonic() + 5 * LIMIT
    monkeypatch.setattr(last_resort, "reclaimed", lambda: min(time.monotonic(), until))
    last = resort(said)
    with last.armed(), last.guarding(lambda: said.append(f"{time.monotonic() > until}")):
        wait_until(lambda: len(said) == 2)
    assert said[1] == "True"


@pytest.mark.parametrize(
    ("why", "error"),
    [
        ("the mark may be on the disk", None),
        ("it cannot be thawed", OSError(errno.EBUSY, "Device or resource busy")),
        ("it cannot be thawed", RuntimeError("can't start new thread")),
    ],
)
def test_it_restarts_where_it_must_not_or_cannot_go_on(
    why: str, error: Exception | None, restarts: list[str]
) -> None:
    said: list[str] = []

    def let_go() -> None:
        if error:
            raise error

    last = resort(said, is_marking="mark" in why)
    with last.armed(), last.guarding(let_go):
        wait_until(lambda: bool(restarts))
    assert said[1].startswith(why)
    assert said[1].endswith("the machine restarts")


def test_the_watchdog_thaws_while_the_writer_hangs_in_a_sync(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """By its own process; and says so to the writer, should that go on."""
    thawed = tmp_path_factory.mktemp("x") / "thawed"
    last = resort([])
    with Watchdog(meanwhile=lambda: last.thaw_early(thawed.touch)), last.armed():
        signal.setitimer(signal.ITIMER_REAL, 0)
        wait_until(thawed.exists)
        with pytest.raises(KernelRefusedError, match="the machine went on"):
            last.progress()


def test_a_signal_ends_a_writer_without_its_thread() -> None:
    """As when it waits for memory that never comes, and keeps Python's lock."""
    writer = os.fork()
    if writer == 0:
        with resort([]).armed():
            time.sleep(60)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1]) == -signal.SIGALRM


def hang_in(call: str, hibernation: Hibernation) -> None:
    """Have a call not return before the tasks are thawed, and a second after that."""
    thawed = threading.Event()
    hibernation.device.before[call] = lambda: thawed.wait(60)
    hibernation.device.before["unfreeze"] = thawed.set
    hibernation.plan = hibernation.plan._replace(stall_timeout=LIMIT)


def test_a_writer_that_hangs_is_left_behind(hibernation: Hibernation) -> None:
    """What it has of the swap it has until it closes the device: it may still be written to."""
    hang_in("read", hibernation)
    with pytest.raises(KernelRefusedError, match=r"the machine went on|cannot be read"):
        hibernation.run()
    calls = hibernation.device.calls
    assert calls.index("free") < calls.index("unfreeze") < calls.index("close")
    assert not hibernation.device.frozen
    assert hibernation.device.free_swap == SCATTERED
    assert hibernation.first_page() == hibernation.header
    assert any("nothing has got on" in line for line in hibernation.said)


def test_a_kernel_that_hangs_in_the_snapshot(hibernation: Hibernation, restarts: list[str]) -> None:
    hang_in("create_image", hibernation)
    hibernation.device.fail["free"] = errno.EBUSY
    hibernation.device.before["create_image"] = lambda: wait_until(lambda: bool(restarts))
    with pytest.raises((KernelRefusedError, OSError)):
        hibernation.run()


def test_a_device_that_hangs_in_the_mark(
    hibernation: Hibernation, restarts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether it is there: the machine does not go on."""
    frozen: list[bool] = []

    def hang(*_: object) -> None:
        wait_until(lambda: bool(restarts))
        frozen.append(hibernation.device.frozen)

    monkeypatch.setattr(Marking, "set", hang)
    hibernation.plan = hibernation.plan._replace(stall_timeout=LIMIT)
    hibernation.run_to_power_off()
    assert frozen == [True]


def test_what_the_kernel_has_reclaimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By lines that this kernel has, too, whether it has reclaimed something yet or not."""
    assert re.search(r"^pgsteal_kswapd \d+$", proc.read("/proc/vmstat"), re.MULTILINE)
    counts = "pgscan_kswapd 9\npgsteal_kswapd 3\npgsteal_direct 4\n"
    with monkeypatch.context() as patch:
        patch.setattr(proc, "read", lambda _path: counts)
        assert memory.reclaimed() == 7
    monkeypatch.setattr(memory, "_numbers", lambda *_: os.stat("/nowhere"))
    assert memory.reclaimed() == 0
