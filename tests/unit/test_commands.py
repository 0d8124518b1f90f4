"""The command line: what it knows, says of itself, completes and imports; and the manual."""

import argparse
import re
import shutil
import tomllib
from pathlib import Path

import pytest

from package.completion import bash_completion, parsers_of, zsh_completion
from tests.tools import ROOT, output, python, unavailable
from tests.unit.conftest import Torpor
from torpor.__main__ import build_parser
from torpor.commands import COMMANDS

PARSERS = parsers_of(build_parser())
MANUAL = (ROOT / "docs/torpor.8").read_text()


def test_version_is_the_projects(torpor: Torpor) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    result = torpor("--version")
    assert (result.code, result.out) == (0, f"torpor {project['version']}\n")


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help(torpor: Torpor, command: list[str]) -> None:
    result = torpor(*command, "--help")
    assert result.code == 0
    assert result.out.startswith(f"usage: {' '.join(['torpor', *command])} [-h]")
    assert result.err == ""


def test_each_file_is_a_command() -> None:
    files = {path.stem for path in (ROOT / "torpor/commands").glob("[!_]*.py")}
    assert files == COMMANDS.keys()


def test_help_begins_with_what_a_user_does_first(torpor: Torpor) -> None:
    listed = re.findall(r"^  ([a-z]+) +[a-z]", torpor("--help").out, re.MULTILINE)
    assert listed[: len(COMMANDS)] == [*COMMANDS]
    assert [*COMMANDS][:4] == ["doctor", "enable", "hibernate", "status"]


def test_examples_are_commands(torpor: Torpor) -> None:
    text = torpor("--help").out.partition("examples:\n")[2]
    readme = (ROOT / "README.md").read_text()
    examples = re.findall(
        r"^ +torpor (\w[^#|:\n]*?)(?: *[#|].*|  .*)?$", text + readme, re.MULTILINE
    )
    assert len(examples) > 15
    for example in examples:
        build_parser().parse_args(example.split())
    order = [example.split()[0] for example in re.findall(r"^  torpor (.*)$", text, re.MULTILINE)]
    assert order == [name for name in COMMANDS if name in order]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["no-such-command"],
        ["verify"],
        ["verify", "a", "b"],
        ["verify", "--no-such-option", "a"],
        ["pack", "only-one"],
        ["discard"],
        ["discard", "a", "--stale", "b"],
        ["mkstore", "--size", "1X", "file"],
        ["hibernate", "--image-size", "many"],
        ["hibernate", "--image-size", ""],
        ["hibernate", "--image-size", "-1"],
        ["hibernate", "--image-size", "9999999999G"],
        ["hibernate", "--mode", "sideways"],
        ["workingset", "record"],
        ["workingset", "replay", "x", "--no-paths"],
        ["workingset", "rewind", "x"],
        ["key", "generate"],
        ["key", "generate", "a", "b"],
        ["key", "list", "tpm2"],
        ["key", "add"],
        ["key", "add", "tpm"],
        ["key", "add", "keyfile="],
        ["key", "add", "off"],
        ["key", "remove"],
        ["key", "rotate", "--json"],
        ["enable", "--seal", "tpm"],
        ["enable", "--seal", "off", "--seal", "tpm2"],
    ],
)
def test_usage_errors(torpor: Torpor, words: list[str]) -> None:
    result = torpor(*words)
    assert result.code == 2
    assert result.err.startswith("usage: torpor")
    assert result.out == ""


@pytest.mark.parametrize("command", ["", "status", "announce", "discard", "verify", "pack"])
def test_a_command_imports_what_it_needs(command: str) -> None:
    """All of them would take 0.1 s of the half second that a verification takes."""
    script = "import sys\nfrom torpor.__main__ import build_parser\nbuild_parser(sys.argv[1:])"
    script += "\nprint(*sys.modules)"
    imported = set(python(script, command).split())
    assert "torpor.commands" in imported
    enable = {"announce": set()}.get(command, {"torpor.enable"})
    assert not imported & ({"hibernate", "workingset", "torpor.doctor", "rich"} | enable)


FORMS = {
    "mkstore": ["[--force] DEVICE", "--size SIZE FILE"],
    "discard": ["[--force] STORE", "--stale [STORE]"],
    "key": [
        "list [--json]",
        "add KIND ...",
        "remove NAME ...",
        "rotate [NAME ...]",
        "generate FILE",
    ],
    "workingset": ["record [--no-paths] FILE", "replay [FILE]"],
}
"""What the manual has for commands that are used in several ways."""


def synopsis() -> dict[str, list[str]]:
    """Return what the manual's SYNOPSIS shows of each command, in its order."""
    section = MANUAL.partition(".Sh SYNOPSIS\n")[2].partition(".Sh")[0]
    found: dict[str, list[str]] = {}
    for form in section.split(".Nm torpor Cm ")[1:]:
        command, _, rest = shown(form.partition("\n.Nm")[0]).partition(" ")
        found.setdefault(command, []).append(rest)
    return found


def shown(text: str) -> str:
    """Return what mdoc(7) makes of this: a line is an Op from there on, Oo ends at Oc."""
    lines = re.sub(r"\.?\bOp (.*)$", r"[\1]", text, flags=re.MULTILINE).replace("Oo ", "[")
    plain = re.sub(r"\bFl Fl ", "--", lines.replace(" Oc", "]"))
    words = [word for word in plain.split() if not re.fullmatch(r"\.?[A-Z][a-z]", word)]
    return re.sub(r"(?<=\[)[A-Z][a-z] ", "", " ".join(words)).replace(" | ", "|")


def usage(name: str) -> str:
    """Return what argparse shows of a command, as the manual has it."""
    text = " ".join(PARSERS[name].format_usage().split()[4:])
    return re.sub(r"{(.*?)}", lambda found: found[1].replace(",", "|"), text)


def test_manual_has_the_commands_in_the_order_of_the_help() -> None:
    assert [*synopsis()] == [*COMMANDS]
    described = re.findall(r"^\.It Cm ([a-z]+)", MANUAL.partition(".Sh DESC")[2], re.MULTILINE)
    assert [*dict.fromkeys(described)] == [*COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_synopsis_has_what_the_parser_takes(name: str) -> None:
    forms = FORMS.get(name, [usage(name)])
    assert synopsis()[name] == forms
    words = {*re.findall(r"[\w-]+", " ".join(forms))}
    assert words == {*re.findall(r"[\w-]+", usage(name))}


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


def options_of(command: argparse.ArgumentParser) -> set[str]:
    return {option for action in command._actions for option in action.option_strings}


@pytest.fixture
def bash(tmp_path: Path) -> Path:
    path = tmp_path / "torpor"
    path.write_text(bash_completion())
    (tmp_path / "a file").touch()
    return path


def ask(bash: Path, *words: str) -> list[str]:
    said = output("bash", "-c", _ASK_BASH, "bash", bash, "torpor", *words, cwd=bash.parent)
    return [line for line in said.splitlines() if line]


def test_bash_offers_the_commands(bash: Path) -> None:
    assert {word for word in ask(bash, "") if not word.startswith("-")} == PARSERS.keys()
    assert ask(bash, "hib") == ["hibernate"]
    assert set(ask(bash, "-")) == options_of(build_parser())


@pytest.mark.parametrize("name", PARSERS)
def test_bash_offers_the_options(bash: Path, name: str) -> None:
    assert set(ask(bash, name, "-")) == options_of(PARSERS[name])


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
        unavailable("zsh is missing")
    path = tmp_path / "_torpor"
    path.write_text(zsh_completion())
    return output("zsh", "-fc", _ASK_ZSH, "zsh", path, "torpor", *words).splitlines()


def test_zsh_offers_the_commands(tmp_path: Path) -> None:
    said = ask_zsh(tmp_path, "")
    names = said[: said.index("words torpor ")]
    assert [name.partition(":")[0] for name in names] == list(PARSERS)
    assert all(name.partition(":")[2] for name in names)
    specs = said[len(names) + 1 :]
    assert {spec.partition("[")[0] for spec in specs} == options_of(build_parser())


@pytest.mark.parametrize("name", PARSERS)
def test_zsh_offers_the_options(tmp_path: Path, name: str) -> None:
    words, *specs = ask_zsh(tmp_path, name, "")
    assert words == f"words {name} "
    options = {spec.partition("[")[0] for spec in specs if spec.startswith("-")}
    assert options == options_of(PARSERS[name])
    places = [action for action in PARSERS[name]._actions if not action.option_strings]
    assert len(specs) - len(options) == len(places)


def test_zsh_offers_values(tmp_path: Path) -> None:
    specs = ask_zsh(tmp_path, "hibernate", "")
    assert any(
        spec.startswith("--mode[") and spec.endswith("(platform shutdown reboot)") for spec in specs
    )
    assert any(spec.startswith("--store[") and spec.endswith(":_files") for spec in specs)
    assert ":IMAGE:_files" in ask_zsh(tmp_path, "verify", "")
