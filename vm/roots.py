"""Roots of Debian that hold the packages that are named, what these need, and nothing else."""

from pathlib import Path

from vm.apt import apt_of, sources
from vm.debian import text_digest
from vm.disks import forget_oldest
from vm.host import building, cache, run
from vm.suites import Suite

_KEPT = 6


def bare_root(suite: Suite, variant: str, packages: list[str]) -> Path:
    """Return the archive of a root: mmdebstrap's variant, with these packages.

    Raises HostError if it cannot be made; needs the rights of root.
    """
    lines = sources(suite)
    digest = text_digest([variant, *lines, apt_of(suite).uris(*packages)])
    home = cache("bare-roots") / f"{variant}-{suite.name}-{digest}"
    if not home.exists():
        with building(home) as scratch:
            options = [f"--variant={variant}", f"--include={','.join(packages)}"]
            options.append('--aptopt=APT::Install-Recommends "false"')
            run("mmdebstrap", *options, suite.codename, scratch / "root.tar", *lines)
        forget_oldest(home.parent, _KEPT)
    return home / "root.tar"
