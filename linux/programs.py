"""Starts other programs from a frozen one. Every boot imports this, most do not start any."""

import os

from linux import kmsg

TYPE_CHECKING = False
if TYPE_CHECKING:
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


def call(argv: list[str], *, quiet: bool = False) -> int:
    """Run a program to its end; return its exit status, 127 if it cannot be started.

    What it says is seen unless it is to be `quiet`. `subprocess` would take 16 ms to import.
    """
    silence = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2) if quiet]
    try:
        child = os.posix_spawnp(argv[0], argv, environment(), file_actions=silence)
    except OSError:
        return 127
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(
    argv: "Sequence[str]", timeout: float | None = None, fds: "Sequence[int]" = ()
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, its output captured; it may use the descriptors `fds` as well.

    Raises OSError, and subprocess.TimeoutExpired: then the program was killed, and waited for no
    longer than a second. One that waits for a device in the kernel cannot be killed.
    """
    import subprocess

    child = subprocess.Popen(
        argv,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        pass_fds=fds,
    )
    try:
        output, errors = child.communicate(timeout=timeout)
    except BaseException:
        child.kill()
        _give_up(child)
        raise
    return subprocess.CompletedProcess(argv, child.returncode, output, errors)


def start_ourselves(*words: str) -> None:
    """Start this program anew, with these words, as a process that outlives this one.

    What it says goes to the kernel log. Raises OSError.
    """
    import subprocess

    # Else PyInstaller takes it for a part of this process, and looks for libraries as this one did.
    anew = {"PYINSTALLER_RESET_ENVIRONMENT": "1"}
    log = os.open(kmsg.PATH, os.O_WRONLY | os.O_CLOEXEC)
    try:
        subprocess.Popen(
            [os.readlink("/proc/self/exe"), *words],
            env=environment() | anew,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def _give_up(child: "subprocess.Popen[str]") -> None:
    import subprocess

    for pipe in (child.stdout, child.stderr):
        if pipe:
            pipe.close()
    try:
        child.wait(1)
    except subprocess.TimeoutExpired:
        return
