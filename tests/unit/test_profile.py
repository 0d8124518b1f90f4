"""What bench.probes measures, and bench.profile makes of it; whatever time it takes."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest

from bench import probes
from bench.profile import ROLES, Profile, probed, profiles_in
from format.pipeline import CHUNK_SIZE
from package.frozen import __main__ as freezer
from package.frozen.programs import PROGRAMS, Program
from tests.initramfs.installed import BUILD
from tests.tools import ROOT, unavailable
from tests.vectors import images

TEXT = b"the same again and again, "
STREAM = images.noise(CHUNK_SIZE) + bytes(CHUNK_SIZE) + (TEXT * (1 << 17))[:CHUNK_SIZE]
"""A chunk that LZ4 makes no smaller, one of zeros, and one that it does."""


class Clock:
    """Stands for the module `time`: each look at it takes a second."""

    def __init__(self) -> None:
        looks = count()
        self.perf_counter = self.thread_time = self.process_time = lambda: float(next(looks))


@pytest.mark.parametrize("name", [*probes.ROOTS, *probes.PHASES])
def test_what_is_replaced_exists(name: str) -> None:
    holder, last = probes.find(name)
    assert callable(getattr(holder, last))


def test_a_phase_has_only_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "time", Clock())
    told: list[str] = []
    measuring = probes.Probes(told.append)
    inner = measuring.phase("inner", lambda: None)
    outer = measuring.phase("outer", lambda: [inner(), inner()])
    outer()
    assert told == []  # no root is under way
    measuring.root("save", outer)()
    (run,) = map(Profile.parse, told)
    times = {name: (total.calls, total.seconds) for name, total in run.phases.items()}
    # A phase looks four times, the second and the third look are around what it measures.
    assert times == {"outer": (1, 9 - 2), probes.PYTHON: (1, 13 - 9), "inner": (2, 2)}
    assert (run.root, run.seconds) == ("save", 18)
    assert run.probe == pytest.approx([1, 3], abs=0.01)


def test_a_result_stands_for_many_calls() -> None:
    told: list[str] = []
    measuring = probes.Probes(told.append)
    take = measuring.phase("ALLOC_SWAP_PAGE", lambda pages: [0] * pages)
    measuring.root("save", lambda: take(512) + take(100))()
    (run,) = map(Profile.parse, told)
    total = run.total("ALLOC_SWAP_PAGE")
    assert (total.measured, total.calls) == (2, 612)


def test_an_error_is_measured_and_goes_on() -> None:
    told: list[str] = []

    def fail() -> None:
        raise OSError("no")

    measuring = probes.Probes(told.append)
    with pytest.raises(OSError, match="no"):
        measuring.root("load", measuring.phase("inner", fail))()
    (run,) = map(Profile.parse, told)
    assert run.total("inner").calls == 1


def test_time_is_shared_out_to_threads() -> None:
    """Measured, calls, seconds, processor; what a thread has no phase for, it has waited."""
    caller = {"Python, all else": [1, 1, 3.0, 2.0], "waiting": [2, 2, 5.0, 0.1]}
    coder = {probes.CODING: [4, 4, 6.0, 5.0], probes.CHUNK: [4, 4, 1.0, 0.5]}
    writer = {"pwritev: image": [1, 1, 2.0, 1.0]}
    run = Profile.parse(
        json.dumps(
            {
                "root": "save",
                "seconds": 10.0,
                "processor": 9.0,
                "processors": 2,
                "probe": [0.01, 0.02],
                "threads": [
                    {"calls": True, "seconds": 9.9, "phases": caller},
                    {"calls": False, "seconds": 8.0, "phases": coder},
                    {"calls": False, "seconds": 4.0, "phases": writer},
                ],
            }
        )
    )
    assert [thread.role for thread in run.threads] == [*ROLES]
    assert [run.lived(role) for role in ROLES] == [10, 8, 4]
    assert [run.total("waiting", role).seconds for role in ROLES] == [5, 1, 2]
    assert run.total("waiting").calls == 2
    assert (run.chunks, run.busy) == (4, 0.45)
    # 9 - 5 - 1, less 12 times 0.01 around phases and 7 times 0.02 in those of Python.
    assert run.python == pytest.approx(3 - 0.12 - 0.14)
    assert next(iter(run.phases)) == "waiting"


def test_commands_tell_where_their_time_goes(tmp_path: Path) -> None:
    stream, image = tmp_path / "stream", tmp_path / "image"
    stream.write_bytes(STREAM)
    pack, verify = (
        run
        for words in (["pack", stream, image], ["verify", image])
        for run in profile([sys.executable, "-m", "bench.probes", *map(str, words)])
    )
    assert (pack.root, verify.root) == ("pack", "verify")
    assert pack.chunks == verify.chunks == 3
    calls = {name: pack.total(name).calls for name in ("LZ4", "fill check", "CRC")}
    assert calls == {"LZ4": 2, "fill check": 3, "CRC": 6}
    assert {"readv: stream", "write: image file"} <= pack.phases.keys()
    assert (verify.total("LZ4").calls, verify.total("filling").calls) == (1, 1)
    assert "preadv: image" in verify.phases
    for run in (pack, verify):
        (caller,) = (thread for thread in run.threads if thread.role == ROLES[0])
        whole = sum(total.seconds for total in caller.phases.values())
        assert 0 < whole <= run.seconds


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_a_frozen_program_takes_the_probes(program: Program, tmp_path: Path) -> None:
    frozen = BUILD / program.name
    if not freezer.needs_of(frozen).exists():
        unavailable("the programs are not frozen: python3 build.py frozen")
    shutil.copytree(frozen, tmp_path / "it", symlinks=True)
    package = "torpor" if program.name == "torpor" else "resume"
    for path, data in probed(str(tmp_path / "it"), package, "/dev/stdout").items():
        Path(path).parent.mkdir(exist_ok=True)
        Path(path).write_bytes(data)
    stream = tmp_path / "stream"
    stream.write_bytes(STREAM)
    command: list[str | Path] = [tmp_path / "it" / program.name]
    if package == "torpor":
        (run,) = profile([*command, "pack", stream, tmp_path / "image"])
        assert run.chunks == 3
    else:
        assert b"usage" in subprocess.check_output([*command, "--help"])


def profile(command: Sequence[str | Path]) -> list[Profile]:
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return list(profiles_in(done.stdout.splitlines()))
