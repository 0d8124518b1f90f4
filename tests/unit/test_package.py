"""The tree of the Debian package and the tarball, made of small stand-ins; and install.sh.

That runs in dash and in busybox ash, below a folder.
"""

import os
import shutil
import stat
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest

from package import tree as tree_module
from package.changelog import changelog_date, changelog_version
from package.frozen.programs import PROGRAMS
from package.source import repository_files
from package.tree import LINKS, Flavour, build_tarball, make_tree
from tests.initramfs.installed import on_a_copy
from tests.tools import ROOT, files_of, put
from torpor import VERSION

DATE = 1_800_000_000
LIBRARIES = ("/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with this one's sources, and something small for the frozen programs."""
    folder = tmp_path / "repository"
    needs = ("/usr/lib/torpor/resume/torpor-resume", *LIBRARIES)
    listed = "".join(f"{line}\n" for line in needs)
    put(folder, {"build/torpor-resume.needs": listed, "build/torpor.cdx.json": "{}"})
    for program in PROGRAMS:
        for group in program.groups:
            listed = f"{program.installed}/_internal/{group}.pyc\n"
            put(folder, {f"build/{program.name}-{group}.needs": listed})
    for path in ROOT.iterdir():
        if path.name not in ("build", ".git"):
            (folder / path.name).symlink_to(path)
    for name in ("torpor", "torpor-resume"):
        inside = folder / "build" / name / "_internal"
        for library in ("liba.so.1", "b.cpython-311-x86_64-linux-gnu.so"):
            put(inside, {library: "no library"})
            (inside / library).chmod(0o755)
        shutil.copy("/bin/true", folder / "build" / name / name)
    monkeypatch.setattr(tree_module, "ROOT", folder)
    return folder


@pytest.fixture
def tree(repository: Path, tmp_path: Path) -> Path:
    make_tree(tmp_path / "tree", Flavour.DEB, DATE)
    return tmp_path / "tree"


def test_one_version() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert project["version"] == VERSION == changelog_version()
    assert changelog_date() > 0


def test_every_hook_is_installed(tree: Path) -> None:
    """A new file in initramfs/ that nobody installs is a hook that is never run."""
    installed = {(tree / name[1:]).read_bytes() for name in files_of(tree)}
    names = repository_files("initramfs/*")
    hooks = [name for name in names if not name.endswith(("README.md", ".py"))]
    assert len(hooks) > 7
    assert [name for name in hooks if (ROOT / name).read_bytes() not in installed] == []


def test_the_documented_places(tree: Path) -> None:
    assert {
        "/usr/lib/torpor/torpor/torpor",
        "/usr/lib/torpor/resume/torpor-resume",
        "/usr/lib/torpor/resume.needs",
        "/usr/lib/torpor/resume-sealing.needs",
        "/usr/lib/torpor/resume-server.needs",
        "/usr/lib/torpor/sealing-needs",
        "/usr/lib/torpor/server-needs",
        "/usr/lib/torpor/server-network",
        "/usr/lib/dracut/modules.d/55torpor/module-setup.sh",
        "/usr/share/initramfs-tools/hooks/torpor",
        "/usr/lib/initcpio/install/sd-torpor",
        "/usr/lib/systemd/system/torpor-resume.service",
        "/usr/lib/systemd/system/systemd-hibernate-resume@.service.d/torpor.conf",
        "/usr/lib/systemd/system-generators/torpor-resume-generator",
        "/usr/share/man/man8/torpor.8.gz",
        "/usr/share/man/man5/torpor.conf.5.gz",
        "/usr/share/bash-completion/completions/torpor",
        "/usr/share/zsh/vendor-completions/_torpor",
        "/etc/torpor.conf",
        "/usr/share/doc/torpor/copyright",
        "/usr/share/doc/torpor/torpor.cdx.json.gz",
    } <= files_of(tree)


def test_modes_and_links(tree: Path) -> None:
    assert [name for name in LINKS if not (tree / name[1:]).exists()] == []
    modes = {
        name: stat.S_IMODE((tree / name[1:]).stat().st_mode)
        for name in files_of(tree) - LINKS.keys()
    }
    assert set(modes.values()) == {0o644, 0o755}
    assert modes["/usr/lib/torpor/torpor/torpor"] == 0o755
    assert modes["/usr/share/initramfs-tools/hooks/torpor"] == 0o755
    assert modes["/usr/lib/torpor/resume/_internal/liba.so.1"] == 0o644
    assert modes["/usr/lib/systemd/system/torpor-resume.service"] == 0o644


def test_a_missing_source_is_an_error(repository: Path, tmp_path: Path) -> None:
    shutil.rmtree(repository / "build/torpor")
    with pytest.raises(FileNotFoundError, match="build/torpor"):
        make_tree(tmp_path / "tree", Flavour.DEB, DATE)


def test_the_tarball(repository: Path, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree", Flavour.TARBALL, DATE)
    build_tarball(tmp_path / "tree", tmp_path / "torpor.tar.gz", "torpor-1", DATE)
    with tarfile.open(tmp_path / "torpor.tar.gz") as archive:
        members = {member.name: member for member in archive}
    assert members["torpor-1/install.sh"].mode == 0o755
    files = {name.removeprefix("torpor-1/") for name, one in members.items() if not one.isdir()}
    in_tree = {f"root{name}" for name in files_of(tmp_path / "tree")}
    assert files == in_tree | {"install.sh", "LICENSE", "README.md"}
    assert {(member.uid, member.uname) for member in members.values()} == {(0, "root")}


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("upgrade", 0, ""),
        ("remove", 0, "disable --no-rebuild\n"),
        ("remove", 18, "disable --no-rebuild\n"),
    ],
)
def test_a_removal_disables_first(action: str, status: int, expected: str, tmp_path: Path) -> None:
    """And goes on where that fails."""
    put(tmp_path, {"torpor": f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\nexit {status}\n'})
    (tmp_path / "torpor").chmod(0o755)
    (tmp_path / "asked").touch()
    path = f"{tmp_path}:{os.environ['PATH']}"
    script = ROOT / "package/debian/torpor.prerm"
    subprocess.run(["dash", script, action], env={"PATH": path}, check=True)
    assert (tmp_path / "asked").read_text() == expected


ELF64 = b"\x7fELF\x02" + bytes(59)
ELF32 = b"\x7fELF\x01" + bytes(59)
NEEDED = ("libc.so.6", "ld-linux-x86-64.so.2")
SHELLS = {"dash": ["dash"], "busybox ash": ["busybox", "ash"]}


class Tarball:
    """An unpacked tarball, and a system to install it on."""

    def __init__(self, folder: Path, shell: list[str]) -> None:
        self.folder = folder / "torpor-0"
        self.system = folder / "system"
        self._shell = shell
        put(self.system, {f"usr/lib64/{name}": ELF64 for name in NEEDED})

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run install.sh; return what it says, or complains of."""
        command = [*self._shell, str(self.folder / "install.sh"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == status, done.stderr
        return done.stderr if status else done.stdout

    def install(self) -> str:
        return self.run("--root", str(self.system))

    def uninstall(self) -> str:
        return self.run("--uninstall", f"--root={self.system}")

    def refused(self, *arguments: str) -> str:
        return self.run("--root", str(self.system), *arguments, status=1)

    def names(self) -> set[str]:
        return {str(path.relative_to(self.system)) for path in self.system.rglob("*")}

    def needs(self) -> list[str]:
        return (self.system / "usr/lib/torpor/resume.needs").read_text().splitlines()


@pytest.fixture(params=SHELLS)
def tarball(request: pytest.FixtureRequest, repository: Path, tmp_path: Path) -> Tarball:
    made = Tarball(tmp_path, SHELLS[request.param])
    make_tree(made.folder / "root", Flavour.TARBALL, DATE)
    shutil.copy(ROOT / "package/install.sh", made.folder)
    return made


def test_install_and_uninstall(tarball: Tarball) -> None:
    before = tarball.names()
    assert f"chroot {tarball.system} torpor rebuild" in tarball.install()
    root = tarball.folder / "root"
    shipped = {str(path.relative_to(root)) for path in root.rglob("*")}
    assert tarball.names() == before | shipped | {"usr/lib/torpor/manifest"}
    program = tarball.system / "usr/bin/torpor"
    assert os.readlink(program) == "../lib/torpor/torpor/torpor"
    assert os.access(program, os.X_OK)
    assert f"chroot {tarball.system}, and run what makes it there" in tarball.uninstall()
    assert tarball.names() == before
    assert "nothing is installed" in tarball.refused("--uninstall")


def test_the_folders_and_links_that_were_there_stay(tarball: Tarball) -> None:
    """Fedora and Arch have /usr/sbin as a link to bin, which is written through."""
    for folder in ("usr/share/man/man8", "etc", "usr/bin"):
        (tarball.system / folder).mkdir(parents=True)
    (tarball.system / "usr/sbin").symlink_to("bin")
    before = tarball.names()
    tarball.install()
    assert (tarball.system / "usr/bin/torpor-resume").is_symlink()
    assert (tarball.system / "usr/sbin").is_symlink()
    tarball.uninstall()
    assert tarball.names() == before


def test_an_update_removes_what_is_no_more(tarball: Tarball) -> None:
    before = tarball.names()
    tarball.install()
    (tarball.folder / "root/usr/share/man/man5/torpor.conf.5.gz").unlink()
    put(tarball.folder, {"root/usr/lib/torpor/new": "new"})
    tarball.install()
    assert "usr/share/man/man5/torpor.conf.5.gz" not in tarball.names()
    assert "usr/lib/torpor/new" in tarball.names()
    tarball.uninstall()
    assert tarball.names() == before


@pytest.mark.parametrize("is_installed", [False, True])
def test_a_configuration_that_is_there_or_was_changed_is_kept(
    tarball: Tarball, *, is_installed: bool
) -> None:
    if is_installed:
        tarball.install()
    put(tarball.system, {"etc/torpor.conf": "mode = reboot\n"})
    tarball.install()
    assert ("etc/torpor.conf was changed: it stays" in tarball.uninstall()) == is_installed
    assert (tarball.system / "etc/torpor.conf").read_text() == "mode = reboot\n"


def test_foreign_files_are_refused_before_anything_is_written(tarball: Tarball) -> None:
    put(tarball.system, {"usr/bin/torpor": "mine"})
    before = tarball.names()
    assert "usr/bin/torpor is there and was not installed by this script" in tarball.refused()
    assert tarball.names() == before


@pytest.mark.parametrize("folder", ["usr/lib64", "lib/x86_64-linux-gnu", "usr/lib", "lib64"])
def test_libraries_are_found_by_their_names(tarball: Tarball, folder: str) -> None:
    shutil.rmtree(tarball.system / "usr/lib64")
    put(tarball.system, {f"{folder}/{name}": ELF64 for name in NEEDED})
    tarball.install()
    libraries = [f"/{folder}/{name}" for name in NEEDED]
    assert tarball.needs() == ["/usr/lib/torpor/resume/torpor-resume", *libraries]


def test_a_library_of_32_bits_will_not_do(tarball: Tarball) -> None:
    put(tarball.system, {"lib/x86_64-linux-gnu/libc.so.6": ELF32})
    tarball.install()
    assert tarball.needs()[1] == "/usr/lib64/libc.so.6"


def test_a_system_without_the_libraries_is_refused(tarball: Tarball) -> None:
    (tarball.system / "usr/lib64/libc.so.6").unlink()
    before = tarball.names()
    assert "libc.so.6 is not on this system" in tarball.refused()
    assert tarball.names() == before


def test_an_enabled_system_is_disabled_first(tarball: Tarball) -> None:
    tarball.install()
    state = tarball.system / "var/lib/torpor"
    put(state, {"location": ""})
    assert "torpor is enabled there" in tarball.refused("--uninstall")
    (state / "location").rename(state / "hibernation.json")
    tarball.uninstall()
    assert not state.exists()


def test_wrong_words(tarball: Tarball) -> None:
    before = tarball.names()
    for arguments in (["--rot", "x"], ["x"], ["--root", str(tarball.system), "--purge"]):
        assert tarball.run(*arguments, status=2).startswith("usage: install.sh")
    tarball.run("--root", status=1)
    tarball.run("--root", "/no/such/folder", status=1)
    assert tarball.run("--help").startswith("usage: install.sh")
    assert tarball.names() == before


COMMAND = """#!/bin/sh
echo "torpor $*" >&2
case $* in *--print) echo "echo first rebuild"; echo "false second rebuild" ;; esac
"""


@pytest.mark.usefixtures("repository")
def test_install_and_uninstall_rebuild(tmp_path: Path) -> None:
    """On a copy of this system, with a stand-in for the command."""
    tree, result = tmp_path / "system", tmp_path / "result"
    make_tree(tree / "tarball/root", Flavour.TARBALL, DATE)
    shutil.copy(ROOT / "package/install.sh", tree / "tarball")
    command = tree / "tarball/root/usr/lib/torpor/torpor/torpor"
    command.write_text(COMMAND)
    command.chmod(0o755)
    both = "/tarball/install.sh && /tarball/install.sh --uninstall && ! [ -e /usr/bin/torpor ]"
    said = on_a_copy(tree, result, "sh", "-c", both).splitlines()
    assert "torpor rebuild" in said
    assert said[-5:] == [
        "install.sh: removed",
        "install.sh: rebuilding the initramfs: echo first rebuild",
        "first rebuild",
        "install.sh: rebuilding the initramfs: false second rebuild",
        "install.sh: false second rebuild failed: run it again",
    ]
