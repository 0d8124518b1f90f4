"""Waits for devices, and not for ever."""

import os
import time

from errors import DeviceNotFoundError
from linux import programs
from linux.kmsg import Log
from resume.request import Request
from state.files import write_text
from store.locate import find_device

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyudev

HOUR = 3600.0
"""Seconds after the start of the machine from which on all time counts."""

MOST_CALLS = 15
"""Of the command that opens devices meanwhile: at the twentieth mdadm starts incomplete arrays, at
the forty-fifth cryptroot gives up the boot."""

TURNS = "/run/torpor/turns"
"""Written to at each turn of the loop that opens devices, beside which we wait (dracut)."""

WAITER = "/run/torpor/waiter"
WAITED = "/run/torpor/waited"
"""Is there once that wait has come to its end: nobody waits for the image's device any more."""

_UDEV = "/run/udev/control"
_QUESTIONS = "/run/systemd/ask-password"
_ASKING = ("cryptsetup", "systemd-cryptse")
_LATE = 3.0
_PAUSE = 1.0
"""Seconds after which to look without an event: links are made by others than udev, too."""


class Surroundings:
    """The clock of this boot, and who else is at work in it. Tests have others."""

    _monitor: "pyudev.Monitor | None" = None

    def now(self) -> float:
        """Return the seconds since the machine was started."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Return after that time, or as soon as there is another device than before."""
        if self._monitor is None:
            import pyudev  # 15 ms and 2 MiB, for a boot that has to wait

            source = "udev" if os.path.exists(_UDEV) else "kernel"  # udev's adds the tags
            self._monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=source)
            self._monitor.filter_by("block")
            self._monitor.start()
        self._monitor.poll(timeout=seconds)

    def is_asking(self) -> bool:
        """Return whether a passphrase is being asked for, or a key derived from it.

        By the files of systemd's password agents, and by the names of processes.
        """
        if any(name.startswith("ask.") for name in _names(_QUESTIONS)):
            return True
        processes = (name for name in _names("/proc") if name.isdecimal())
        return any(_name_of(process) in _ASKING for process in processes)

    def turn(self) -> int:
        """Return what changes with each turn of the loop beside us; 0 without one."""
        try:
            return os.stat(TURNS).st_mtime_ns
        except OSError:
            return 0

    def has_waited(self) -> bool:
        """Return whether the image's device was waited for by an earlier start."""
        return os.path.exists(WAITED)

    def call(self, argv: list[str]) -> None:
        """Run a program to its end, if it is there."""
        try:
            programs.call(argv)
        except OSError:
            return

    def settle(self) -> None:
        """Let udev come to the end of what it knows of."""
        if os.path.exists(_UDEV):
            self.call(["udevadm", "settle", "--timeout=10"])


class Waiting:
    """The time that devices have to come: the image's, then anew those that the guard looks for.

    Only time in which nobody was needed counts: not while a passphrase is asked for, nor while the
    loop stands still that opens devices beside us, and of a look that comes late, as it does when
    `meanwhile` has asked, three seconds. After an hour all time counts.
    """

    def __init__(
        self,
        request: Request,
        say: Log,
        meanwhile: "Sequence[str]" = (),
        around: Surroundings | None = None,
        *,
        beside_loop: bool = False,
    ) -> None:
        """`meanwhile` is a command to run once a second, with the device behind it."""
        self._request = request
        self._say = say
        self._command = [*meanwhile]
        self._around = around or Surroundings()
        self._calls = MOST_CALLS if self._command else 0
        self._beside_loop = beside_loop
        self._turn = 0
        self._turned = self._last = self._called = -HOUR
        self._left = 0.0

    def is_over(self) -> bool:
        """Return whether `first` would not wait. Raises DeviceNotFoundError for a wrong name."""
        if not self._request.places:
            return not self._around.is_asking()
        device = self._request.places[0].device
        return not self._request.delay and find_device(device) is not None

    def first(self) -> str | None:
        """Return the path of the device that is named first, as soon as it is there.

        None, where none is named, once udev knows all devices and nobody is asked for a passphrase.
        Raises DeviceNotFoundError when the time is over.
        """
        if self._request.places:
            return self._device(self._request.places[0].device)
        self._around.settle()
        while self._around.now() < HOUR and self._around.is_asking():
            self._around.pause(_PAUSE)
        return None

    def _device(self, spec: str) -> str:
        waits = not self._around.has_waited()
        delay, timeout = self._request.delay * waits, self._request.timeout * waits
        if not delay and (path := find_device(spec)):
            return path
        if waits:
            self._say(f"waiting up to {delay + timeout:.0f} s for {spec}")
        self._command += [spec]
        self._allow(delay)
        while self.more():
            pass
        self._allow(timeout)
        while (path := find_device(spec)) is None:
            if not self.more():
                limit = f"{self._request.timeout:.0f} s"
                raise DeviceNotFoundError(f"{spec} did not appear within {limit}")
        return path

    def anew(self) -> None:
        """Begin with all of the time once more."""
        self._allow(self._request.timeout)

    def _allow(self, seconds: float) -> None:
        self._left, self._last = seconds, self._around.now()

    def more(self) -> bool:
        """Wait until there may be other devices than before; return False if the time is over."""
        if self._left <= 0:
            return False
        self._open_more()
        self._around.pause(min(self._left, _PAUSE))
        before, self._last = self._last, self._around.now()
        if not self._is_held_up():
            self._left -= min(self._last - before, _LATE)
        return True

    def _open_more(self) -> None:
        """Run the command, unless it ran just now or often enough."""
        if self._calls and self._around.now() - self._called >= _PAUSE:
            self._called = self._around.now()
            self._calls -= 1
            self._around.call(self._command)

    def _is_held_up(self) -> bool:
        """Return whether somebody has to do something before there can be more devices."""
        if self._last >= HOUR:
            return False
        turn = self._around.turn() if self._beside_loop else 0
        if turn != self._turn:
            self._turn, self._turned = turn, self._last
        return self._around.is_asking() or (turn != 0 and self._last - self._turned > _LATE)


def wait_beside_loop(request: Request, say: Log, around: Surroundings | None = None) -> None:
    """Have the image's device waited for while a loop opens LUKS and LVM, and return at once.

    A process goes on, by the number in WAITER, until WAITED is there. Raises UnreadableError.
    """
    waiting = Waiting(request, say, around=around, beside_loop=True)
    try:
        if not waiting.is_over():
            if waiter := os.fork():
                write_text(WAITER, f"{waiter}\n")
                return
            waiting.first()
    except DeviceNotFoundError:
        pass  # the next start says so
    write_text(WAITED, "")


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _name_of(process: str) -> str:
    try:
        with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
