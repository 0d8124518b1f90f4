"""The system that is changed: files with an undo, and programs."""

import os
import re
import stat
from collections.abc import Sequence
from contextlib import ExitStack

from errors import Attempt, SetupError, command
from linux import programs
from linux.root import Root
from state import files

NOTE = "# Written by torpor enable; torpor disable removes it.\n"
_OURS = "# Written by torpor enable"
_FOLDER = "/var/lib/torpor/"
"""What is in it is ours, damaged or not."""

_ERROR = re.compile(r"\berror\b|^E: |^dracut\[[EF]\]", re.IGNORECASE)
"""A line that says what went wrong, of any generator; mkinitcpio ends in one that does not."""


class System(Root):
    """A system below a folder; with another root than / programs are still those on PATH."""

    def text(self, path: str) -> str | None:
        """Return the contents of a file, None if it is not there. Raises UnreadableError."""
        return files.read_text(self.path(path))

    def write(self, name: str, text: str, undo: ExitStack, mode: int = 0o644) -> bool:
        """Write the file, whose first line says that it is ours; return whether it changed.

        `undo` gets what puts back what was there. Raises SetupError if the file is not ours.
        """
        path = self.path(name)
        before = self.text(name)
        if before == text:
            return False
        if before is not None and not before.startswith(_OURS):
            raise SetupError(
                f"{path} is there, and torpor enable did not write it",
                "move it away if it is not needed",
            )
        if before is None:
            undo.callback(self.remove, name)
        else:
            undo.callback(files.write_bytes, path, os.fsencode(before), _mode_of(path))
        files.write_bytes(path, os.fsencode(text), mode)
        return True

    def remove(self, name: str, undo: ExitStack | None = None) -> bool:
        """Remove the file if it is ours, and its folder if that was made for it.

        Return whether it was there. Raises UnreadableError.
        """
        path = self.path(name)
        before = self.text(name)
        if before is None or not (before.startswith(_OURS) or name.startswith(_FOLDER)):
            return False
        if undo is not None:
            undo.callback(files.write_bytes, path, os.fsencode(before), _mode_of(path))
        files.remove(path)
        folder = os.path.dirname(path)
        if folder.endswith((".service.d", "/torpor")) and not os.listdir(folder):
            os.rmdir(folder)
        return True

    def run(self, argv: Sequence[str]) -> str:
        """Run a program, return what it printed. Raises SetupError if it fails."""
        words = command(*argv)
        try:
            done = programs.run(argv)
        except OSError as error:
            raise SetupError(f"cannot run {words}: {(error.strerror or '').lower()}") from error
        if done.returncode != 0:
            said = _reason((done.stderr.strip() or done.stdout.strip() or "nothing").splitlines())
            raise SetupError(f"{words} failed with status {done.returncode}: {said}")
        return done.stdout


def _mode_of(path: str) -> int:
    """Return who may read and write the file. Raises UnreadableError."""
    with Attempt("look at", path):
        return stat.S_IMODE(os.stat(path).st_mode)


def _reason(lines: Sequence[str]) -> str:
    """Return the first line that tells of an error, else the last."""
    return next((line for line in lines if _ERROR.search(line)), lines[-1])
