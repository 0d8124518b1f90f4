"""The package in clean roots of Debian 12, 13 and unstable."""

import re
import shutil
from pathlib import Path

import pytest

from torpor import VERSION
from vm.debian import bare_root, in_chroot
from vm.host import run
from vm.suites import SUITES, suites_from_here

HERE = Path(__file__).parent
CHECK = HERE.parent / "initramfs/check.sh"
CONTROL = HERE.parents[1] / "package/debian/control"
FROM_HERE = [suite.name for suite in suites_from_here()]

DRACUT = """
    dracut systemd systemd-sysv udev binutils cpio dmsetup e2fsprogs kmod util-linux-extra zstd
"""
"""What dracut makes an initramfs from, for systemd and for its shell: nothing that has libffi8."""
MODES = {"systemd": "base systemd systemd-initrd dracut-systemd torpor", "shell": "base torpor"}

pytestmark = pytest.mark.long


def unpacked(archive: Path, folder: Path, *files: Path) -> Path:
    """Return the root of an archive, unpacked, with these files in /root."""
    folder.mkdir()
    run("tar", "-C", folder, "-xf", archive)
    for file in files:
        shutil.copy(file, folder / "root")
    return folder


@pytest.mark.parametrize("suite", FROM_HERE)
def test_dracut_where_libffi_is_not(packages: Path, suite: str, tmp_path: Path) -> None:
    """All that the resumer needs is in the image, whose libraries dracut 112 resolves itself.

    On Debian 12 libffi8 is there: systemd 252 needs it itself, for libp11-kit0.
    """
    archive = bare_root(SUITES[suite], "essential", DRACUT.split())
    tree = unpacked(archive, tmp_path / "root", CHECK, HERE / "dracut.sh")
    shutil.copy(packages / f"torpor_{VERSION}_amd64.deb", tree / "root/torpor.deb")
    installed = (tree / "var/lib/dpkg/status").read_text()
    assert ("Package: libffi8\n" in installed) == (suite == "12")
    for modules in MODES.values():
        for kind in ("--hostonly", "--no-hostonly"):
            for strip in ("--nostrip", "--aggressive-strip"):
                in_chroot(tree, "/root/dracut.sh", "/root/check.sh", modules, kind, strip)


def build_depends() -> list[str]:
    """Return the names of the packages that debian/control wants for a build."""
    found = re.search(r"^Build-Depends: (.*)$", CONTROL.read_text(), re.MULTILINE)
    assert found is not None
    names = {re.sub(r" *\(.*", "", name) for name in found[1].split(", ")}
    return sorted(names - {"debhelper-compat"} | {"debhelper"})


@pytest.mark.parametrize("suite", ["12", "13"])
def test_the_source_package_builds(packages: Path, suite: str, tmp_path: Path) -> None:
    """By dpkg-buildpackage, without a network; lintian has no error and no warning."""
    archive = bare_root(SUITES[suite], "buildd", [*build_depends(), "lintian"])
    source = [packages / f"torpor_{VERSION}{end}" for end in (".dsc", ".tar.gz")]
    tree = unpacked(archive, tmp_path / "root", *source, HERE / "build.sh")
    in_chroot(tree, "/root/build.sh", f"torpor_{VERSION}")
