"""The frozen resumer and its hooks where the root is in memory, in the shells of an initramfs."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from bench import image_start, start
from tests.initramfs.installed import BUILD, HERE
from tests.tools import ROOT, unavailable
from vm.host import SEARCH_PATH, HostError
from vm.memory_root import command, initramfs_tree, lay_out
from vm.tree import Tree

SHELLS = ("dash", "bash", "busybox")
HOOKS = "/usr/share/initramfs-tools"
WAITED = "torpor-resume: waiting up to 1 s for /dev/late\n"
MISSED = "torpor-resume: not resuming: /dev/late did not appear within 1 s\n"


def initramfs(shell: str) -> Tree:
    if os.geteuid() != 0 or not (BUILD / "torpor-resume.needs").exists():
        unavailable("the resumer is not frozen, or this is not root")
    try:
        return initramfs_tree(BUILD / "torpor-resume", shell)
    except HostError as error:
        unavailable(str(error))


def run(folder: Path, tree: Tree, cmdline: str, script: str, **variables: str) -> tuple[str, float]:
    """Run a script in it; return what it said and the seconds that it took."""
    lay_out(tree, folder / "tree")
    words = [f"{name}={value}" for name, value in variables.items()]
    began = time.monotonic()
    done = subprocess.run(
        command(folder / "tree", cmdline, "env", *words, "sh", "-c", script),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout, time.monotonic() - began


@pytest.fixture(params=SHELLS)
def dracut(request: pytest.FixtureRequest) -> Tree:
    tree = initramfs(request.param)
    hooks = ROOT / "initramfs/dracut"
    for place in ("/finished/000-torpor-wait.sh", "/settled/00-torpor-wait.sh"):
        tree.file(place, hooks / "torpor-wait.sh")
    tree.file("/pre-mount.sh", hooks / "torpor-resume.sh")
    tree.file("/init", HERE / "initqueue.sh", executable=True)
    return tree


@pytest.mark.parametrize(
    ("cmdline", "said"),
    [
        ("quiet", "cancelled\ntorpor-resume: not resuming: no image: no device carries a mark\n"),
        ("resume=/dev/late torpor.timeout=1", f"{WAITED}cancelled\n{MISSED}"),
        ("resume=/dev/late torpor.timeout=0", f"cancelled\n{MISSED.replace('1 s', '0 s')}"),
    ],
)
def test_dracut_waits_beside_its_loop(
    dracut: Tree, cmdline: str, said: str, tmp_path: Path
) -> None:
    """Once, and nobody waits again; the turns to the emergency shell do not count meanwhile."""
    found, seconds = run(tmp_path, dracut, cmdline, "/init")
    assert found.replace("torpor-resume: waiting up to 0 s for /dev/late\n", "") == said
    assert seconds < 10


def test_dracut_goes_on_as_soon_as_the_device_is_there(dracut: Tree, tmp_path: Path) -> None:
    later = "sleep 1; mknod /dev/late b 240 9"
    found, seconds = run(tmp_path, dracut, "resume=/dev/late resumewait", "/init", LATER=later)
    assert found.startswith("torpor-resume: waiting up to 300 s for /dev/late\ncancelled\n")
    assert "cannot read /dev/late" in found
    assert seconds < 20


@pytest.mark.parametrize("crash", ["at once", "later"])
def test_dracut_goes_on_if_the_resumer_crashes(dracut: Tree, crash: str, tmp_path: Path) -> None:
    later = "sleep 1; kill -9 $(cat /run/torpor/waiter)"
    if crash == "at once":
        dracut.file("/usr/lib/torpor/resume/torpor-resume", b"#!/bin/sh\nexit 1\n", executable=True)
        later = ""
    dracut.file("/pre-mount.sh", b"echo mounted\n")
    found, seconds = run(tmp_path, dracut, "resume=/dev/late resumewait", "/init", LATER=later)
    assert found.endswith("cancelled\nmounted\n")
    assert seconds < 20


@pytest.mark.parametrize("shell", ["busybox", "klibc"])
@pytest.mark.parametrize("cmdline", ["resume=/dev/late torpor.timeout=2", "quiet"])
def test_initramfs_tools_opens_more_while_the_resumer_waits(
    shell: str, cmdline: str, tmp_path: Path
) -> None:
    """The real functions of initramfs-tools run local-block, in the boot's own environment."""
    scripts = Path(HOOKS, "scripts/functions")
    if not scripts.exists():
        unavailable("initramfs-tools-core is missing")
    tree = initramfs(shell)
    tree.file("/scripts/functions", scripts)
    premount = ROOT / "initramfs/initramfs-tools/scripts/local-premount/0torpor"
    tree.file("/scripts/local-premount/0torpor", premount, executable=True)
    tree.file("/scripts/local-block/ORDER", b'echo "block $* ${LD_LIBRARY_PATH-plain} $ROOT"\n')
    tree.folder("/conf")
    script = "/scripts/local-premount/0torpor 2>&1; cat /conf/param.conf; cat /run/torpor/resume"
    found, seconds = run(tmp_path, tree, cmdline, script, ROOT="/dev/sda1")
    is_missed = "late" in cmdline
    assert found.count("block /dev/late plain /dev/sda1\n") == 2 * is_missed
    assert ("resume=\n" in found) == is_missed
    assert f"exit_code={7 if is_missed else 3}\n" in found
    assert seconds < 20


@pytest.mark.parametrize("named", start.NAMED)
def test_a_boot_of_the_bench_finds_its_swap_at_once(named: str, tmp_path: Path) -> None:
    """Without an image, whatever names it: else `bench` would measure how long a boot waits."""
    initramfs("dash")
    if not Path("/dev/loop-control").exists():
        unavailable("loop devices are missing")
    resumer = "/usr/lib/torpor/resume/torpor-resume; cat /run/torpor/resume"
    with start.roots(tmp_path) as places:
        words = command(places[named], start.NAMED[named][0], "sh", "-c", resumer)
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert "waiting" not in done.stderr
    looked_at = "no device carries a mark" if named == "nothing" else f"/dev/{start.SWAP} is swap"
    assert f"no image: {looked_at}" in done.stdout


def test_the_bench_has_an_image_that_would_be_restored(tmp_path: Path) -> None:
    initramfs("dash")
    if not (Path("/dev/loop-control").exists() and shutil.which("mkfs.vfat", path=SEARCH_PATH)):
        unavailable("loop devices or mkfs.vfat are missing")
    with image_start.marked_root(tmp_path) as words:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert "would resume: the image of" in done.stderr


def test_a_machine_that_runs_is_left_alone() -> None:
    done = subprocess.run(
        [BUILD / "torpor-resume/torpor-resume", "--wait"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "this is no initramfs" in done.stderr
