"""Makes the completions for bash and zsh from the command's own parser."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from torpor.__main__ import build_parser
from torpor.commands import COMMANDS

_TEMPLATES = Path(__file__).resolve().parent / "completions"
_FILES = {"IMAGE", "FILE", "STREAM", "STORE", "DEVICE"}
"""Names of arguments that are paths."""


class Word(NamedTuple):
    """A command, an option, or an argument that has its place."""

    command: str
    """The command it belongs to; "" for commands and the options before them."""
    word: str
    """"" for an argument that has its place."""
    value: str
    """What the help calls the value; "" if it takes none."""
    choices: tuple[str, ...]
    help: str

    @property
    def takes_file(self) -> bool:
        """Whether the value may be a path."""
        return not _FILES.isdisjoint(self.value.split("|"))


def words() -> list[Word]:
    """Return all that the command line knows, in the parser's order."""
    parser = build_parser()
    found = list(_words_of("", parser))
    for name, command in parsers_of(parser).items():
        found.append(Word("", name, "", (), COMMANDS[name]))
        found += _words_of(name, command)
    return found


def parsers_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    actions = parser._actions  # noqa: SLF001 - argparse has no other way to ask
    (commands,) = (one for one in actions if isinstance(one, argparse._SubParsersAction))  # noqa: SLF001
    return dict(commands.choices)


def _words_of(command: str, parser: argparse.ArgumentParser) -> Iterator[Word]:
    for action in parser._actions:  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            continue
        value = "" if action.nargs == 0 else str(action.metavar or action.dest).upper()
        named = [word for word in str(action.metavar or "").split("|") if word.islower()]
        choices = tuple(map(str, action.choices or named))
        for word in action.option_strings or [""]:
            yield Word(command, word, value, choices, action.help or "")


def bash_completion() -> str:
    """Return what goes to /usr/share/bash-completion/completions/torpor."""
    return _filled("torpor.bash", [_bash_row(word) for word in words()])


def _bash_row(word: Word) -> str:
    values = "files" if word.takes_file else " ".join(word.choices) or word.value
    return f"{word.command}|{word.word}|{values}"


def zsh_completion() -> str:
    """Return what goes to _torpor in a folder of zsh's $fpath."""
    return _filled("torpor.zsh", [_zsh_row(word) for word in words()])


def _zsh_row(word: Word) -> str:
    if not word.command and not word.word.startswith("-"):
        return f"|{word.word}:{word.help}"
    does = "_files" if word.takes_file else f"({' '.join(word.choices)})" if word.choices else " "
    value = f":{word.value}:{does}" if word.value else ""
    text = word.help.replace("[", r"\[").replace("]", r"\]").replace(":", r"\:")
    return f"{word.command}|{word.word}{f'[{text}]' if word.word else ''}{value}"


def _filled(template: str, rows: list[str]) -> str:
    text = (_TEMPLATES / template).read_text()
    return text.replace("@TABLE@\n", "".join(f"{row}\n" for row in rows))
