"""What is installed where: one table for the Debian package and the tarball."""

from dataclasses import dataclass
from enum import Enum


class Flavour(Enum):
    """What is being made."""

    DEB = "deb"
    TARBALL = "tarball"


@dataclass(frozen=True, slots=True)
class Item:
    """A file or folder of the repository and where it goes."""

    source: str
    """Below the repository; what ends in a slash is a folder, taken with all it holds."""
    destination: str
    mode: int | None = 0o644
    """None: as the source has it, made 644 or 755."""
    only: Flavour | None = None


_LIB = "/usr/lib/torpor"
_MAN = "/usr/share/man"
_DOC = "/usr/share/doc/torpor"

RESUMER = f"{_LIB}/resume"
NEEDS = f"{_LIB}/resume.needs"
CONFFILE = "/etc/torpor.conf"
BASH_COMPLETION = "/usr/share/bash-completion/completions/torpor"
ZSH_COMPLETION = {
    Flavour.DEB: "/usr/share/zsh/vendor-completions/_torpor",
    Flavour.TARBALL: "/usr/share/zsh/site-functions/_torpor",
}

ITEMS = (
    Item("build/torpor/", f"{_LIB}/torpor", None),
    Item("build/torpor-resume/", RESUMER, None),
    Item("package/files/torpor.conf", CONFFILE),
    Item("docs/torpor.8", f"{_MAN}/man8/torpor.8.gz"),
    Item("docs/torpor.conf.5", f"{_MAN}/man5/torpor.conf.5.gz"),
    Item("package/debian/copyright", f"{_DOC}/copyright"),
    Item("package/debian/changelog", f"{_DOC}/changelog.gz", only=Flavour.DEB),
    Item("NEWS.md", f"{_DOC}/NEWS.md.gz"),
    Item("README.md", f"{_DOC}/README.md.gz"),
)
"""A destination in .gz is compressed."""

LINKS = {
    "/usr/bin/torpor": "../lib/torpor/torpor/torpor",
    "/usr/sbin/torpor-resume": "../lib/torpor/resume/torpor-resume",
    f"{_MAN}/man8/torpor-resume.8.gz": "torpor.8.gz",
}
"""Symbolic links: where → to what."""
