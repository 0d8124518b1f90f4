"""Asks for a new passphrase or PIN on the running system, at the terminal or from a script."""

import os
import sys

from errors import Attempt, UsageError
from linux import terminal
from torpor.output import complain

LONGEST = 512
"""Bytes."""
_TRIES = 3


def new_passphrase(what: str, *, may_be_empty: bool = False) -> bytes:
    """Return a new one, asked for by `what` it is: at the terminal twice, three times at most.

    Where stdin is no terminal, its next line. b"" only where it `may_be_empty`. Raises UsageError
    where there is none that can be used, KeyboardInterrupt for Control-C.
    """
    if not sys.stdin.isatty():
        return _next_line(what, may_be_empty=may_be_empty)
    wrong = ""
    for _ in range(_TRIES):
        typed = _typed(f"New {what}{' (empty for none)' if may_be_empty else ''}")
        wrong = _wrong(typed, may_be_empty)
        if not wrong and typed and _typed(f"The same {what} once more") != typed:
            wrong = "the two are not the same"
        if not wrong:
            return typed
        complain(wrong)
    raise UsageError(f"no new {what} after {_TRIES} tries: {wrong}")


def asked(what: str) -> str:
    """Return what is typed, hidden, or the next line of stdin that is no terminal.

    Raises as new_passphrase.
    """
    if not sys.stdin.isatty():
        return os.fsdecode(_next_line(what, may_be_empty=False))
    return os.fsdecode(_typed(what.capitalize()))


def _typed(prompt: str) -> bytes:
    with Attempt("ask at", terminal.TERMINAL), terminal.ended_in_order():
        line = terminal.read_hidden(terminal.TERMINAL, prompt)
    if line is None:
        raise KeyboardInterrupt
    return line


def _next_line(what: str, *, may_be_empty: bool) -> bytes:
    line = sys.stdin.buffer.readline(LONGEST + 2)
    if not line:
        raise UsageError(
            f"no new {what} on the standard input", "give one line for each, or use a terminal"
        )
    typed = line.removesuffix(b"\n")
    if wrong := _wrong(typed, may_be_empty):
        raise UsageError(f"no new {what} can be taken from the standard input: {wrong}")
    return typed


def _wrong(typed: bytes, may_be_empty: bool) -> str:
    """Return why a boot could not be given this one, "" if it could."""
    if not typed and not may_be_empty:
        return "it is empty"
    if len(typed) > LONGEST:
        return f"it has more than {LONGEST} bytes"
    if not os.fsdecode(typed).isprintable():
        return "it has a character that cannot be typed at every boot"
    return ""
