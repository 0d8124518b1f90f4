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
    """None: 755 for what is executable in the source and no library, else 644."""
    only: Flavour | None = None


_LIB = "/usr/lib/torpor"
_MAN = "/usr/share/man"
_DOC = "/usr/share/doc/torpor"

_UNITS = "/usr/lib/systemd/system"
_WANTED = ("torpor-announce.service", "torpor-stale.service", "torpor-workingset.service")
"""Units that each boot of the installed system starts, if their conditions hold."""
_GENERATOR = "/usr/lib/systemd/system-generators/torpor-resume-generator"

CONFFILE = "/etc/torpor.conf"
BASH_COMPLETION = "/usr/share/bash-completion/completions/torpor"
ZSH_COMPLETION = {
    Flavour.DEB: "/usr/share/zsh/vendor-completions/_torpor",
    Flavour.TARBALL: "/usr/share/zsh/site-functions/_torpor",
}

ITEMS = (
    Item("build/torpor/", f"{_LIB}/torpor", None),
    Item("build/torpor-resume/", f"{_LIB}/resume", None),
    Item("build/torpor-resume.needs", f"{_LIB}/resume.needs"),
    Item("initramfs/dracut/", "/usr/lib/dracut/modules.d/55torpor", None),
    Item("initramfs/initramfs-tools/", "/usr/share/initramfs-tools", None),
    Item("initramfs/mkinitcpio/", "/usr/lib/initcpio", None),
    Item("initramfs/systemd/torpor-resume.service", f"{_UNITS}/torpor-resume.service"),
    Item("initramfs/systemd/torpor-resume-generator", _GENERATOR, 0o755),
    *(
        Item("initramfs/systemd/systemd-hibernate-resume.conf", f"{_UNITS}/{unit}.d/torpor.conf")
        for unit in ("systemd-hibernate-resume.service", "systemd-hibernate-resume@.service")
    ),
    *(Item(f"package/files/{unit}", f"{_UNITS}/{unit}") for unit in _WANTED),
    Item("package/files/torpor.conf", CONFFILE),
    Item("docs/torpor.8", f"{_MAN}/man8/torpor.8.gz"),
    Item("docs/torpor.conf.5", f"{_MAN}/man5/torpor.conf.5.gz"),
    Item("build/torpor.cdx.json", f"{_DOC}/torpor.cdx.json.gz"),
    Item("package/debian/copyright", f"{_DOC}/copyright"),
    Item("NEWS.md", f"{_DOC}/NEWS.md.gz"),
    Item("README.md", f"{_DOC}/README.md.gz"),
)
"""A destination in .gz is compressed."""

LINKS = {
    "/usr/bin/torpor": "../lib/torpor/torpor/torpor",
    "/usr/sbin/torpor-resume": "../lib/torpor/resume/torpor-resume",
    f"{_MAN}/man8/torpor-resume.8.gz": "torpor.8.gz",
    **{f"{_UNITS}/multi-user.target.wants/{unit}": f"../{unit}" for unit in _WANTED},
}
"""Symbolic links: where → to what."""
