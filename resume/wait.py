"""Waits for devices, and not for ever."""

import os
import time

from errors import DeviceNotFoundError, TorporError
from linux import programs
from linux.kmsg import Log
from linux.root import HOST
from resume.request import Request
from s3.scheme import is_server
from state.files import write_text
from store.locate import find_devices, is_external, names_several

TYPE_CHECKING = False
if TYPE_CHECKING:
    import pyudev

HOUR = 3600.0
"""Seconds after the start of the machine from which on all time counts."""

MOST_CALLS = 15
"""Of the command that opens devices meanwhile: at the twentieth mdadm starts incomplete arrays, at
the forty-fifth cryptroot gives up the boot."""

WAITER = "/run/torpor/waiter"
"""The process that waits beside a loop that opens devices (dracut), until WAITED is there."""
WAITED = "/run/torpor/waited"
"""Says why nothing came, if nothing did."""
TURNS = "/run/torpor/turns"
"""Written to at each turn of that loop."""

_UDEV = "/run/udev/control"
_QUESTIONS = "/run/systemd/ask-password"
_ASKING = ("cryptsetup", "systemd-cryptse")
_LATE = 3.0
_PAUSE = 1.0
"""Seconds after which to look without an event: links are made by others than udev, too."""


class Surroundings:
    """The clock of this boot, and who else is at work in it. Tests have others."""

    def __init__(self, *, beside_loop: bool = False) -> None:
        self._beside_loop = beside_loop
        self._turn = self._turned = 0.0
        self._monitor: pyudev.Monitor | None = None

    def now(self) -> float:
        """Return the seconds since the machine was started."""
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        """Return after that time, or as soon as there is another device than before.

        Where nobody tells of devices (no libudev, no netlink, a sandbox without) that time passes.
        """
        try:
            self._monitor = self._monitor or _monitor()
            self._monitor.poll(timeout=seconds)
        except (OSError, ImportError):
            time.sleep(seconds)

    def is_asking(self) -> bool:
        """Return whether a passphrase is being asked for, or a key derived from it.

        By the files of systemd's password agents, and by the names of processes.
        """
        if any(name.startswith("ask.") for name in HOST.names(_QUESTIONS)):
            return True
        return any(_name_of(pid) in _ASKING for pid in HOST.names("/proc") if pid.isdecimal())

    def is_held_up(self) -> bool:
        """Return whether somebody has to do something before there can be more devices.

        Beside a loop, whoever keeps it from its next turn: that one asks, too.
        """
        turn = self.turn() if self._beside_loop else 0
        if turn != self._turn:
            self._turn, self._turned = turn, self.now()
        return self.is_asking() or (turn != 0 and self.now() - self._turned > _LATE)

    def turn(self) -> float:
        """Return what changes with each turn of the loop; 0 without one."""
        return HOST.modified(TURNS)

    def has_waited(self) -> bool:
        """Return whether the image's device was waited for by an earlier start."""
        return HOST.exists(WAITED)

    def has_missed(self) -> bool:
        """Return whether that start waited in vain."""
        return HOST.line(WAITED) != ""

    def call(self, argv: list[str]) -> None:
        """Run a program to its end, if it is there."""
        programs.call(argv)

    def settle(self) -> None:
        """Let udev come to the end of what it knows of."""
        if HOST.exists(_UDEV):
            self.call(["udevadm", "settle", "--timeout=10"])


def _monitor() -> "pyudev.Monitor":
    import pyudev  # 15 ms and 2 MiB, for a boot that has to wait

    source = "udev" if HOST.exists(_UDEV) else "kernel"  # udev's adds the tags
    monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source=source)
    monitor.filter_by("block")
    monitor.start()
    return monitor


def _name_of(pid: str) -> str:
    try:
        return HOST.line(f"/proc/{pid}/comm")
    except OSError:  # it has ended
        return ""


class Waiting:
    """The time that devices have to come: the image's, then anew those that the guard looks for.

    Only time in which nobody was needed counts (Surroundings.is_held_up), and of a look that comes
    late, as it does when `meanwhile` has asked, three seconds. After an hour all time counts.
    """

    def __init__(
        self,
        request: Request,
        say: Log,
        meanwhile: list[str] | None = None,
        around: Surroundings | None = None,
    ) -> None:
        """`meanwhile` is a command to run once a second, with the device behind it."""
        self._request = request
        self.say = say
        self._command = meanwhile
        self._around = around or Surroundings()
        self._calls = 0
        self._last = self._called = -HOUR
        self._left = 0.0

    def is_over(self) -> bool:
        """Return whether `first` would not wait. Raises DeviceNotFoundError for a wrong name."""
        if not self._request.places:
            return not self._around.is_asking()
        if is_server(self._request.places[0].resume):
            return False
        return not self._request.delay and self.find(self._request.places[0].resume) is not None

    def first(self) -> str | None:
        """Return the path of the device that is named first, as soon as it is there.

        None, where none is named, once udev knows all devices and nobody is asked for a passphrase.
        Raises DeviceNotFoundError when the time is over.
        """
        if self._request.places:
            first = self._request.places[0].resume
            return first if is_server(first) else self._device(first)
        self._around.settle()
        while self._around.now() < HOUR and self._around.is_asking():
            self._around.pause(_PAUSE)
        return None

    def find(self, spec: str) -> str | None:
        """Return the path of the one device that `spec` names now, None if there is none, or more.

        Where torpor enable chose a store that is built in, a copy on a stick is none: it may be
        there before the disk, or the disk's be locked. Raises DeviceNotFoundError for a wrong name.
        """
        found = self._meant(find_devices(spec))
        return found[0] if len(found) == 1 else None

    def _meant(self, found: list[str]) -> list[str]:
        if self._request.is_external is False:
            return [path for path in found if not is_external(path)]
        return found

    def _device(self, spec: str) -> str:
        delay, timeout = self._request.delay, self._request.timeout
        if self._around.has_waited():
            delay = timeout = 0
        if not delay and (path := self.find(spec)):
            return path
        if delay + timeout:
            self.say(f"waiting up to {delay + timeout:.0f} s for {spec}")
        self._allow(delay)
        while self.more():
            pass
        self._allow(timeout)
        while (path := self.find(spec)) is None:
            if not self.more():
                raise DeviceNotFoundError(self._why_none(spec))
        return path

    def _why_none(self, spec: str) -> str:
        found = find_devices(spec)
        if len(meant := self._meant(found)) > 1:
            return names_several(spec, meant)
        but = f", but on {' and '.join(found)}, which anybody may have plugged in" if found else ""
        return f"{spec} did not appear within {self._request.timeout:.0f} s{but}"

    @property
    def seconds_for_server(self) -> float:
        """How long a server may take: little more, where an earlier start waited in vain."""
        most = _LATE if self._around.has_missed() else HOUR
        return min(self._request.timeout, most)

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
        if self._last >= HOUR or not self._around.is_held_up():
            self._left -= min(self._last - before, _LATE)
        return True

    def _open_more(self) -> None:
        """Run the command, unless it ran just now or often enough."""
        now, places = self._around.now(), self._request.places
        is_due = self._calls < MOST_CALLS and now - self._called >= _PAUSE
        if self._command and places and is_due:
            self._called = now
            self._calls += 1
            self._around.call([*self._command, places[0].resume])


def _reach(request: Request, waiting: Waiting) -> None:
    """Wait for the device, or the server. Raises a TorporError if it does not come."""
    named = waiting.first()
    if named and is_server(named):
        from resume.server import await_head  # HTTP and TLS, for such a store only

        await_head(named, request.machine_id, waiting).close()


def wait_beside_loop(request: Request, say: Log, around: Surroundings | None = None) -> None:
    """Have the image's device waited for while a loop opens LUKS and LVM, and return at once.

    Raises UnreadableError.
    """
    waiting = Waiting(request, say, around=around or Surroundings(beside_loop=True))
    missed = ""
    try:
        if not waiting.is_over():
            if waiter := os.fork():
                write_text(WAITER, f"{waiter}\n")
                return
            _reach(request, waiting)
    except TorporError as error:
        missed = f"{error}\n"  # the next start says so
    write_text(WAITED, missed)
