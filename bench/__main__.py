"""`python3 build.py bench`: measures, prints tables, keeps all of it in build/bench*.json."""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import (
    codecs,
    devices,
    hibernation,
    image_start,
    native,
    profile,
    record,
    scale,
    sealed,
    server,
    start,
    working_set,
)
from bench.figure import Figure, print_table
from vm.host import BUILD, ROOT


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    kinds = ("vm", "devices", "scale", "working-set", "profile", "codecs", "server")
    parser.add_argument("what", nargs="?", choices=kinds)
    what = parser.parse_args().what
    logs = BUILD / "bench"
    logs.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        match what:
            case "vm":
                _keep("bench-vm", *hibernation.measure(logs))
            case "devices":
                _keep("bench-devices", *devices.measure(logs))
            case "working-set":
                _keep("bench-working-set", *working_set.measure(logs))
            case "profile":
                _keep("bench-profile", *profile.measure(Path(name), logs))
            case "codecs":
                _keep("bench-codecs", *codecs.measure())
            case "server":
                _keep("bench-server", *server.measure(Path(name)))
            case "scale":
                _keep("bench-scale", *scale.measure(Path(name), scale.LONG))
            case _:
                _keep("bench", *_native(Path(name)))
    return 0


def _native(folder: Path) -> tuple[list[Figure], Mapping[str, object]]:
    figures: list[Figure] = []
    report = {}
    for part, measure in (
        ("start", start.measure),
        ("image start", image_start.measure),
        ("commands", native.measure),
        ("sealed", sealed.measure),
        ("scale", scale.measure),
        ("record", record.measure),
    ):
        found, report[part] = measure(folder)
        figures += found
    return figures, report


def _keep(name: str, figures: Sequence[Figure], report: Mapping[str, object]) -> None:
    """Print the figures with their bars, and write them and all that was measured to a file."""
    headings = ["figure", "bar", "aim", "median", "spread", "met"]
    rows = [figure.row() for figure in figures]
    print_table("medians, and the spread of all runs", headings, rows)
    facts = {figure.name: figure.facts() for figure in figures}
    path = BUILD / f"{name}.json"
    path.write_text(json.dumps({**_about(), "figures": facts, "runs": report}, indent=2) + "\n")
    print(f"\n{path.relative_to(ROOT)} has every run")


def _about() -> dict[str, object]:
    """Return what was measured, and on what."""
    git = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "commit": commit.strip(),
        "kernel": platform.release(),
        "processor": model[0] if model else platform.machine(),
        "processors": os.cpu_count(),
    }


if __name__ == "__main__":
    sys.exit(main())
