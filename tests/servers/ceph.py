"""A Ceph with an S3 gateway on this machine's loopback: an S3 of other people than SeaweedFS's.

Debian's packages are unpacked in the cache, nothing is installed.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Self
from uuid import uuid4

from s3.credentials import Credentials
from s3.signing import EMPTY, signed
from vm.apt import apt_of
from vm.host import HostError, kept, run
from vm.s3_server import BUCKET, HOST, free_ports, store_url
from vm.suites import SUITES

PACKAGES = ("radosgw", "ceph-mon", "ceph-osd", "ceph-common")
SECONDS_TO_START = 180
MEMORY = 2 << 30
"""The most that it keeps, in bytes."""
CONFIG = """\
[global]
fsid = {fsid}
mon host = v2:{host}:{mon}
public addr = {host}
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd crush chooseleaf type = 0
mon allow pool size one = true
osd objectstore = memstore
memstore device bytes = {memory}
osd data = /cluster/osd
mon data = /cluster/mon
rgw data = /cluster/rgw
rgw frontends = beast endpoint={host}:{rgw}
run dir = /cluster
admin socket = /cluster/$name.asok
log file = /cluster/$name.log
"""


class Ceph:
    """One that has a bucket and a user, and forgets all when it ends.

    It differs from SeaweedFS: it takes no heed of a condition for DELETE, and who has lost a race
    may be told so by 500 at first, by 412 only when he asks again.
    """

    def __init__(self, folder: Path, suite: str = "12") -> None:
        self.folder = folder
        self.access_key = ""
        """Its user's, like `secret_key`, once it has started."""
        self.secret_key = ""
        self._suite = suite
        self._mon, self.port = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def url(self, prefix: str = "") -> str:
        """Return the URL of a store in its bucket."""
        return store_url(self.port, prefix, is_secure=False)

    def kill(self) -> None:
        """End all of it; nothing if it is off."""
        if self._process is not None and self._process.poll() is None:
            pid = self._process.pid
            # Whose end is that of its namespace; `unshare` then has reaped it.
            first = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            os.kill(int(first[0]) if first else pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def _start(self) -> None:
        root = _root(self._suite)
        for name in ("osd", "mon", "rgw"):
            (self.folder / name).mkdir(parents=True)
        facts = {"fsid": uuid4(), "host": HOST, "mon": self._mon, "rgw": self.port}
        (self.folder / "ceph.conf").write_text(CONFIG.format(**facts, memory=MEMORY))
        # setpriv: a test run that is killed takes its server with it.
        command = ["setpriv", "--pdeathsig", "KILL"]
        command += ["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
        command += ["sh", str(Path(__file__).with_suffix(".sh")), str(root), str(self.folder)]
        log = self.folder / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        deadline = time.monotonic() + SECONDS_TO_START
        while not (self._has_a_user() and self._has_a_bucket()):
            if self._process.poll() is not None or time.monotonic() > deadline:
                end = log.read_text(errors="replace").splitlines()[-20:]
                raise HostError("\n".join(["Ceph does not start", *end]))
            time.sleep(0.2)

    def _has_a_user(self) -> bool:
        """Whether one was made, whose keys are known from now on."""
        try:
            keys = json.loads((self.folder / "user").read_text())["keys"][0]
        except (FileNotFoundError, ValueError):
            return False
        self.access_key, self.secret_key = keys["access_key"], keys["secret_key"]
        return True

    def _has_a_bucket(self) -> bool:
        host, path = f"{HOST}:{self.port}", f"/{BUCKET}"
        keys = Credentials(self.access_key, self.secret_key)
        headers = signed(keys, "PUT", path, {"Host": host}, EMPTY, time.time())
        with contextlib.closing(http.client.HTTPConnection(host, timeout=60)) as connection:
            try:
                connection.request("PUT", path, headers=headers)
                return connection.getresponse().status == http.client.OK
            except (OSError, http.client.HTTPException):
                return False


def _root(suite: str) -> Path:
    """Return a root that has Ceph; its folder cluster/ is to be mounted over."""
    apt = apt_of(SUITES[suite])

    def make(folder: Path) -> None:
        for package in apt.download_missing(Path("/dev/null"), folder / "packages", *PACKAGES):
            run("dpkg-deb", "--extract", package, folder)
            package.unlink()
        for name in ("cluster", "dev", "proc"):
            (folder / name).mkdir(exist_ok=True)
        for name in ("lib", "lib64"):
            if not (folder / name).exists():
                (folder / name).symlink_to(f"usr/{name}")

    version = apt.uris("radosgw").split()[1].split("_")[1]
    return kept("ceph", f"{suite}-{version}", make, 2)
