"""Makes the packages in build/package/; with --tree FOLDER, only what Debian's holds."""

import os
import subprocess
import sys
import time
from pathlib import Path

from package.changelog import changelog_date, changelog_version
from package.source import build_deb, build_source, make_source
from package.tree import ROOT, Flavour, build_tarball, make_tree
from torpor import VERSION

OUT = ROOT / "build/package"


def main() -> int:
    """Make what was asked for; return the exit status."""
    began = time.monotonic()
    if changelog_version() != VERSION:
        print(f"package: package/debian/changelog is not at {VERSION}", file=sys.stderr)
        return 1
    date = int(os.environ.get("SOURCE_DATE_EPOCH", changelog_date()))
    try:
        if sys.argv[1:2] == ["--tree"]:
            make_tree(Path(sys.argv[2]), Flavour.DEB, date)
            return 0
        made = _make_packages(date)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stdout", None) or b""
        print(f"{said.decode(errors='replace')}package: {error}", file=sys.stderr)
        return 1
    for path in made:
        print(f"package: {path.relative_to(ROOT)}, {path.stat().st_size / 1e6:.1f} MB")
    print(f"package: done in {time.monotonic() - began:.1f} s")
    return 0


def _make_packages(date: int) -> list[Path]:
    OUT.mkdir(exist_ok=True)
    source = OUT / f"torpor-{VERSION}"
    tarball = OUT / f"torpor-{VERSION}-x86_64.tar.gz"
    make_source(source, date)
    build_source(source, date)
    build_deb(source, date)
    make_tree(OUT / "tarball", Flavour.TARBALL, date)
    build_tarball(OUT / "tarball", tarball, f"torpor-{VERSION}", date)
    debian = ("_amd64.deb", ".dsc", ".tar.gz")
    return [*(OUT / f"torpor_{VERSION}{end}" for end in debian), tarball]


if __name__ == "__main__":
    sys.exit(main())
