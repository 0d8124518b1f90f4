"""The torpor command as a process of its own."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tests.tools import ROOT


@dataclass(frozen=True, slots=True)
class Result:
    code: int
    out: str
    err: str


def start(
    *arguments: str | Path,
    stdin: int | None = None,
    stdout: int | BinaryIO | None = None,
    stderr: int | None = subprocess.PIPE,
) -> "subprocess.Popen[bytes]":
    """Start the command as a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "torpor", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=stdin, stdout=stdout, stderr=stderr
    )


def finished(process: "subprocess.Popen[bytes]", stdin: bytes | None = None) -> Result:
    out, err = process.communicate(stdin, timeout=60)
    return Result(process.returncode, (out or b"").decode(), (err or b"").decode())


def one_message(text: str) -> bool:
    """Whether the text is a message, with or without a hint, as docs/torpor.8 promises."""
    return bool(re.fullmatch(r"torpor: [^\n]*[^\n.]\n(  [^\n]+\n)?", text))
