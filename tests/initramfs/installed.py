"""The initramfs parts as a package installs them, and programs run on a copy of this system."""

import os
import subprocess
from pathlib import Path

from package.tree import Flavour, make_tree
from state.sealing import PATH as SEALING
from tests.forge import MACHINE_ID
from tests.tools import ROOT, put, unavailable

BUILD = ROOT / "build"
HERE = Path(__file__).parent
UNITS = "usr/lib/systemd/system"
MODULE = "usr/lib/dracut/modules.d/55torpor"
STOCK = ("systemd-hibernate-resume.service", "systemd-hibernate-resume@.service")
"""systemd's own resume, since 255 and before."""


def stock_here() -> str:
    """Return the name that this system's systemd has for its own resume."""
    return STOCK[0] if Path("/", UNITS, STOCK[0]).exists() else STOCK[1]


SERVER = "/var/lib/torpor/server"
SERVER_LOCATION = "resume=s3+http://10.0.2.2:8333/images/torpor\nexternal=yes\n"
"""What `torpor enable` writes where images lie on a server."""


def lay_out(
    tree: Path, location: str | None, sealing: str | None = None, server: str | None = None
) -> None:
    """Install what the Debian package holds below `tree`, a new folder.

    The others are what the files hold that `torpor enable` writes for a boot.
    """
    if not (BUILD / "torpor-resume.needs").exists():
        unavailable("the resumer is not frozen: python3 build.py frozen")
    tree.mkdir()
    make_tree(tree, Flavour.DEB, 0)
    put(tree, {"etc/machine-id": f"{MACHINE_ID}\n"})
    if location is not None:
        put(tree, {"var/lib/torpor/location": location})
    if sealing is not None:
        put(tree, {SEALING: sealing})
    if server is not None:
        put(tree, {SERVER: server})


def on_a_copy(tree: Path, result: Path, *command: str) -> str:
    """Run a command on a copy of this system with the files of `tree`; return what it said.

    It keeps what it writes into the folder `result`, which is made where it is not there.
    """
    result.mkdir(exist_ok=True)
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    done = subprocess.run(
        [*unshare, "sh", HERE / "copy.sh", tree, result, *command],
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
