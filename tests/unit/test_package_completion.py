"""The completions offer what the parser knows: asked in bash and in zsh."""

import argparse
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from package.completion import bash_completion, parsers_of, zsh_completion
from torpor.__main__ import build_parser

_ASK_BASH = """
source "$1"; shift
compopt() { :; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_torpor
printf '%s\\n' "${COMPREPLY[@]}"
"""
_ASK_ZSH = """
_describe() { print -rl -- "${(@P)4}" }
_arguments() { print -rl -- "words ${words[*]}" "$@" }
source =(print -r -- "${$(<$1)%_torpor \\"\\$@\\"}"); shift
words=("$@"); CURRENT=$#
_torpor
"""


COMMANDS = parsers_of(build_parser())


def options_of(command: argparse.ArgumentParser) -> set[str]:
    return {option for action in command._actions for option in action.option_strings}


@pytest.fixture
def bash(tmp_path: Path) -> Path:
    path = tmp_path / "torpor"
    path.write_text(bash_completion())
    (tmp_path / "a file").touch()
    return path


def ask(bash: Path, *words: str) -> list[str]:
    command = ["bash", "-c", _ASK_BASH, "bash", str(bash), "torpor", *words]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=bash.parent)
    assert not said.stderr
    return [line for line in said.stdout.splitlines() if line]


def test_commands_are_there() -> None:
    assert {"hibernate", "enable", "disable", "verify"} <= COMMANDS.keys()


def test_bash_offers_the_commands(bash: Path) -> None:
    assert {word for word in ask(bash, "") if not word.startswith("-")} == COMMANDS.keys()
    assert ask(bash, "hib") == ["hibernate"]
    assert set(ask(bash, "-")) == options_of(build_parser())


@pytest.mark.parametrize("name", COMMANDS)
def test_bash_offers_the_options(bash: Path, name: str) -> None:
    assert set(ask(bash, name, "-")) == options_of(COMMANDS[name])


def test_bash_offers_values(bash: Path) -> None:
    assert ask(bash, "hibernate", "--mode", "") == ["platform", "shutdown", "reboot"]
    assert ask(bash, "hibernate", "--image-size", "") == ["min", "max"]
    assert ask(bash, "mkstore", "--size", "") == []
    assert "a file" in ask(bash, "hibernate", "--store", "")
    assert ask(bash, "verify", "a f") == ["a file"]
    assert ask(bash, "verify", "--json", "a f") == ["a file"]
    assert ask(bash, "disable", "a f") == []


def ask_zsh(tmp_path: Path, *words: str) -> list[str]:
    if shutil.which("zsh") is None:
        if os.environ.get("CI"):
            pytest.fail("zsh is missing")
        pytest.skip("zsh is missing")
    path = tmp_path / "_torpor"
    path.write_text(zsh_completion())
    command = ["zsh", "-fc", _ASK_ZSH, "zsh", str(path), "torpor", *words]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not said.stderr
    return said.stdout.splitlines()


def test_zsh_offers_the_commands(tmp_path: Path) -> None:
    said = ask_zsh(tmp_path, "")
    names = said[: said.index("words torpor ")]
    assert [name.partition(":")[0] for name in names] == list(COMMANDS)
    assert all(name.partition(":")[2] for name in names)
    specs = said[len(names) + 1 :]
    assert {spec.partition("[")[0] for spec in specs} == options_of(build_parser())


@pytest.mark.parametrize("name", COMMANDS)
def test_zsh_offers_the_options(tmp_path: Path, name: str) -> None:
    words, *specs = ask_zsh(tmp_path, name, "")
    assert words == f"words {name} "
    options = {spec.partition("[")[0] for spec in specs if spec.startswith("-")}
    assert options == options_of(COMMANDS[name])
    places = [action for action in COMMANDS[name]._actions if not action.option_strings]
    assert len(specs) - len(options) == len(places)


def test_zsh_offers_values(tmp_path: Path) -> None:
    specs = ask_zsh(tmp_path, "hibernate", "")
    assert any(
        spec.startswith("--mode[") and spec.endswith("(platform shutdown reboot)") for spec in specs
    )
    assert any(spec.startswith("--store[") and spec.endswith(":_files") for spec in specs)
    assert ":IMAGE:_files" in ask_zsh(tmp_path, "verify", "")
