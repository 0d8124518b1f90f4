"""The linters as tests. One that is missing is skipped, but not in continuous integration."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from package.source import repository_files
from tests.tools import ROOT, unavailable

BIN = Path(sys.executable).parent


def lint(program: str, *arguments: str) -> None:
    path = shutil.which(program, path=f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}")
    if path is None:
        unavailable(f"{program} is missing")
    result = subprocess.run(
        [path, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, f"{result.stdout}{result.stderr}"


@pytest.mark.parametrize("command", ["ruff check --no-fix .", "ruff format --check .", "mypy ."])
def test_python(command: str) -> None:
    lint(*command.split())


def test_shellcheck() -> None:
    scripts = [name for name in repository_files("*") if is_shell(ROOT / name)]
    hooks = {"initramfs/mkinitcpio/hooks/torpor", "package/arch/torpor.install"}
    assert hooks | {".ci/run", "package/install.sh", "package/arch/PKGBUILD"} < {*scripts}
    lint("shellcheck", "--external-sources", *scripts)


def is_shell(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline(80)
    is_said = re.match(rb"#!.*[/ ](ba|da|a)?sh\b|# shellcheck shell=", first)
    return path.suffix == ".sh" or bool(is_said)


def test_hooks_are_glue() -> None:
    """What is decided in a hook is decided four times."""
    hooks = [name for name in repository_files("initramfs/*/*") if is_shell(ROOT / name)]
    sizes = {name: len((ROOT / name).read_text().splitlines()) for name in hooks}
    assert len(sizes) > 7
    assert {name: size for name, size in sizes.items() if size >= 60} == {}


def test_manual_pages() -> None:
    pages = repository_files("docs/*.[1-8]")
    if not pages:
        pytest.skip("no manual page yet")
    lint("mandoc", "-T", "lint", "-W", "warning", *pages)


def test_a_missing_program_fails_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="is missing"):
        lint("no-such-linter")
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception):
        lint("no-such-linter")
