"""Makes build/package/torpor_VERSION_amd64.deb and torpor-VERSION-x86_64.tar.gz."""

import os
import subprocess
import sys
import time

from cli import VERSION
from package.deb import build_deb, changelog_date, changelog_version
from package.layout import Flavour
from package.tarball import build_tarball
from package.tree import ROOT, make_tree

OUT = ROOT / "build/package"


def main() -> int:
    """Make both; return the exit status."""
    began = time.monotonic()
    if changelog_version() != VERSION:
        print(f"package: package/debian/changelog is not at {VERSION}", file=sys.stderr)
        return 1
    date = int(os.environ.get("SOURCE_DATE_EPOCH", changelog_date()))
    OUT.mkdir(exist_ok=True)
    deb = OUT / f"torpor_{VERSION}_amd64.deb"
    tarball = OUT / f"torpor-{VERSION}-x86_64.tar.gz"
    try:
        make_tree(OUT / "deb", Flavour.DEB, date)
        build_deb(OUT / "deb", deb, VERSION, date)
        make_tree(OUT / "tarball", Flavour.TARBALL, date)
        build_tarball(OUT / "tarball", tarball, f"torpor-{VERSION}", date)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"package: {error}", file=sys.stderr)
        return 1
    for path in (deb, tarball):
        print(f"package: {path.relative_to(ROOT)}, {path.stat().st_size / 1e6:.1f} MB")
    print(f"package: done in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
