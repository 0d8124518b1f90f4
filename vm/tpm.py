"""A TPM 2.0 for a machine, made of software by swtpm."""

import contextlib
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vm.host import HostError, run

SWTPM = "swtpm"
LONGEST = 1 << 16
"""Of what is passed on at once."""


class _Link:
    """Passes on what QEMU and swtpm tell each other; while not `asked`, no command for the TPM.

    QEMU stops the whole machine until swtpm has done what it tells it beside the commands, as to
    cancel one. So to stop swtpm would stop the kernel that ought to lose its patience.
    """

    def __init__(self, qemu: socket.socket, swtpm: socket.socket) -> None:
        self.asked = threading.Event()
        self.asked.set()
        self._sockets = [qemu, swtpm]
        self._threads: list[threading.Thread] = []
        self._begin(self._pass_on_control, qemu, swtpm)
        self._begin(self._pass_on, swtpm, qemu)

    def end(self) -> None:
        """Cut it; what has not been passed on is lost."""
        self.asked.set()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()

    def _begin(self, pass_on: Callable[..., None], *ends: socket.socket) -> None:
        thread = threading.Thread(target=pass_on, args=ends, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _pass_on_control(self, qemu: socket.socket, swtpm: socket.socket) -> None:
        """With the first message QEMU gives swtpm a socket for the commands."""
        with contextlib.suppress(OSError):
            while True:
                message, passed, _, _ = socket.recv_fds(qemu, LONGEST, 1)
                if not message:
                    break
                for fd in passed:
                    with self._commands_of(socket.socket(fileno=fd)) as its:
                        socket.send_fds(swtpm, [message], [its.fileno()])
                if not passed:
                    swtpm.sendall(message)
            swtpm.shutdown(socket.SHUT_RDWR)

    def _commands_of(self, qemu: socket.socket) -> socket.socket:
        swtpm, its = socket.socketpair()
        self._sockets += [qemu, swtpm]
        self._begin(self._pass_on_commands, qemu, swtpm)
        self._begin(self._pass_on, swtpm, qemu)
        return its

    def _pass_on_commands(self, qemu: socket.socket, swtpm: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while command := qemu.recv(LONGEST):
                self.asked.wait()
                swtpm.sendall(command)

    def _pass_on(self, swtpm: socket.socket, qemu: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while answer := swtpm.recv(LONGEST):
                qemu.sendall(answer)


@dataclass(slots=True, eq=False)
class Tpm:
    """A TPM whose memory is a folder; one with another folder is another TPM.

    What it keeps outlives the machine's power, as in a real one: keys, NV indexes, the count of
    wrong PINs. Its PCRs do not. It is in one machine at a time: ValueError says where it has to be
    off and is on, or the reverse.
    """

    folder: Path
    _process: subprocess.Popen[bytes] | None = None
    _link: _Link | None = None

    def power_on(self) -> socket.socket:
        """Start it for one life of a machine; return the socket for QEMU, which it ends with."""
        swtpm, its = socket.socketpair()
        with its:
            self._start(["--ctrl", f"type=unixio,clientfd={its.fileno()}"], its.fileno())
        mine, for_qemu = socket.socketpair()
        self._link = _Link(mine, swtpm)
        return for_qemu

    def power_off(self) -> None:
        """End it, whether it answers or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._link is not None:
            self._link.end()
            self._link = None

    def hang(self) -> None:
        """Have it answer nothing from now on; it has to be in a machine that is on."""
        self._linked().asked.clear()

    def go_on(self) -> None:
        """Have it answer again, also what it was asked meanwhile."""
        self._linked().asked.set()

    def ask(self, *command: str | Path) -> str:
        """Run a command of tpm2-tools on it while it is in no machine; return what it printed.

        It is powered on for that, and off again in order: without, it may count a wrong PIN more.
        Raises HostError if the command fails.
        """
        with tempfile.TemporaryDirectory() as folder:
            place = f"{folder}/tpm"
            self._serve(place)
            try:
                return run(*command, "-T", f"swtpm:path={place}")
            finally:
                with contextlib.suppress(HostError):
                    run("tpm2_shutdown", "--clear", "-T", f"swtpm:path={place}")
                self.power_off()

    def _serve(self, place: str) -> None:
        """Start it where tpm2-tools look for it: at a socket, and at another one beside that."""
        with socket.socket(socket.AF_UNIX) as data, socket.socket(socket.AF_UNIX) as control:
            for each, path in ((data, place), (control, f"{place}.ctrl")):
                each.bind(path)
                each.listen()
            options = ["--server", f"type=unixio,fd={data.fileno()}"]
            options += ["--ctrl", f"type=unixio,fd={control.fileno()}"]
            options += ["--flags", "not-need-init,startup-clear"]
            self._start(options, data.fileno(), control.fileno())

    def _start(self, options: Sequence[str], *inherited: int) -> None:
        if self._process is not None:
            raise ValueError("the TPM is on")
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [SWTPM, "socket", "--tpm2", "--tpmstate", f"dir={self.folder}", *options]
        command += ["--log", f"file={self.folder / 'log'}"]
        # setpriv: a test run that is killed takes its TPM with it.
        command = ["setpriv", "--pdeathsig", "KILL", *command]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=inherited)

    def _linked(self) -> _Link:
        if self._link is None:
            raise ValueError("the TPM is off")
        return self._link


def tpm_wires(fd: int) -> list[str]:
    """Return QEMU's options for a machine whose TPM is behind this inherited socket."""
    command = ["-chardev", f"socket,id=tpm,fd={fd}", "-tpmdev", "emulator,id=tpm0,chardev=tpm"]
    return [*command, "-device", "tpm-tis,tpmdev=tpm0"]
