"""What sealing costs: pack, verify and unpack of a sealed image beside an unsealed one's.

The bars are of a processor with AES instructions. Wall time shows whether all processors still have
something to do, processor time what the cipher takes, even where other load is heavy.
"""

import shutil
import subprocess
from pathlib import Path

from bench.figure import Bar, Figure
from bench.measure import Job, Rounds, command, in_turn, seconds
from bench.native import TORPOR, anew, print_rounds
from bench.stream import real_stream

COMMANDS = ("pack", "verify", "unpack")
ROUNDS = 15
"""More than elsewhere: what is to be seen is small beside what other load does."""
COST_BAR = Bar(1.15, None)
"""Of pack and verify, the time where the unsealed one takes 1."""


def measure(folder: Path) -> tuple[list[Figure], dict[str, object]]:
    """Compare over the real stream; return the figures and all that was measured.

    `folder` is on a tmpfs: no disk takes part.
    """
    stream = folder / "stream"
    shutil.copyfile(real_stream(), stream)
    rounds = in_turn(_jobs(stream, folder), ROUNDS)
    print_rounds("sealed and unsealed", stream.stat().st_size, rounds)
    report: dict[str, object] = {
        name: {"seconds": seconds(runs), "cpu_seconds": [run.cpu_seconds for run in runs]}
        for name, runs in rounds.items()
    }
    return [figure for name in COMMANDS for figure in figures_of(name, rounds)], report


def _jobs(stream: Path, folder: Path) -> dict[str, Job]:
    """Return each command without and with sealing; unpack writes to /dev/null."""
    plain, sealed, identity = (folder / name for name in ("plain", "sealed", "identity"))
    made = [str(TORPOR), "key", "generate", str(identity)]
    recipient = subprocess.run(made, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    opening = ("--identity", identity)
    return {
        "pack": anew(plain, command(TORPOR, "pack", stream, plain)),
        "pack, sealed": anew(
            sealed, command(TORPOR, "pack", "--recipient", recipient, stream, sealed)
        ),
        "verify": command(TORPOR, "verify", plain),
        "verify, sealed": command(TORPOR, "verify", *opening, sealed),
        "unpack": command(TORPOR, "unpack", plain, "-"),
        "unpack, sealed": command(TORPOR, "unpack", *opening, sealed, "-"),
    }


def figures_of(name: str, rounds: Rounds) -> list[Figure]:
    """Return what sealing makes of a command's time, round by round."""
    pairs = list(zip(rounds[f"{name}, sealed"], rounds[name], strict=True))
    wall = [sealed.seconds / plain.seconds for sealed, plain in pairs]
    processor = [sealed.cpu_seconds / plain.cpu_seconds for sealed, plain in pairs]
    bar = COST_BAR if name in ("pack", "verify") else None
    return [
        Figure(f"{name}, sealed / unsealed", wall, bar=bar),
        Figure(f"{name}, sealed / unsealed, CPU", processor, bar=bar),
    ]
