"""A TPM 2.0 for a machine, made of software by swtpm."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vm.host import HostError, run

SWTPM = "swtpm"


@dataclass(slots=True, eq=False)
class Tpm:
    """A TPM whose memory is a folder; one with another folder is another TPM.

    What it keeps outlives the machine's power, as in a real one: keys, NV indexes, the count of
    wrong PINs. Its PCRs do not. It is in one machine at a time: ValueError says where it has to be
    off and is on, or the reverse.
    """

    folder: Path
    _process: subprocess.Popen[bytes] | None = None

    def power_on(self) -> socket.socket:
        """Start it for one life of a machine; return the socket for QEMU, which it ends with."""
        for_qemu, its = socket.socketpair()
        with its:
            self._start(["--ctrl", f"type=unixio,clientfd={its.fileno()}"], its.fileno())
        return for_qemu

    def power_off(self) -> None:
        """End it, whether it answers or not."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def hang(self) -> None:
        """Have it answer nothing until go_on; it has to be in a machine that is on."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it answer again, also what it was asked meanwhile."""
        self._signal(signal.SIGCONT)

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

    def _signal(self, number: int) -> None:
        if self._process is None:
            raise ValueError("the TPM is off")
        os.kill(self._process.pid, number)


def tpm_wires(fd: int) -> list[str]:
    """Return QEMU's options for a machine whose TPM is behind this inherited socket."""
    command = ["-chardev", f"socket,id=tpm,fd={fd}", "-tpmdev", "emulator,id=tpm0,chardev=tpm"]
    return [*command, "-device", "tpm-tis,tpmdev=tpm0"]
