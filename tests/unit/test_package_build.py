"""The packages as they are made: what is in them, and that they come out the same anywhere."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cyclonedx.model.bom import Bom

from package.source import PYTHONS, lock_of_the_wheels, repository_files
from package.tree import CONFFILE, LINKS, Flavour, make_tree
from tests.initramfs.installed import BUILD
from tests.tools import ROOT, files_of, put, unavailable
from tests.unit.test_frozen import OURS
from torpor import VERSION

DEB = f"torpor_{VERSION}_amd64.deb"
DSC = f"torpor_{VERSION}.dsc"
TARBALL = f"torpor-{VERSION}-x86_64.tar.gz"
ALL = {DEB, DSC, f"torpor_{VERSION}.tar.gz", TARBALL}

BUNDLED = {
    "_cffi_backend": "cffi",
    "crcmod": "crcmod-plus",
    "libbz2": "libbz2-1.0",
    "libcap": "libcap2",
    "libexpat": "libexpat1",
    "libffi": "libffi8",
    "libcrypto": "libssl3",
    "liblzma": "liblzma5",
    "libssl": "libssl3",
    "libudev": "libudev1",
    "libz": "zlib1g",
    "nacl": "pynacl",
}
"""What is named otherwise than its distribution or its package in Debian."""


@pytest.fixture(scope="module")
def made(packages: Path) -> Path:
    if not (BUILD / "torpor.cdx.json").exists():
        unavailable("the programs are not frozen: python3 build.py frozen")
    return packages


def run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def unpacked(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Debian package, unpacked, with its control files in DEBIAN."""
    folder = tmp_path_factory.mktemp("deb")
    run("dpkg-deb", "--raw-extract", made / DEB, folder)
    return folder


@pytest.fixture(scope="module")
def source(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the source package, unpacked by dpkg-source, which checks its sums."""
    folder = tmp_path_factory.mktemp("source") / "torpor"
    run("dpkg-source", "--extract", made / DSC, folder)
    return folder


def test_the_package_holds_the_tree_of_the_layout(unpacked: Path, tmp_path: Path) -> None:
    make_tree(tmp_path, Flavour.DEB, 0)
    control = {name for name in files_of(unpacked) if name.startswith("/DEBIAN/")}
    of_debhelper = {"/usr/share/doc/torpor/changelog.gz", "/usr/share/lintian/overrides/torpor"}
    assert files_of(unpacked) - control - of_debhelper == files_of(tmp_path)
    for name in files_of(tmp_path):
        one, other = tmp_path / name[1:], unpacked / name[1:]
        assert one.is_symlink() == other.is_symlink()
        if one.is_symlink():
            assert os.readlink(one) == os.readlink(other)
        else:
            assert one.read_bytes() == other.read_bytes(), f"{name} was changed after it was frozen"
            assert one.stat().st_mode == other.stat().st_mode, name


def test_control_files(unpacked: Path) -> None:
    control = {path.name: path.read_text() for path in (unpacked / "DEBIAN").iterdir()}
    assert "activate-noawait update-initramfs\n" in control["triggers"]
    assert control["conffiles"] == f"{CONFFILE}\n"
    fields = dict(re.findall(r"^(\S+): (.*)$", control["control"], re.MULTILINE))
    assert fields["Version"] == VERSION
    needed = set(fields["Depends"].split(", "))
    assert {re.sub(r" \(>= .*\)$", "", name) for name in needed} == {"libc6", "zlib1g"}
    assert {"initramfs-tools | dracut", "mount"} <= set(fields["Recommends"].split(", "))
    for script in ("prerm", "postrm"):
        assert os.access(unpacked / "DEBIAN" / script, os.X_OK)
        assert "#DEBHELPER#" not in control[script]


def test_every_file_of_the_package_has_its_sum(unpacked: Path) -> None:
    lines = (unpacked / "DEBIAN/md5sums").read_text().splitlines()
    sums = {f"/{name}": digest for digest, name in (line.split("  ") for line in lines)}
    listed = {name for name in files_of(unpacked) if not name.startswith("/DEBIAN/")}
    assert set(sums) == listed - LINKS.keys() - {CONFFILE}


def test_everything_is_owned_by_root(made: Path) -> None:
    listed = run("dpkg-deb", "--contents", made / DEB).splitlines()
    assert len(listed) > 40
    assert {line.split()[1] for line in listed} == {"root/root"}


def test_the_source_package_is_the_repository(source: Path) -> None:
    names = repository_files()
    assert len(names) > 100
    for name in names:
        assert (source / name).read_bytes() == (ROOT / name).read_bytes(), name
    for name in repository_files("package/debian/*"):
        assert (source / name.removeprefix("package/")).exists()
    assert os.access(source / "debian/rules", os.X_OK)
    others = {path.name for path in source.iterdir()} - {name.split("/")[0] for name in names}
    assert others == {"debian", "wheels"}


@pytest.mark.parametrize("python", PYTHONS)
def test_the_source_package_carries_its_wheels(source: Path, python: str, tmp_path: Path) -> None:
    """For each Python: pip takes all from there, and compares the hashes."""
    run(
        *(sys.executable, "-m", "pip", "download", "-q", "--no-index", "--require-hashes"),
        *("--only-binary=:all:", "--no-deps", f"--python-version={python}"),
        *("--platform=manylinux_2_28_x86_64", "--platform=manylinux2014_x86_64"),
        *("--platform=manylinux_2_17_x86_64", "--platform=manylinux1_x86_64"),
        *(f"--find-links={source}/wheels", "-r", source / "wheels/requirements.lock"),
        *("-d", tmp_path),
    )
    lock = (ROOT / "requirements.lock").read_text()
    assert (source / "wheels/requirements.lock").read_text() == lock_of_the_wheels(lock)


def test_the_lock_of_the_wheels_leaves_out_what_only_the_left_out_need() -> None:
    entry = "{}==1 \\\n    --hash=sha256:00\n    # via{}\n"
    lock = (
        entry.format("mypy", " -r requirements.in")
        + entry.format("mypy-extensions", " mypy")
        + entry.format("of-the-extensions", "\n    #   mypy-extensions\n    #   ruff")
        + entry.format("shared", "\n    #   mypy\n    #   rich")
        + entry.format("rich", " -r requirements.in")
    )
    left = re.findall(r"^(\S+)==", lock_of_the_wheels(lock), re.MULTILINE)
    assert left == ["shared", "rich"]


@pytest.fixture(scope="module")
def bill(unpacked: Path) -> Bom:
    """Return the bill of materials as the library reads it again."""
    packed = unpacked / "usr/share/doc/torpor/torpor.cdx.json.gz"
    facts = json.loads(gzip.decompress(packed.read_bytes()))
    read: Bom = Bom.from_json(facts)  # type: ignore[attr-defined] # made by py-serializable
    return read


def test_all_that_is_bundled_is_in_the_bill(unpacked: Path, bill: Bom) -> None:
    named = {component.name for component in bill.components}
    bundled = {
        re.sub(r"(\.cpython-.*)?\.(so.*|pyc)$", "", path.name)
        for path in (unpacked / "usr/lib/torpor").glob("*/_internal/*")
    }
    of_others = {
        name
        for name in bundled - sys.stdlib_module_names - OURS
        if not name.startswith(("python3", "libpython3"))
    }
    inside_others = {"cpython", "libsodium", "pyinstaller"}
    assert {BUNDLED.get(name, name) for name in of_others} | inside_others == named


def test_the_bill_has_versions_and_licenses(bill: Bom) -> None:
    copyrights = (ROOT / "package/debian/copyright").read_text()
    for component in bill.components:
        assert component.version, component
        assert component.licenses, f"{component}: package/frozen/bom.py has none"
        assert component.name in copyrights, f"{component} is not in debian/copyright"
    assert bill.metadata.component is not None
    assert bill.metadata.component.version == VERSION


def make_elsewhere(folder: Path) -> Path:
    """Freeze and make the packages in another folder, as another user might; return theirs."""
    for name in repository_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    temporary = folder / "build/tmp"
    temporary.mkdir(parents=True)
    for name in ("venv", "wheels"):
        (folder / "build" / name).symlink_to(BUILD / name)
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("LC_", "PY"))},
        "TMPDIR": str(temporary),
        "LANG": "C",
        "TZ": "Asia/Kathmandu",
        "HOME": str(temporary),
    }
    script = 'umask 077; git init -q; "$0" -m package.frozen && "$0" -m package'
    words = ["sh", "-c", script, sys.executable]
    subprocess.run(words, cwd=folder, env=variables, check=True, capture_output=True)
    return folder / "build/package"


@pytest.mark.long
def test_two_builds_are_the_same(made: Path, tmp_path: Path) -> None:
    """In another folder, at another time, with another umask, locale, time zone and home."""
    other = make_elsewhere(tmp_path / "a folder of another length")
    sums = {
        folder: {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in ALL}
        for folder in (made, other)
    }
    assert sums[made] == sums[other]


SPEC = ROOT / "package/rpm/torpor.spec"
ARCH = ROOT / "package/arch"
RunScriptlet = Callable[..., list[str]]
INITRAMFS_TOOLS, INITCPIO = "/usr/share/initramfs-tools/", "/usr/lib/initcpio/"


@pytest.fixture
def laid_out(tmp_path: Path) -> set[str]:
    """Return the names of what the layout puts into the tarball's root."""
    make_tree(tmp_path / "tree", Flavour.TARBALL, 0)
    return files_of(tmp_path / "tree")


@pytest.fixture(scope="module")
def built(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the RPM that rpmbuild makes of the spec; it refuses what %files does not name."""
    if shutil.which("rpmbuild") is None:
        unavailable("rpmbuild is missing")
    top = tmp_path_factory.mktemp("rpm")
    settings = {"_topdir": top, "_sourcedir": packages, "_binary_payload": "w1.gzdio"}
    defined = [word for name, value in settings.items() for word in ("-D", f"{name} {value}")]
    run("rpmbuild", "-bb", "--nodeps", "--quiet", *defined, SPEC)
    (made,) = top.glob("RPMS/x86_64/*.rpm")
    return made


def test_the_rpm_holds_the_layout(built: Path, laid_out: set[str]) -> None:
    listed = run(
        "rpm", "-qp", "--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\n]", built
    ).splitlines()
    files = {name for mode, name in (line.split(" ", 1) for line in listed) if mode[0] != "d"}
    left_out = {name for name in laid_out if name.startswith((INITRAMFS_TOOLS, INITCPIO))}
    assert len(left_out) == 7
    licenses = {name for name in files if name.endswith("/LICENSE")}
    assert files - licenses == laid_out - left_out
    assert run("rpm", "-qp", "--configfiles", built).split() == ["/etc/torpor.conf"]


def test_the_rpm_needs_no_library_that_it_has(built: Path) -> None:
    needed = run("rpm", "-qp", "--requires", built)
    assert "libc.so.6(GLIBC_2." in needed
    assert "dracut" in needed.splitlines()
    assert not re.search(r"lib(ffi|python|udev)", needed)
    assert not [
        line for line in run("rpm", "-qp", "--provides", built).splitlines() if ".so" in line
    ]


def test_the_rpm_undoes_and_rebuilds(built: Path) -> None:
    """With what makes the initramfs there, which is not dracut itself on openSUSE."""
    scripts = run("rpm", "-qp", "--scripts", built)
    before, after = scripts.index("torpor rebuild --print >"), scripts.index("sh -e ")
    assert scripts.index("torpor disable --no-rebuild") < before < after
    assert "posttrans scriptlet (using /bin/sh):\ntorpor rebuild || :" in scripts


def field(name: str) -> str:
    """Return what the PKGBUILD's variable holds, as bash reads it."""
    return run("bash", "-euc", f'. {ARCH}/PKGBUILD; echo "${{{name}[*]}}"').strip()


def test_recipes_are_of_this_version() -> None:
    assert re.search(r"^Version: (.*)$", SPEC.read_text(), re.MULTILINE)[1] == VERSION  # type: ignore[index]
    assert field("pkgver") == VERSION
    assert field("source") == TARBALL
    assert field("backup") == "etc/torpor.conf"
    assert (ARCH / field("install")).exists()


def test_the_arch_package_holds_the_layout(
    packages: Path, laid_out: set[str], tmp_path: Path
) -> None:
    """package() is run as makepkg runs it."""
    package, sources = tmp_path / "package", tmp_path / "sources"
    package.mkdir()
    sources.mkdir()
    run("tar", "-C", sources, "-xf", packages / TARBALL)
    run("bash", "-euc", f"cd {sources}; pkgdir={package}; . {ARCH}/PKGBUILD; package")
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
    put(tmp_path, {"torpor": TORPOR, "dracut": '#!/bin/sh\necho "dracut $*" >>"$CALLS"\n'})
    for name in ("torpor", "dracut"):
        (tmp_path / name).chmod(0o755)

    def called(*scriptlets: str, printed: str, status: int = 0) -> list[str]:
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

    return called


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
    ("printed", "expected"), [(DRACUTS, DRACUTS.splitlines()), ("mkinitcpio -P\n", []), ("", [])]
)
def test_on_arch_the_resumer_goes_with_the_package(
    printed: str, expected: list[str], run_scriptlet: RunScriptlet
) -> None:
    before = ["torpor disable --no-rebuild", PRINT]
    for status in (0, 18):
        called = run_scriptlet("pre_remove", "post_remove", printed=printed, status=status)
        assert called == [*before, *expected]
    assert run_scriptlet("post_remove", printed="") == []
