"""Makes the Debian package, as its source package's rules do."""

import os
import subprocess
from pathlib import Path

from package.tree import ROOT


def build_deb(source: Path, date: int) -> None:
    """Make the package beside `source`, a Debian source tree, of the programs frozen here.

    Raises subprocess.CalledProcessError.
    """
    (source / "build").symlink_to(ROOT / "build")
    try:
        subprocess.run(
            ["debian/rules", "binary"],
            cwd=source,
            env=os.environ | {"SOURCE_DATE_EPOCH": str(date), "DEB_BUILD_OPTIONS": "nocheck"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
        )
    finally:
        (source / "build").unlink()
