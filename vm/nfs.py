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
    Protocols = 3, 4; NFS_Port = {port}; MNT_Port = {mount_port}; Bind_addr = {host};
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
    """nfs-ganesha, which serves the files of an ext4 image by NFS 3 and 4 as long as it is on.

    It keeps its ports and its clients' file handles. It dies as a server does whose power is cut,
    and the image can be looked at then. It takes root, for the mount.
    """

    def __init__(self, folder: Path, image: Path) -> None:
        """`folder` is where it works."""
        self._image = image
        self._folder = folder / "nfs"
        self.port, self.mount_port = free_ports(2)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def words(self) -> dict[str, str]:
        """What the kernel command line says of a root there, for each generator.

        dracut mounts it by NFS 4.1, as nfs-ganesha 4 answers no READ_PLUS, which Linux 6.12 sends
        in 4.2. Of initramfs-tools, klibc's nfsmount knows NFS 3.
        """
        options = f"port={self.port},mountport={self.mount_port},v3,tcp"
        share = f"{FROM_A_GUEST}:{self._folder}"
        return {
            "dracut": f"root=nfs4:{FROM_A_GUEST}:/root:port={self.port},vers=4.1 ip=dhcp",
            "initramfs-tools": f"root=/dev/nfs nfsroot={share},{options} ip=dhcp",
        }

    def start(self) -> None:
        """Start it, unless it is on; once this returns, it answers. Raises HostError."""
        if self._processes:
            return
        for kind in ("", ".state", ".run"):
            self._beside(kind).mkdir(parents=True, exist_ok=True)
        self._beside(".run/rpcbind.sock").unlink(missing_ok=True)
        ports = {"port": self.port, "mount_port": self.mount_port}
        text = _CONFIGURATION.format(host=HOST, folder=self._folder, **ports)
        self._beside(".conf").write_text(text)
        self._run("unshare", "--mount", "--net", _SCRIPT, self._folder, "names")
        serve = ("serve", self._image, self._beside(".conf"))
        self._run("unshare", "--mount", _SCRIPT, self._folder, *serve)
        self._wait_until_up()

    def stop(self) -> None:
        """Cut its power, if it is on; the image is not mounted any more then."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes = []

    def _beside(self, kind: str) -> Path:
        return Path(f"{self._folder}{kind}")

    def _run(self, *words: str | Path) -> None:
        with self._beside(".out").open("ab") as out:
            started = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self._processes.append(started)

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + _UP_SECONDS
        while self._processes[-1].poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 1):
                return
            time.sleep(0.1)
        self.stop()
        said = [self._beside(kind) for kind in (".out", ".log")]
        text = "".join(each.read_text() for each in said if each.exists())
        raise HostError(f"ganesha.nfsd does not come up:\n{text}")
