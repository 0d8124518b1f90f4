"""A TPM of software, which nobody else uses, and what goes to it and comes from it."""

import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

from tests.tools import output, unavailable, wait_until


class SoftTpm:
    """swtpm with its state in a folder; on from the start."""

    def __init__(self, folder: Path) -> None:
        if not (shutil.which("swtpm") and shutil.which("tpm2")):
            unavailable("there is no swtpm or no tpm2")
        folder.mkdir()
        self._folder, self.socket = folder, folder / "tpm"
        self.power_on()

    @property
    def tcti(self) -> str:
        return f"swtpm:path={self.socket}"

    def power_on(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self._folder}"),
                    *("--server", f"type=unixio,path={self.socket}"),
                    *("--ctrl", f"type=unixio,path={self.socket}.ctrl"),
                    *("--flags", "not-need-init,startup-clear"),
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(lambda: Path(f"{self.socket}.ctrl").exists(), "the TPM's socket")

    def power_off(self) -> None:
        self._process.kill()
        self._process.wait()
        for path in (self.socket, Path(f"{self.socket}.ctrl")):
            path.unlink(missing_ok=True)

    def reboot(self) -> None:
        self.power_off()
        self.power_on()

    def freeze(self) -> None:
        """Stop it once it waits: until it has hung up on one program it takes no other."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        wait_until(lambda: stat.read_text().rpartition(") ")[2][0] == "S", "an idle TPM")
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def tool(self, name: str, *words: str) -> str:
        """Run a tool of tpm2-tools, and flush what it leaves in the TPM."""
        said = output(
            "tpm2", name, "-T", self.tcti, *words, env=os.environ | {"TSS2_LOG": "all+NONE"}
        )
        output("tpm2", "flushcontext", "-T", self.tcti, "-t")
        return said

    def measure(self, *pcrs: int) -> None:
        self.tool("pcrextend", *(f"{pcr}:sha256={'5a' * 32}" for pcr in pcrs))

    def inside(self) -> str:
        """Return the handles of all objects and sessions that are in the TPM."""
        kinds = ("transient", "loaded-session", "saved-session")
        return "".join(
            output("tpm2", "getcap", "-T", self.tcti, f"handles-{kind}") for kind in kinds
        )


class Listener:
    """On the way to a TPM: hands on what passes, and keeps it."""

    def __init__(self, tpm: SoftTpm, folder: Path) -> None:
        self.heard = b""
        self._target = str(tpm.socket)
        path = folder / "bus"
        Path(f"{path}.ctrl").symlink_to(f"{tpm.socket}.ctrl")
        self.tcti = f"swtpm:path={path}"
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            with near, socket.socket(socket.AF_UNIX) as far:
                far.connect(self._target)
                back = threading.Thread(target=self._pump, args=(far, near))
                back.start()
                self._pump(near, far)
                far.shutdown(socket.SHUT_WR)
                back.join()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(4096):
            self.heard += data
            target.sendall(data)
