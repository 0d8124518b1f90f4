"""torpor: hibernates a Linux machine and looks after its images."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import NoReturn

from errors import TorporError, of_system
from format.pipeline import prepare_process
from linux.line import one_line
from torpor import VERSION
from torpor.commands import COMMANDS, GROUPS
from torpor.output import complain

_EXAMPLES = """\
examples:
  torpor doctor                      will it work here?
  torpor enable                      from now on, systemctl hibernate uses Torpor
  torpor hibernate                   hibernate at once
  torpor status                      how did it go?
  torpor mkstore /dev/sdb2           prepare an empty device for images
  torpor verify /dev/sda3            check the image on a swap partition
  torpor inspect --json image        what is in an image, for a script
  torpor unpack image - | sha256sum  give the snapshot stream back

torpor(8) has the exit codes."""


class _Parser(argparse.ArgumentParser):
    """The parser of the program and of each command: it shows an argument as any other text."""

    def error(self, message: str) -> NoReturn:
        """See argparse."""
        super().error(one_line(message))


def build_parser(words: Sequence[str] | None = None) -> argparse.ArgumentParser:
    """Return the parser of a command line, by default of any.

    Where it begins with a command, that is the only one there; else those among its words have
    their arguments. To import all would take 0.1 s, to name them 4 ms: argparse looks for
    translations of what each of them begins with.
    """
    width = _width()
    parser = _Parser(
        prog="torpor",
        usage="torpor [-h] [--version] COMMAND ...",
        description=f"Hibernate this machine, and look after its images.\n\n{_list()}",
        epilog=_EXAMPLES,
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, width=width),
    )
    parser.add_argument("--version", action="version", version=f"torpor {VERSION}")
    commands = parser.add_subparsers(
        prog="torpor", metavar="COMMAND", required=True, help=argparse.SUPPRESS
    )
    formatter = partial(argparse.HelpFormatter, width=width)
    for name in words[:1] if words and words[0] in COMMANDS else COMMANDS:
        command = commands.add_parser(name, formatter_class=formatter)
        if words is None or name in words:
            module = import_module(f"torpor.commands.{name}")
            command.description = module.__doc__
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    return parser


def _width() -> int:
    """Return the columns of a help text: to know them, argparse imports shutil at each start."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns) - 2
    try:
        return (os.get_terminal_size().columns or 80) - 2
    except OSError:
        return 78


def _list() -> str:
    """Return the commands in their groups; argparse knows one list of them only."""
    lines = [
        line
        for title, group in GROUPS.items()
        for line in (f"{title}:", *(f"  {name:11} {text}" for name, text in group.items()))
    ]
    return "\n".join(lines)


def _terminated(number: int, _frame: object) -> NoReturn:
    """End by an exception, so that nothing half-written is left."""
    sys.exit(128 + number)


def _have_stdin() -> None:
    """Where standard input is closed, have an empty one: no file that is opened takes its place."""
    if getattr(sys, "stdin", None) is None:
        os.open(os.devnull, os.O_RDONLY)
        sys.stdin = open(0, encoding="utf-8")  # noqa: SIM115 - to the end of the program


def main(words: Sequence[str] | None = None) -> int:
    """Run the program with these words, else with those it was called with; return its exit code.

    Raises SystemExit for a wrong command line.
    """
    _have_stdin()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files and hosts are not always text that the locale can show.
        sys.stdout.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if words is None else words
    arguments = build_parser(words).parse_args(words)
    prepare_process()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        arguments.run(arguments)
    except TorporError as error:
        return _failed(error)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
    except OSError as error:
        return _failed(of_system(error))
    return 0


def _failed(error: TorporError) -> int:
    complain(str(error), error.hint)
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
