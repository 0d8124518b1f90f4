#!/usr/bin/env python3
"""The one entry point: makes ready what is missing, then runs the part that was asked for."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - an older one gets this far
    sys.exit("build.py: this is an older Python; it needs python3.11 or newer")

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
BUILD = ROOT / "build"
WHEELS = ROOT / "wheels"
"""Only in a Debian source package, which is built without a network."""
LOCK = (WHEELS if WHEELS.is_dir() else ROOT) / "requirements.lock"
VENV = BUILD / "venv"
PYTHON = VENV / "bin/python"
# Wheels only: the setup of a source distribution is a program, which nobody has looked at.
PIP_INSTALL = (
    *(PYTHON, "-m", "pip", "install", "-q", "--require-hashes", "--only-binary=:all:"),
    *(("--no-index", f"--find-links={WHEELS}") if WHEELS.is_dir() else ()),
)
SYSTEM_PYTHON = "/usr/bin/python3"
LIBUDEV = "/usr/lib/x86_64-linux-gnu/libudev.so.1"
LIBLZO = "/usr/lib/x86_64-linux-gnu/liblzo2.so.2"

# Each program, or file, and the Debian package it comes from.
_FREEZE = {"objdump": "binutils", "strip": "binutils", LIBUDEV: "libudev1"}
_PACKAGE = {"dh": "debhelper", "dpkg-source": "dpkg-dev", "git": "git", "xz": "xz-utils"}
_MACHINES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mke2fs": "e2fsprogs",
    "mkswap": "util-linux",
    "setpriv": "util-linux",
    "dmsetup": "dmsetup",
    "perl": "perl-base",
}
_BENCH = {
    "curl": "curl",
    "lz4": "lz4",
    "zstd": "zstd",
    "mkfs.vfat": "dosfstools",
    "/usr/lib/klibc/bin/sh": "klibc-utils",
    "mmdebstrap": "mmdebstrap",
    LIBLZO: "liblzo2-2",
}
_TEST = _BENCH | {
    "shellcheck": "shellcheck",
    "mandoc": "mandoc",
    "zsh": "zsh",
    "mkfs.btrfs": "btrfs-progs",
    "mkfs.xfs": "xfsprogs",
    "mkfs.exfat": "exfatprogs",
    "mkfs.ntfs": "ntfs-3g",
    "mkfs.f2fs": "f2fs-tools",
    "mkfs.nilfs2": "nilfs-tools",
    "debugfs": "e2fsprogs",
    "mkinitramfs": "initramfs-tools-core",
    "dracut": "dracut-core",
    "/usr/lib/dracut/modules.d/40network/module-setup.sh": "dracut-network",
    "/usr/share/OVMF/OVMF_CODE_4M.fd": "ovmf",
    "systemd-analyze": "systemd",
    "cpio": "cpio",
    "bzip2": "bzip2",
    "rpmbuild": "rpm",
    "swtpm": "swtpm",
    "tpm2": "tpm2-tools",
    "tgtd": "tgt",
    "qemu-nbd": "qemu-utils",
    "ganesha.nfsd": "nfs-ganesha",
    "/usr/lib/x86_64-linux-gnu/ganesha/libfsalvfs.so": "nfs-ganesha-vfs",
}
PROGRAMS = {
    "frozen": _FREEZE,
    "package": _FREEZE | _PACKAGE,
    "demo": _FREEZE | _MACHINES,
    "demo --store": _FREEZE | _MACHINES | _PACKAGE | {"mmdebstrap": "mmdebstrap"},
    "bench": _FREEZE | _MACHINES | _BENCH,
    "test": _FREEZE | _MACHINES | _PACKAGE | _TEST,
}

BENCHES = {
    "vm": "instead, hibernate virtual machines by the kernel itself and by Torpor (half an hour)",
    "working-set": "instead, measure how soon memory is back after a resume (half an hour)",
    "devices": "instead, save in virtual machines to devices that take their time (ten minutes)",
    "profile": "instead, show where the time of a save and a load goes (five minutes)",
    "codecs": "instead, try LZ4's parameters and other codecs on real streams (half an hour)",
    "server": "instead, save to a server and load from it, beside curl (a quarter of an hour)",
    "scale": "instead, pack streams of up to 64 GiB (a quarter of an hour)",
}

# Says what an interpreter lacks that venv (ensurepip), PyInstaller (the shared libpython) or we
# (lzma, for kernel modules) need: a Debian package where one supplies it. Nothing if it will do.
PROBE = """
import importlib.util as find, os, sys, sysconfig
if sys.version_info < (3, 11): print("version")
if find.find_spec("ensurepip") is None: print("python3-venv")
for module in ("lzma", "zlib"):
    if find.find_spec(module) is None: print(module)
library = sysconfig.get_config_var("INSTSONAME") or ""
folder = sysconfig.get_config_var("LIBDIR") or ""
if ".so" not in library or not os.path.exists(os.path.join(folder, library)):
    print("libpython%d.%d" % sys.version_info[:2])
"""


class BuildError(Exception):
    """A step failed; the message says what to do, or what the step printed."""


def main() -> int:
    """Run one subcommand; return its exit status."""
    arguments, rest = _parser().parse_known_args()
    if rest and arguments.command != "test":
        _parser().error(f"unrecognized arguments: {' '.join(rest)}")
    BUILD.mkdir(exist_ok=True)
    try:
        with _alone():
            is_with_server = arguments.command == "demo" and arguments.store
            _make_ready("demo --store" if is_with_server else arguments.command)
            return _module("package.frozen") or _perform(arguments, rest)
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _perform(arguments: argparse.Namespace, rest: list[str]) -> int:
    """Do what was asked for, now that the programs are frozen."""
    if arguments.command == "demo":
        chosen = {"--kernel": arguments.kernel, "--store": arguments.store}
        return _module("vm.demo", *(word for pair in chosen.items() if pair[1] for word in pair))
    if arguments.command == "bench":
        return _module("bench", *([arguments.what] if arguments.what else []))
    if arguments.command == "package":
        return _module("package")
    if arguments.command == "test":
        return _module("pytest", *(["--long"] if arguments.long else []), *rest)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="The first run installs Debian packages (as root, or it names the command to run) "
        "and fills build/venv; later ones do only what has changed.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("frozen", help="make the frozen programs in build/")
    demo = commands.add_parser("demo", help="hibernate a virtual machine and wake it up again")
    demo.add_argument(
        "--kernel",
        metavar="SERIES|FILE",
        help="a series of Debian's archive such as 6.12 or 7.3, or a vmlinuz (default: the newest "
        "of this system's package lists that Torpor is known to work on)",
    )
    demo.add_argument(
        "--store",
        choices=["s3"],
        help="a server, SeaweedFS, instead of a disk; with Debian 12 (kernel 6.1) or 13 (6.12)",
    )
    test = commands.add_parser("test", help="run the tests; further arguments go to pytest")
    test.add_argument("--long", action="store_true", help="also those that take an hour or two")
    commands.add_parser(
        "package", help="make the Debian package, its source package and the tarball"
    )
    bench = commands.add_parser("bench", help="measure: commands, starts; beside lz4 and zstd")
    kinds = bench.add_mutually_exclusive_group()
    for kind, what in BENCHES.items():
        kinds.add_argument(f"--{kind}", action="store_const", dest="what", const=kind, help=what)
    return parser


def _module(name: str, *arguments: str) -> int:
    """Run a module with the environment's interpreter in the repository; return its status."""
    return subprocess.run([PYTHON, "-m", name, *arguments], cwd=ROOT, check=False).returncode


def _make_ready(command: str) -> None:
    # mke2fs and mkswap lie where a user's PATH does not look.
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    python, missing = _choose_python()
    missing |= _missing_packages(command)
    if missing:
        _install(sorted(missing))
    _make_environment(python)


def _choose_python() -> tuple[str, set[str]]:
    """Return the first interpreter that will do, else Debian's with the packages it lacks."""
    names = [sys.executable, SYSTEM_PYTHON, *(f"python3.{minor}" for minor in range(15, 10, -1))]
    for name in names:
        path = shutil.which(name)
        if path is not None and not _lacks(path):
            return path, set()
    if not Path(SYSTEM_PYTHON).exists():
        raise BuildError(f"PyInstaller cannot use {sys.executable}, which has no shared libpython")
    lacks = _lacks(SYSTEM_PYTHON)
    if not all(lack.startswith(("python3-venv", "libpython")) for lack in lacks):
        raise BuildError(f"no usable Python 3.11 or newer: {SYSTEM_PYTHON} lacks {sorted(lacks)}")
    return SYSTEM_PYTHON, lacks


def _lacks(python: str) -> set[str]:
    probe = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, check=False)
    return set(probe.stdout.split())


def _missing_packages(command: str) -> set[str]:
    programs = PROGRAMS[command]
    missing = {package for program, package in programs.items() if not _is_there(program)}
    busybox = Path("/bin/busybox")
    is_static = busybox.exists() and b"ld-linux" not in busybox.read_bytes()[:4096]
    if not is_static and _MACHINES.keys() <= programs.keys():  # a dynamic one is no use alone
        missing.add("busybox-static")
    return missing


def _is_there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def _install(packages: list[str]) -> None:
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if os.geteuid() != 0:
        command = " ".join(install)
        raise BuildError(f"missing packages; as root, run\n    apt-get update && {command}")
    with _step(f"install {' '.join(packages)}"):
        _run("apt-get", "update", "-q")
        _run(*install, DEBIAN_FRONTEND="noninteractive")


def _make_environment(python: str) -> None:
    """Fill build/venv with what requirements.lock names, unless it holds exactly that.

    The stamp, written last, tells a whole environment from an interrupted one.
    """
    stamp = VENV / "torpor.key"
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == _environment_key(lock):
        return
    with _step("fill build/venv from requirements.lock"):
        shutil.rmtree(VENV, ignore_errors=True)
        _run(python, "-m", "venv", VENV)
        _run(*PIP_INSTALL, "-r", LOCK)
        stamp.write_text(_environment_key(lock))


def _environment_key(lock: str) -> str:
    """Return what the environment depends on: the lock and its own interpreter, which may go."""
    try:
        version = subprocess.run([PYTHON, "-VV"], capture_output=True, text=True, check=False)
    except OSError:
        return f"{lock} no interpreter"
    return f"{lock} {version.stdout}"


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other build.py works in this folder; the lock ends with the process."""
    with (BUILD / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with _step("wait for another build.py"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _step(what: str) -> Iterator[None]:
    """Tell what is done, on one line, and how long it took."""
    began = time.monotonic()
    print(f"{what} … ", end="", flush=True)
    try:
        yield
    except BuildError:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def _run(*command: str | Path, **environment: str) -> None:
    """Run a command; raises BuildError with what it printed if it fails."""
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise BuildError(f"{words}: exit status {done.returncode}\n{done.stdout.rstrip()}")


if __name__ == "__main__":
    sys.exit(main())
