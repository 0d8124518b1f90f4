"""The writer, with a device that enforces the kernel's rules and files that stand for stores."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from hibernate import opened, sequence
from hibernate.attempts import hibernate_once
from hibernate.downtime import Downtime
from hibernate.plan import Plan
from hibernate.power_off import Mode
from hibernate.watchdog import Watchdog
from linux import PAGE_SIZE
from state.conf import OFF
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff
from workingset.recorder import Recorder

STREAM = b"".join(bytes([n % 251]) * 2048 + os.urandom(2048) for n in range(700))
SCATTERED = [*range(10, 400, 3), *range(401, 2000)]
EXPECTED = 200
"""Pages that the image is thought to take: half of them are got ahead, the rest once frozen."""


class Hibernation:
    """One of a machine whose memory is STREAM; the kernel gives it SCATTERED pages of swap."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.header = self.first_page()
        self.plan = Plan(str(path), Mode.PLATFORM, uuid4())
        self.device = FakeSnapshot(STREAM, swap_pages=SCATTERED)
        self.said: list[str] = []
        self.working_set = no_working_set()
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(opened, "open_snapshot", self.device.open)
        monkeypatch.setattr(opened, "image_of", lambda *_: EXPECTED * PAGE_SIZE)

    def first_page(self) -> bytes:
        return self.path.read_bytes()[:PAGE_SIZE]

    def run(self) -> None:
        hibernate_once(self.plan, self.said.append, self.working_set, Downtime())

    def run_to_power_off(self) -> Path:
        """Return what the disk held then: the exception that stands for it undoes the mark."""
        kept = self.path.with_name("at-power-off")

        def off(*_: object) -> None:
            kept.write_bytes(self.path.read_bytes())
            raise PoweredOff

        self._monkeypatch.setattr(sequence, "power_off", off)
        with pytest.raises(PoweredOff):
            self.run()
        return kept


def no_working_set() -> Recorder:
    """Return one that records nothing."""
    return Recorder(OFF, 0, print)


def kill_writer(*rescue: Callable[[], None], at_work: Callable[[], None] = lambda: None) -> None:
    """Kill one that has this watchdog, after its work; return when the watchdog has ended."""
    read_end, write_end = os.pipe()
    writer = os.fork()
    if writer == 0:
        with Watchdog(*rescue):
            at_work()
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(write_end)
    os.waitpid(writer, 0)
    assert os.read(read_end, 1) == b""  # the watchdog had the other end open, too
    os.close(read_end)
