"""The tarball's install.sh, in dash and in busybox ash, below a folder."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from package import tree as tree_module
from package.layout import Flavour
from package.tree import make_tree
from tests.unit.test_package import make_repository

ROOT = Path(__file__).parents[2]
ELF64 = b"\x7fELF\x02" + bytes(59)
ELF32 = b"\x7fELF\x01" + bytes(59)
SHELLS = {"dash": ["dash"], "busybox ash": ["busybox", "ash"]}


class Tarball:
    """An unpacked tarball, and a system to install it on."""

    def __init__(self, folder: Path, shell: list[str]) -> None:
        self.folder = folder / "torpor-0"
        self.system = folder / "system"
        self._shell = shell
        (self.system / "usr/lib64").mkdir(parents=True)
        for name in ("libc.so.6", "ld-linux-x86-64.so.2"):
            (self.system / "usr/lib64" / name).write_bytes(ELF64)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [*self._shell, str(self.folder / "install.sh"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def install(self) -> str:
        done = self.run("--root", str(self.system))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def uninstall(self) -> str:
        done = self.run("--uninstall", f"--root={self.system}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        done = self.run("--root", str(self.system), *arguments)
        assert done.returncode == 1
        return done.stderr

    def names(self) -> set[str]:
        return {str(path.relative_to(self.system)) for path in self.system.rglob("*")}

    def needs(self) -> list[str]:
        return (self.system / "usr/lib/torpor/resume.needs").read_text().splitlines()


@pytest.fixture(params=SHELLS)
def tarball(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Tarball:
    monkeypatch.setattr(tree_module, "ROOT", make_repository(tmp_path / "repository"))
    made = Tarball(tmp_path, SHELLS[request.param])
    make_tree(made.folder / "root", Flavour.TARBALL, 1_800_000_000)
    shutil.copy(ROOT / "package/install.sh", made.folder)
    return made


def test_install_and_uninstall(tarball: Tarball) -> None:
    before = tarball.names()
    tarball.install()
    shipped = {
        str(path.relative_to(tarball.folder / "root"))
        for path in (tarball.folder / "root").rglob("*")
    }
    assert tarball.names() == before | shipped | {"usr/lib/torpor/manifest"}
    program = tarball.system / "usr/bin/torpor"
    assert os.readlink(program) == "../lib/torpor/torpor/torpor"
    assert os.access(program, os.X_OK)
    tarball.uninstall()
    assert tarball.names() == before


def test_the_folders_that_were_there_stay(tarball: Tarball) -> None:
    (tarball.system / "usr/share/man/man8").mkdir(parents=True)
    (tarball.system / "etc").mkdir()
    before = tarball.names()
    tarball.install()
    tarball.uninstall()
    assert tarball.names() == before


def test_a_linked_folder_is_written_through(tarball: Tarball) -> None:
    """Fedora and Arch have /usr/sbin as a link to bin."""
    (tarball.system / "usr/bin").mkdir()
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
    (tarball.folder / "root/usr/lib/torpor/new").write_text("new")
    tarball.install()
    assert "usr/share/man/man5/torpor.conf.5.gz" not in tarball.names()
    assert "usr/lib/torpor/new" in tarball.names()
    tarball.uninstall()
    assert tarball.names() == before


def test_a_configuration_that_is_there_is_kept(tarball: Tarball) -> None:
    (tarball.system / "etc").mkdir()
    conf = tarball.system / "etc/torpor.conf"
    conf.write_text("mode = reboot\n")
    tarball.install()
    tarball.uninstall()
    assert conf.read_text() == "mode = reboot\n"


def test_a_configuration_that_was_changed_is_kept(tarball: Tarball) -> None:
    tarball.install()
    conf = tarball.system / "etc/torpor.conf"
    conf.write_text("mode = reboot\n")
    tarball.install()
    assert "etc/torpor.conf was changed: it stays" in tarball.uninstall()
    assert conf.read_text() == "mode = reboot\n"


def test_foreign_files_are_refused_before_anything_is_written(tarball: Tarball) -> None:
    (tarball.system / "usr/bin").mkdir()
    (tarball.system / "usr/bin/torpor").write_text("mine")
    before = tarball.names()
    assert "usr/bin/torpor is there and was not installed by this script" in tarball.refused()
    assert tarball.names() == before


@pytest.mark.parametrize("folder", ["usr/lib64", "lib/x86_64-linux-gnu", "usr/lib", "lib64"])
def test_libraries_are_found_by_their_names(tarball: Tarball, folder: str) -> None:
    shutil.rmtree(tarball.system / "usr/lib64")
    (tarball.system / folder).mkdir(parents=True)
    for name in ("libc.so.6", "ld-linux-x86-64.so.2"):
        (tarball.system / folder / name).write_bytes(ELF64)
    tarball.install()
    assert tarball.needs() == [
        "/usr/lib/torpor/resume/torpor-resume",
        f"/{folder}/libc.so.6",
        f"/{folder}/ld-linux-x86-64.so.2",
    ]


def test_a_library_of_32_bits_will_not_do(tarball: Tarball) -> None:
    (tarball.system / "lib/x86_64-linux-gnu").mkdir(parents=True)
    (tarball.system / "lib/x86_64-linux-gnu/libc.so.6").write_bytes(ELF32)
    tarball.install()
    assert tarball.needs()[1] == "/usr/lib64/libc.so.6"


def test_a_system_without_the_libraries_is_refused(tarball: Tarball) -> None:
    (tarball.system / "usr/lib64/libc.so.6").unlink()
    before = tarball.names()
    assert "libc.so.6 is not on this system" in tarball.refused()
    assert tarball.names() == before


def test_below_another_root_the_rebuild_is_left_to_the_user(tarball: Tarball) -> None:
    assert f"chroot {tarball.system} torpor rebuild" in tarball.install()
    assert f"chroot {tarball.system}, and run what makes it there" in tarball.uninstall()


def test_an_enabled_system_is_disabled_first(tarball: Tarball) -> None:
    tarball.install()
    (tarball.system / "var/lib/torpor").mkdir(parents=True)
    (tarball.system / "var/lib/torpor/location").touch()
    assert "torpor is enabled there" in tarball.refused("--uninstall")
    (tarball.system / "var/lib/torpor/location").rename(
        tarball.system / "var/lib/torpor/hibernation.json"
    )
    tarball.uninstall()
    assert not (tarball.system / "var/lib/torpor").exists()


def test_wrong_words(tarball: Tarball) -> None:
    before = tarball.names()
    for arguments in (["--rot", "x"], ["x"], ["--root", str(tarball.system), "--purge"]):
        done = tarball.run(*arguments)
        assert done.returncode == 2
        assert done.stderr.startswith("usage: install.sh")
    assert tarball.run("--root").returncode == 1
    assert tarball.run("--root", "/no/such/folder").returncode == 1
    assert tarball.run("--help").stdout.startswith("usage: install.sh")
    assert tarball.names() == before


def test_nothing_to_uninstall(tarball: Tarball) -> None:
    assert "nothing is installed" in tarball.refused("--uninstall")
