"""Runs one QEMU machine, with a hard time limit and its console kept in a file."""

import contextlib
import json
import re
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self
from uuid import UUID

from vm.accel import EMULATION, QEMU, accelerator
from vm.kernels import Kernel
from vm.tpm import Tpm, tpm_wires

APPEND = "console=ttyS0 panic=-1 root=/dev/vda rw"
NETWORK_CARD = "net"
POLL_SECONDS = 0.05
TAIL_LINES = 40
KERNEL_IS_UP = "Run /init as init process"
STUCK = re.compile(
    r"Freezing of tasks failed after .*\n.* task:\S+ +state:R +running task"
    r"(?:.*\n){1,9}.*\? get_signal\+0x"
)
"""A task that runs, and does not freeze for 20 s, at the instruction that tells whether to freeze.
The kernel patches that as it begins to (static key freezer_active, include/linux/freezer.h, since
6.1); the emulator's other processor keeps the breakpoint that stood there meanwhile, for ever."""


class MachineError(Exception):
    """The machine failed as a machine; the message ends with the tail of its console."""


class MachineTimeoutError(MachineError):
    """The machine did not get there within its time limit and was killed."""


@dataclass(frozen=True, slots=True)
class Result:
    """What is left of a machine that went off.

    `status` is the exit status of the scenario, None if the machine went off before that:
    hibernated or without power. `report` has the lines the guest wrote to ttyS1.
    """

    status: int | None
    console: str
    report: list[str]
    seconds: float

    @property
    def is_emulators_fault(self) -> bool:
        """Whether no task could be frozen because of an error of the emulator's."""
        return STUCK.search(self.console) is not None

    def told(self, key: str) -> str | None:
        """Return the value of the last `key=value` word in the report, None if there is none."""
        return told(self.report, key)


@dataclass(frozen=True, slots=True)
class Throttle:
    """How slow the disks are, all together: requests and bytes in a second.

    The first requests after a rest go through at once (QEMU, docs/throttle.txt).
    """

    requests: int
    size: int


class Off(Protocol):
    """A machine of any make that is off."""

    up_seconds: ClassVar[float] = 60.0
    """How long the kernel may take to run init."""

    log: Path
    """The file of its console; the report lies beside it."""

    tpm: Tpm | None
    """On as long as the machine is."""

    def command(self, monitor: int, channel: int) -> list[str]:
        """Return QEMU's command line, its monitor and ttyS1 on these inherited sockets."""

    def start(self, timeout: float) -> "RunningMachine":
        """Power on and return when the kernel runs init; `timeout` seconds later it is lost.

        Emulated, with two processors, one may still run an instruction that the kernel has patched
        away, and the kernel dies of it (enqueue_timer, 6.12, at its second second) or never says
        a word. What does not come to init is not ours: it is powered on again, once.
        """
        running = RunningMachine(self, timeout)
        if running.is_up(self.up_seconds):
            return running
        running.kill()
        return RunningMachine(self, timeout)


@dataclass(frozen=True, slots=True)
class Machine(Off):
    """A machine that is off. Its disks appear as vda, vdb, …, the first one as the root.

    A disk that is a socket is one that speaks NBD there (vm/lossy.py). The console goes to the file
    `log`, the report beside it with the suffix `.report`; `memory` is in MiB; `append` is added to
    the kernel's command line. With `channel`, ttyS1 is also for RunningMachine.read and write, and
    somebody has to read: a guest that nobody listens to is stuck after some 300 bytes. A `stick`
    appears as sda, by USB. With `network` a card (e1000), NETWORK_CARD to the monitor, leads to the
    host's loopback, at 10.0.2.2. A `cable` leads from another card to one other machine,
    "listen=ADDRESS:PORT" here and "connect=" there. The clock is `clock_days` ahead. Two machines
    that differ in their `number` have another UUID and another address on the network. `emulation`:
    see vm.accel.
    """

    kernel: Kernel
    initramfs: Path
    disks: Sequence[Path]
    log: Path
    append: str = ""
    memory: int = 512
    cpus: int = 2
    channel: bool = False
    throttle: Throttle | None = None
    stick: Path | None = None
    tpm: Tpm | None = None
    network: bool = False
    cable: str = ""
    clock_days: int = 0
    number: int = 0
    emulation: tuple[str, ...] = EMULATION

    def run(self, timeout: float) -> Result:
        """Power on and wait until the machine is off.

        Raises MachineTimeoutError after `timeout` seconds, MachineError if the kernel panics.
        """
        with self.start(timeout) as running:
            return running.wait()

    def command(self, monitor: int, channel: int) -> list[str]:
        """Return QEMU's command line, its monitor and ttyS1 on these inherited sockets."""
        command = [QEMU, "-machine", "pc", *accelerator(self.kernel, self.emulation)]
        command += ["-m", str(self.memory), "-smp", str(self.cpus)]
        command += ["-kernel", str(self.kernel.vmlinuz), "-initrd", str(self.initramfs)]
        command += ["-append", f"{APPEND} {self.append}".rstrip()]
        command += wires(self.log, monitor, channel if self.channel else None)
        for disk in self.disks:
            place = f"nbd+unix:///?socket={disk}" if disk.is_socket() else disk
            drive = f"file={place},if=virtio,format=raw,cache=writeback"
            command += ["-drive", f"{drive}{self._limits()}"]
        if self.stick is not None:
            command += ["-drive", f"file={self.stick},if=none,id=stick,format=raw"]
            command += ["-device", "qemu-xhci", "-device", "usb-storage,drive=stick"]
        if self.network:
            card = f"user,model=e1000,id={NETWORK_CARD},mac=52:54:00:12:34:{self.number:02x}"
            command += ["-nic", card, "-uuid", str(UUID(int=self.number))]
        if self.cable:
            end = 1 if self.cable.startswith("listen") else 2
            command += ["-nic", f"socket,model=e1000,mac=52:54:00:12:35:{end:02x},{self.cable}"]
        if self.clock_days:
            clock = datetime.now(UTC) + timedelta(days=self.clock_days)
            command += ["-rtc", f"base={clock:%Y-%m-%dT%H:%M:%S}"]
        return command

    def _limits(self) -> str:
        if self.throttle is None:
            return ""
        limits = f"iops-total={self.throttle.requests},throttling.bps-total={self.throttle.size}"
        return f",throttling.{limits},throttling.group=disks"


def wires(log: Path, monitor: int, channel: int | None) -> list[str]:
    """Return QEMU's options for a machine without a screen: its serial ports and its monitor.

    ttyS0, the console, is QEMU's standard input and output. ttyS1 is written to the report beside
    `log`, and without a `channel` to nowhere else.
    """
    command = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    command += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
    if channel is None:
        command += ["-serial", f"file:{_report(log)}"]
    else:
        command += ["-chardev", f"socket,id=channel,fd={channel},logfile={_report(log)}"]
        command += ["-serial", "chardev:channel"]
    command += ["-chardev", f"socket,id=monitor,fd={monitor}"]
    return [*command, "-mon", "chardev=monitor,mode=control"]


class RunningMachine:
    """A machine that is on, until it goes off by itself, is killed or its time is up.

    A context manager: leaving it kills a machine that still runs.
    """

    def __init__(self, machine: Off, timeout: float) -> None:
        self.machine = machine
        self._began = time.monotonic()
        self._timeout = timeout
        for file in (machine.log, _report(machine.log)):
            file.write_bytes(b"")
        self._monitor, monitor = socket.socketpair()
        self._channel, channel = socket.socketpair()
        with monitor, channel, machine.log.open("wb") as log, contextlib.ExitStack() as stack:
            inherited = [monitor.fileno(), channel.fileno()]
            command = machine.command(*inherited)
            if machine.tpm is not None:
                inherited.append(stack.enter_context(machine.tpm.power_on()).fileno())
                command += tpm_wires(inherited[-1])
            # setpriv: a test run that is killed takes its machine with it.
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=inherited,
            )
        self._answers = self._monitor.makefile("rb")
        self._asking = threading.Lock()
        self._greeted = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def console(self) -> str:
        """What the console has shown so far."""
        return _text(self.machine.log)

    @property
    def report(self) -> list[str]:
        """The lines the guest has reported so far."""
        return _text(_report(self.machine.log)).splitlines()

    @property
    def seconds(self) -> float:
        """Since power-on."""
        return time.monotonic() - self._began

    def is_up(self, within: float) -> bool:
        """Wait so many seconds for the kernel to run init, and return whether it came so far."""
        deadline = time.monotonic() + within
        while KERNEL_IS_UP not in self.console and time.monotonic() < deadline:
            if self.is_off_within(POLL_SECONDS):
                break
        return KERNEL_IS_UP in self.console

    def wait_console(self, pattern: str) -> re.Match[str]:
        """Wait until the console shows a match; raises MachineError if it never can."""
        return self._wait_match(self.machine.log, pattern)

    def wait_report(self, pattern: str) -> re.Match[str]:
        """Wait until the report has a match; raises MachineError if it never can."""
        return self._wait_match(_report(self.machine.log), pattern)

    def wait_event(self, event: threading.Event) -> None:
        """Wait for the event or the machine's end; raises MachineTimeoutError without either."""
        while not event.wait(POLL_SECONDS) and not self.is_off_within(0):
            if self._left() <= 0:
                raise self._too_late("came neither to the event nor to its end")

    def send(self, keys: bytes) -> None:
        """Type these bytes at the console; a machine that goes off meanwhile does not get them."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(keys)
                self._process.stdin.flush()

    def write(self, line: bytes) -> None:
        """Send bytes to the guest's ttyS1; a guest that goes off meanwhile does not get them."""
        with contextlib.suppress(BrokenPipeError):
            self._channel.sendall(line)

    def read(self) -> bytes:
        """Return what the guest wrote to ttyS1 next, b"" once the machine is off.

        Raises MachineTimeoutError when the machine's time is up.
        """
        self._channel.settimeout(max(self._left(), POLL_SECONDS))
        try:
            return self._channel.recv(1 << 16)
        except ConnectionResetError:
            return b""
        except TimeoutError:
            raise self._too_late("said nothing more on ttyS1") from None

    def monitor(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - any JSON
        """Send a command of the QEMU Machine Protocol and return its answer; from any thread.

        Raises MachineError if QEMU refuses it, or is off.
        """
        with self._asking:
            if not self._greeted:
                self._greeted = True
                self._ask("qmp_capabilities", {})
            return self._ask(command, arguments)

    def _ask(self, command: str, arguments: dict[str, object]) -> Any:  # noqa: ANN401 - any JSON
        request = {"execute": command, "arguments": arguments}
        self._monitor.settimeout(max(self._left(), POLL_SECONDS))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._monitor.sendall(json.dumps(request).encode())
            for line in self._answers:
                answer = json.loads(line)
                if "error" in answer:
                    raise MachineError(f"{command}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
        raise self._failure(f"QEMU ended before it answered {command}")

    def is_off_within(self, seconds: float) -> bool:
        """Wait so long, or until the machine goes off by itself; return whether it did."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def kill(self) -> None:
        """Cut the power. What the guest wrote without a flush may be on disk or not."""
        self._process.kill()
        self._process.wait()
        if self.machine.tpm is not None:
            self.machine.tpm.power_off()
        self._answers.close()
        self._monitor.close()
        self._channel.close()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def wait(self) -> Result:
        """Wait until the machine is off, by itself or killed, and say how it went."""
        try:
            code = self._process.wait(max(self._left(), 0))
        except subprocess.TimeoutExpired:
            raise self._too_late("did not power off") from None
        if code > 0:
            raise self._failure(f"QEMU ended with exit status {code}")
        if "Kernel panic" in self.console:
            raise self._failure("the kernel panicked")
        said = told(self.report, "status")
        status = None if said is None else int(said)
        return Result(status, self.console, self.report, self.seconds)

    def _wait_match(self, file: Path, pattern: str) -> re.Match[str]:
        compiled = re.compile(pattern, re.MULTILINE)
        while True:
            ended = self._process.poll() is not None
            found = compiled.search(_text(file))
            if found is not None:
                return found
            if ended:
                raise self._failure(f"went off before {file.suffix} matched {pattern!r}")
            if self._left() <= 0:
                raise self._too_late(f"{file.suffix} did not match {pattern!r}")
            time.sleep(POLL_SECONDS)

    def _left(self) -> float:
        return self._began + self._timeout - time.monotonic()

    def _too_late(self, what: str) -> MachineTimeoutError:
        self.kill()
        return MachineTimeoutError(self._message(f"{what} within {self._timeout:g} s"))

    def _failure(self, what: str) -> MachineError:
        return MachineError(self._message(what))

    def _message(self, what: str) -> str:
        return f"{self.machine.log.stem}: {what}; {self.machine.log} ends:\n{tail(self.console)}"


def told(report: list[str], key: str) -> str | None:
    """Return the value of the last `key=value` word in a report, None if there is none."""
    for line in reversed(report):
        for word in reversed(line.split()):
            name, equals, value = word.partition("=")
            if name == key and equals:
                return value
    return None


def tail(console: str) -> str:
    """Return the last lines of a console, indented to stand out in a message."""
    return "\n".join(f"    {line}" for line in console.splitlines()[-TAIL_LINES:])


def _report(log: Path) -> Path:
    return log.with_suffix(".report")


def _text(file: Path) -> str:
    """Return what a log shows; of a report only the lines that are whole."""
    text = file.read_bytes().decode("utf-8", "replace").replace("\r", "")
    return text[: text.rfind("\n") + 1] if file == _report(file) else text
