"""Processes beside the writer: who gets swap until the freeze, and the watchdog."""

import os
import time
from collections.abc import Callable
from functools import partial

import pytest

from errors import KernelRefusedError
from hibernate import sequence
from hibernate.freeze import Freeze
from hibernate.watchdog import Watchdog
from tests.tools import failing
from tests.unit.hibernating import EXPECTED, Hibernation


def test_swap_is_there_and_nobody_is_left_who_got_it_before_the_freeze(
    hibernation: Hibernation, children: Callable[[], set[str]]
) -> None:
    """However long that takes: a child that was frozen would hold the device for ever."""
    device = hibernation.device
    device.before["avail_swap_size"] = partial(time.sleep, 0.3)
    got: list[int] = []

    def see() -> None:
        got.append(device.taken)
        assert len(children()) == 1  # the watchdog

    device.before["freeze"] = see
    hibernation.run_to_power_off()
    assert got == [EXPECTED // 2]
    assert not children()


def test_what_fails_meanwhile_ends_who_gets_swap(
    hibernation: Hibernation,
    children: Callable[[], set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hibernation.device.before["avail_swap_size"] = partial(time.sleep, 60)
    monkeypatch.setattr(Freeze, "__init__", failing(KernelRefusedError("no")))
    with pytest.raises(KernelRefusedError):
        hibernation.run()
    assert not children()
    assert hibernation.device.calls == ["set_swap_area", "close"]


def test_watchdog_does_not_keep_the_device_open(
    hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed, it thaws the watchdog, too: that is told to end after that only."""
    order: list[str] = []

    class Noted(Watchdog):
        def __init__(self, *rescue: Callable[[], None], **others: Callable[[], None]) -> None:
            assert others["let_go"] == hibernation.device.close
            super().__init__(*rescue, **others)

        def __exit__(self, *_: object) -> None:
            order.extend(hibernation.device.calls[-1:])
            super().__exit__()

    monkeypatch.setattr(sequence, "Watchdog", Noted)
    hibernation.device.second_life = True
    hibernation.run()
    assert order == ["close"]


def test_who_has_let_go_holds_nothing_open() -> None:
    """Not even for the moment until it runs."""
    read_end, write_end = os.pipe()

    def let_go() -> None:
        time.sleep(0.1)
        os.close(write_end)

    with Watchdog(let_go=let_go):
        os.close(write_end)
        os.set_blocking(read_end, False)
        assert os.read(read_end, 1) == b""
    os.close(read_end)
