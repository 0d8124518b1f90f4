"""The tree that the Debian package and the tarball share, made of small stand-ins."""

import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
import tomllib
from pathlib import Path

import pytest

from package import tarball as tarball_module
from package import tree as tree_module
from package.changelog import changelog_date, changelog_version
from package.layout import ITEMS, LINKS, Flavour
from package.source import repository_files
from package.tarball import build_tarball
from package.tree import make_tree
from torpor import VERSION

ROOT = Path(__file__).parents[2]
DATE = 1_800_000_000
LIBRARIES = ("/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2")


def make_repository(folder: Path) -> Path:
    """Return a repository with this one's sources, and something small for the frozen programs."""
    folder.mkdir()
    for path in ROOT.iterdir():
        if path.name not in ("build", ".git"):
            (folder / path.name).symlink_to(path)
    for name, program in (("torpor", "torpor"), ("torpor-resume", "torpor-resume")):
        (folder / "build" / name / "_internal").mkdir(parents=True)
        shutil.copy("/bin/true", folder / "build" / name / program)
        for library in ("liba.so.1", "b.cpython-311-x86_64-linux-gnu.so"):
            path = folder / "build" / name / "_internal" / library
            path.write_text("no library")
            path.chmod(0o755)
    needs = ("/usr/lib/torpor/resume/torpor-resume", *LIBRARIES)
    (folder / "build/torpor-resume.needs").write_text("".join(f"{line}\n" for line in needs))
    (folder / "build/torpor.cdx.json").write_text("{}")
    return folder


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = make_repository(tmp_path / "repository")
    monkeypatch.setattr(tree_module, "ROOT", made)
    monkeypatch.setattr(tarball_module, "ROOT", made)
    return made


@pytest.fixture
def tree(repository: Path, tmp_path: Path) -> Path:
    make_tree(tmp_path / "tree", Flavour.DEB, DATE)
    return tmp_path / "tree"


def files_of(tree: Path) -> set[str]:
    return {f"/{path.relative_to(tree)}" for path in tree.rglob("*") if not path.is_dir()}


def test_one_version() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert project["version"] == VERSION == changelog_version()
    assert changelog_date() > 0


def test_sources_are_there() -> None:
    sources = [item.source for item in ITEMS if not item.source.startswith("build/")]
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_every_hook_is_installed(tree: Path) -> None:
    """A new file in initramfs/ that nobody installs is a hook that is never run."""
    installed = {hashlib.sha256((tree / name[1:]).read_bytes()).digest() for name in files_of(tree)}
    hooks = [
        name for name in repository_files("initramfs/*") if not name.endswith(("README.md", ".py"))
    ]
    assert len(hooks) > 8
    lost = [
        name
        for name in hooks
        if hashlib.sha256((ROOT / name).read_bytes()).digest() not in installed
    ]
    assert lost == []


def test_the_documented_places(tree: Path) -> None:
    assert {
        "/usr/lib/torpor/torpor/torpor",
        "/usr/lib/torpor/resume/torpor-resume",
        "/usr/lib/torpor/resume.needs",
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


def test_links_lead_somewhere(tree: Path) -> None:
    for name in LINKS:
        assert (tree / name[1:]).exists()


def test_modes(tree: Path) -> None:
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
    assert "torpor-1/LICENSE" in members
    installed = {
        name.removeprefix("torpor-1/root") for name, member in members.items() if not member.isdir()
    }
    assert installed - {f"torpor-1/{name}" for name in ("install.sh", "LICENSE", "README.md")} == (
        files_of(tmp_path / "tree")
    )
    assert {member.uid for member in members.values()} == {0}
    assert {member.uname for member in members.values()} == {"root"}


def run_prerm(tmp_path: Path, action: str, status: int) -> list[str]:
    """Run the script with a stand-in for torpor; return what that was asked for."""
    program = tmp_path / "torpor"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\nexit {status}\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    script = ROOT / "package/debian/torpor.prerm"
    subprocess.run(["dash", script, action], env={"PATH": path}, check=True)
    asked = tmp_path / "asked"
    return asked.read_text().splitlines() if asked.exists() else []


def test_a_removal_disables_first(tmp_path: Path) -> None:
    assert run_prerm(tmp_path, "upgrade", 0) == []
    assert run_prerm(tmp_path, "remove", 0) == ["disable --no-rebuild"]


def test_a_removal_goes_on_where_that_fails(tmp_path: Path) -> None:
    assert run_prerm(tmp_path, "remove", 18) == ["disable --no-rebuild"]
