"""Starts other programs from a frozen one."""

import os
import subprocess
from collections.abc import Sequence

SYSTEMD_RUNS = "/run/systemd/system"
"""A folder that is there where systemd has booted the system (sd_booted(3))."""


def environment() -> dict[str, str]:
    """Return our environment for a program that is not ours.

    A frozen program has PyInstaller's LD_LIBRARY_PATH, with libraries that others must not load;
    and programs of the system lie where a user's PATH may not look.
    """
    variables = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    if original := os.environ.get("LD_LIBRARY_PATH_ORIG"):
        variables["LD_LIBRARY_PATH"] = original
    variables["PATH"] = f"{variables.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    variables["LC_ALL"] = "C"
    return variables


def run(argv: Sequence[str], timeout: float | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, its output captured. Raises OSError, subprocess.TimeoutExpired."""
    return subprocess.run(
        argv,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
