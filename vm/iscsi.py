"""An iSCSI target on this machine's loopback, which guests on QEMU's user network reach."""

import contextlib
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from vm.host import HostError, run

HOST_OF_GUEST = "10.0.2.2"
"""Where a guest finds this machine's loopback."""
NAME = "iqn.2026-11.org.example:disks"
_UP_SECONDS = 20.0


class IscsiTarget:
    """Serves these files as LUN 1, 2, … by tgtd(8); a context manager. Needs the rights of root."""

    def __init__(self, folder: Path, *files: Path) -> None:
        self._folder = folder
        self._files = files
        self._environment = {**os.environ, "TGT_IPC_SOCKET": str(folder / "control")}
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]

    @property
    def kernel_words(self) -> str:
        """By which the initramfs of a guest logs in at each boot (initramfs-tools, open-iscsi)."""
        address = f"ip=10.0.2.15::{HOST_OF_GUEST}:255.255.255.0::eth0:off net.ifnames=0"
        target = f"iscsi_target_name={NAME} iscsi_target_ip={HOST_OF_GUEST}"
        return f"{address} {target} iscsi_target_port={self.port}"

    def __enter__(self) -> Self:
        """Start it; raises HostError if it does not come up."""
        with (self._folder / "tgtd.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["tgtd", "-f", "--iscsi", f"portal=127.0.0.1:{self.port}"],
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        with contextlib.ExitStack() as failed:
            failed.callback(self._end)
            self._wait_until_up()
            self._tell("target", "new", "--tid", "1", "--targetname", NAME)
            for lun, file in enumerate(self._files, 1):
                self._tell("logicalunit", "new", "--tid", "1", "--lun", f"{lun}", "-b", f"{file}")
            self._tell("target", "bind", "--tid", "1", "--initiator-address", "ALL")
            failed.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + _UP_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(HostError):
                self._tell("sys", "show")
                return
            time.sleep(0.1)
        raise HostError(f"tgtd does not come up: {(self._folder / 'tgtd.log').read_text()}")

    def _tell(self, mode: str, operation: str, *words: str) -> None:
        what = ["--lld", "iscsi", "--mode", mode, "--op", operation, *words]
        run("env", f"TGT_IPC_SOCKET={self._environment['TGT_IPC_SOCKET']}", "tgtadm", *what)
