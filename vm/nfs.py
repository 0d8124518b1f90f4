"""An NFS server on this machine's loopback, for guests whose root is there."""

import contextlib
import socket
import subprocess
import time
from pathlib import Path

from vm.host import HostError
from vm.s3_server import FROM_A_GUEST, HOST, free_ports

_SCRIPT = Path(__file__).with_suffix(".sh")
_UP_SECONDS = 30.0
_CONFIGURATION = """
NFS_CORE_PARAM {{
    Protocols = 4; NFS_Port = {port}; Bind_addr = {host};
    Enable_NLM = false; Enable_RQUOTA = false;
}}
NFSv4 {{ Graceless = true; RecoveryRoot = {folder}.state; Only_Numeric_Owners = true; }}
NFS_KRB5 {{ Active_krb5 = false; }}
EXPORT {{
    Export_Id = 1; Filesystem_Id = 1.1; Path = {folder}; Pseudo = /root; Access_Type = RW;
    Squash = No_Root_Squash; SecType = sys; PrivilegedPort = false;
    FSAL {{ Name = VFS; }}
}}
"""


class NfsServer:
    """nfs-ganesha, which serves the files of an ext4 image by NFS 4 as long as it is on.

    It keeps its port and its clients' file handles. It dies as a server does whose power is cut,
    and the image can be looked at then. It takes root, for the mount.
    """

    def __init__(self, folder: Path, image: Path) -> None:
        """`folder` is where it works."""
        self._image = image
        self._folder = folder / "nfs"
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def words(self) -> dict[str, str]:
        """What the kernel command line says of a root there, for each generator.

        Of NFS 4.1: in 4.2, Linux 6.12 reads by READ_PLUS, which nfs-ganesha 4 does not answer.
        """
        options = f"port={self.port},vers=4.1"
        return {
            "dracut": f"root=nfs4:{FROM_A_GUEST}:/root:{options} ip=dhcp",
            "initramfs-tools": f"root=/dev/nfs nfsroot={FROM_A_GUEST}:/root,{options} ip=dhcp",
        }

    def start(self) -> None:
        """Start it, unless it is on; once this returns, it answers. Raises HostError."""
        if self._process is not None:
            return
        for kind in ("", ".state"):
            self._beside(kind).mkdir(parents=True, exist_ok=True)
        text = _CONFIGURATION.format(host=HOST, folder=self._folder, port=self.port)
        self._beside(".conf").write_text(text)
        words = ["unshare", "--mount", _SCRIPT, self._image, self._folder, self._beside(".conf")]
        with self._beside(".out").open("ab") as out:
            self._process = subprocess.Popen(
                list(map(str, words)), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self._wait_until_up(self._process)

    def stop(self) -> None:
        """Cut its power, if it is on; the image is not mounted any more then."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _beside(self, kind: str) -> Path:
        return Path(f"{self._folder}{kind}")

    def _wait_until_up(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _UP_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1):
                return
            time.sleep(0.1)
        self.stop()
        said = [self._beside(kind) for kind in (".out", ".log")]
        text = "".join(each.read_text() for each in said if each.exists())
        raise HostError(f"ganesha.nfsd does not come up:\n{text}")
