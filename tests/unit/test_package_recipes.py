"""The RPM spec and the PKGBUILD: they wrap up what the layout has, where their systems want it."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from package.tree import Flavour, make_tree
from tests.initramfs.installed import unavailable
from tests.test_linters import lint
from tests.tools import ROOT, files_of
from torpor import VERSION

SPEC = ROOT / "package/rpm/torpor.spec"
ARCH = ROOT / "package/arch"
TARBALL = f"torpor-{VERSION}-x86_64.tar.gz"
RunScriptlet = Callable[..., list[str]]
INITRAMFS_TOOLS, INITCPIO = "/usr/share/initramfs-tools/", "/usr/lib/initcpio/"


@pytest.fixture(scope="module")
def tarball(packages: Path) -> Path:
    return packages / TARBALL


@pytest.fixture
def laid_out(tarball: Path, tmp_path: Path) -> set[str]:
    """Return the names of what the layout puts into the tarball's root."""
    make_tree(tmp_path / "tree", Flavour.TARBALL, 0)
    return files_of(tmp_path / "tree")


def rpm(*arguments: str | Path) -> str:
    return subprocess.run(
        ["rpm", "-qp", *arguments], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def built(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the RPM that rpmbuild makes of the spec; it refuses what %files does not name."""
    if shutil.which("rpmbuild") is None:
        unavailable("rpmbuild is missing")
    top = tmp_path_factory.mktemp("rpm")
    settings = {"_topdir": top, "_sourcedir": tarball.parent, "_binary_payload": "w1.gzdio"}
    defined = [word for name, value in settings.items() for word in ("-D", f"{name} {value}")]
    subprocess.run(
        ["rpmbuild", "-bb", "--nodeps", "--quiet", *defined, SPEC], check=True, capture_output=True
    )
    (made,) = top.glob("RPMS/x86_64/*.rpm")
    return made


def test_the_rpm_holds_the_layout(built: Path, laid_out: set[str]) -> None:
    listed = rpm("--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\n]", built).splitlines()
    files = {name for mode, name in (line.split(" ", 1) for line in listed) if mode[0] != "d"}
    left_out = {name for name in laid_out if name.startswith((INITRAMFS_TOOLS, INITCPIO))}
    assert len(left_out) == 5
    licenses = {name for name in files if name.endswith("/LICENSE")}
    assert files - licenses == laid_out - left_out
    assert rpm("--configfiles", built).split() == ["/etc/torpor.conf"]


def test_the_rpm_needs_no_library_that_it_has(built: Path) -> None:
    needed = rpm("--requires", built)
    assert "libc.so.6(GLIBC_2." in needed
    assert "dracut" in needed.splitlines()
    assert not re.search(r"lib(ffi|python|udev)", needed)
    assert not [line for line in rpm("--provides", built).splitlines() if ".so" in line]


def test_the_rpm_undoes_and_rebuilds(built: Path) -> None:
    """With what makes the initramfs there, which is not dracut itself on openSUSE."""
    scripts = rpm("--scripts", built)
    before, after = scripts.index("torpor rebuild --print >"), scripts.index("sh -e ")
    assert scripts.index("torpor disable --no-rebuild") < before < after
    assert "posttrans scriptlet (using /bin/sh):\ntorpor rebuild || :" in scripts


def field(name: str) -> str:
    """Return what the PKGBUILD's variable holds, as bash reads it."""
    script = f'. {ARCH}/PKGBUILD; echo "${{{name}[*]}}"'
    return subprocess.run(
        ["bash", "-euc", script], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_recipes_are_of_this_version() -> None:
    assert re.search(r"^Version: (.*)$", SPEC.read_text(), re.MULTILINE)[1] == VERSION  # type: ignore[index]
    assert field("pkgver") == VERSION
    assert field("source") == TARBALL
    assert field("backup") == "etc/torpor.conf"
    assert (ARCH / field("install")).exists()


def test_the_arch_package_holds_the_layout(
    tarball: Path, laid_out: set[str], tmp_path: Path
) -> None:
    """package() is run as makepkg runs it."""
    package, sources = tmp_path / "package", tmp_path / "sources"
    package.mkdir()
    sources.mkdir()
    subprocess.run(["tar", "-C", sources, "-xf", tarball], check=True)
    subprocess.run(
        ["bash", "-euc", f"pkgdir={package}; . {ARCH}/PKGBUILD; package"], cwd=sources, check=True
    )
    files = files_of(package)
    assert not [name for name in files if name.startswith("/usr/sbin/")]
    moved = {
        name.replace("/usr/sbin/", "/usr/bin/")
        for name in laid_out
        if not name.startswith(INITRAMFS_TOOLS)
    }
    assert files == moved | {"/usr/share/licenses/torpor/LICENSE"}
    assert os.access(package / "usr/bin/torpor-resume", os.X_OK)
    needs = (package / "usr/lib/torpor/resume.needs").read_text().splitlines()
    others = [name for name in needs if not name.startswith("/usr/lib/torpor/")]
    assert "/usr/lib/libc.so.6" in others
    assert all(re.fullmatch(r"/usr/lib/[^/]+", name) for name in others)


TORPOR = """#!/bin/sh
echo "torpor $*" >>"$CALLS"
[ "$2" != --print ] || printf '%s' "$PRINTED"
exit "$STATUS"
"""
PRINT = "torpor rebuild --print"


@pytest.fixture(name="run_scriptlet")
def _run_scriptlet(tmp_path: Path) -> RunScriptlet:
    """Return a function that runs scriptlets as pacman does, and returns what they called."""
    calls, script = tmp_path / "calls", tmp_path / "torpor.install"
    script.write_text((ARCH / "torpor.install").read_text().replace("/run/", f"{tmp_path}/"))
    programs = {"torpor": TORPOR, "dracut": '#!/bin/sh\necho "dracut $*" >>"$CALLS"\n'}
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(*scriptlets: str, printed: str, status: int = 0) -> list[str]:
        calls.write_text("")
        said = {"CALLS": str(calls), "PRINTED": printed, "STATUS": str(status)}
        for scriptlet in scriptlets:
            subprocess.run(
                ["bash", "-c", f". {script}; {scriptlet} 0.2.0-1 0.1.0-1"],
                env={"PATH": f"{tmp_path}:/usr/bin:/bin"} | said,
                check=True,
            )
        assert not (tmp_path / "torpor-rebuild").exists()
        return calls.read_text().splitlines()

    return run


DRACUTS = "dracut --force /boot/a a\ndracut --force /boot/b b\n"


@pytest.mark.parametrize("scriptlet", ["post_install", "post_upgrade"])
@pytest.mark.parametrize(
    ("printed", "rebuilds"),
    [
        (DRACUTS, True),
        ("kernel-install add 6.12 /usr/lib/modules/6.12/vmlinuz\n", True),
        ("limine-mkinitcpio\n", True),
        ("", True),
        ("mkinitcpio -P\n", False),
    ],
)
def test_on_arch_the_initramfs_is_rebuilt(
    scriptlet: str, printed: str, rebuilds: bool, run_scriptlet: RunScriptlet
) -> None:
    """By mkinitcpio's own hook, or by us: with dracut nothing else would do it."""
    expected = [PRINT, "torpor rebuild"] if rebuilds else [PRINT]
    assert run_scriptlet(scriptlet, printed=printed) == expected
    failed = run_scriptlet(scriptlet, printed=printed, status=18)
    assert failed == expected


@pytest.mark.parametrize(
    ("printed", "expected"),
    [(DRACUTS, DRACUTS.splitlines()), ("mkinitcpio -P\n", []), ("", [])],
)
def test_on_arch_the_resumer_goes_with_the_package(
    printed: str, expected: list[str], run_scriptlet: RunScriptlet
) -> None:
    before = ["torpor disable --no-rebuild", PRINT]
    for status in (0, 18):
        called = run_scriptlet("pre_remove", "post_remove", printed=printed, status=status)
        assert called == [*before, *expected]
    assert run_scriptlet("post_remove", printed="") == []


def test_shellcheck_has_nothing_to_say() -> None:
    lint("shellcheck", str(ARCH / "PKGBUILD"), str(ARCH / "torpor.install"))
