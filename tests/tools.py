"""Small things that many tests need: files, other processes, stand-ins that fail."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

import pytest

ROOT = Path(__file__).parents[1]


def put(root: Path, files: Mapping[str, str | bytes]) -> None:
    """Write files, by their names from the root on, with the folders above them."""
    for name, data in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)


def files_of(tree: Path) -> set[str]:
    """Return the names of all that is no folder, from the root on."""
    return {f"/{path.relative_to(tree)}" for path in tree.rglob("*") if not path.is_dir()}


def failing(error: BaseException) -> Callable[..., NoReturn]:
    """Return a function that raises the error, whatever it is called with."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


def failing_after(
    times: int, really: Callable[..., object], error: BaseException
) -> Callable[..., object]:
    """Return a function that does so many times what another one does, and then raises."""
    calls = iter([really] * times)

    def call(*words: object) -> object:
        return next(calls, failing(error))(*words)

    return call


def wait_until(is_so: Callable[[], bool], what: str = "it", seconds: float = 60) -> None:
    """Wait for another process to have done something."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come in {seconds} s"
        time.sleep(0.05)


def confined(*words: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run an interpreter that limits its memory: its threads share what malloc has for them."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=os.environ | {"MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def output(
    *command: str | Path, text: str = "", cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> str:
    """Run a program that takes this text and complains of nothing; return what it prints."""
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=True, cwd=cwd, env=env
    )
    assert done.stderr == ""
    return done.stdout


def python(program: str, *words: str) -> str:
    """Run a program in an interpreter of its own, and return what it prints."""
    return output(sys.executable, "-c", program, *words)


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
    """Start the torpor command as a process of its own."""
    command = [sys.executable, "-m", "torpor", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdin=stdin, stdout=stdout, stderr=stderr)


def finished(process: "subprocess.Popen[bytes]", stdin: bytes | None = None) -> Result:
    out, err = process.communicate(stdin, timeout=60)
    return Result(process.returncode, (out or b"").decode(), (err or b"").decode())


def one_message(text: str) -> bool:
    """Whether the text is a message, with or without a hint, as docs/torpor.8 promises."""
    return bool(re.fullmatch(r"torpor: [^\n]*[^\n.]\n(  [^\n]+\n)?", text))


def unavailable(reason: str) -> NoReturn:
    """Skip a test that this machine cannot run, which continuous integration must not do."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
