"""The initramfs parts as a package installs them, and programs run on a copy of this system."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
HERE = Path(__file__).parent
UNITS = "usr/lib/systemd/system"

# Below initramfs/, and where it is installed.
FILES = {
    "torpor-boot": "usr/lib/torpor/torpor-boot",
    "dracut/module-setup.sh": "usr/lib/dracut/modules.d/55torpor/module-setup.sh",
    "dracut/torpor-wait.sh": "usr/lib/dracut/modules.d/55torpor/torpor-wait.sh",
    "dracut/torpor-resume.sh": "usr/lib/dracut/modules.d/55torpor/torpor-resume.sh",
    "initramfs-tools/hooks/torpor": "usr/share/initramfs-tools/hooks/torpor",
    "initramfs-tools/scripts/local-premount/0torpor": (
        "usr/share/initramfs-tools/scripts/local-premount/0torpor"
    ),
    "mkinitcpio/install/torpor": "usr/lib/initcpio/install/torpor",
    "mkinitcpio/install/sd-torpor": "usr/lib/initcpio/install/sd-torpor",
    "mkinitcpio/hooks/torpor": "usr/lib/initcpio/hooks/torpor",
    "systemd/torpor-resume.service": f"{UNITS}/torpor-resume.service",
    "systemd/torpor-resume-generator": (
        "usr/lib/systemd/system-generators/torpor-resume-generator"
    ),
}
DROP_IN = "systemd/systemd-hibernate-resume.conf"
STOCK = ("systemd-hibernate-resume.service", "systemd-hibernate-resume@.service")


def lay_out(tree: Path, location: str | None) -> None:
    """Install the frozen resumer and all files for initramfs generators below `tree`."""
    program = BUILD / "torpor-resume"
    needs = BUILD / "torpor-resume.needs"
    if not needs.exists():
        unavailable("the resumer is not frozen: python3 build.py freeze")
    shutil.copytree(program, tree / "usr/lib/torpor/resume", symlinks=True)
    shutil.copy(needs, tree / "usr/lib/torpor/resume.needs")
    for source, place in FILES.items():
        (tree / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "initramfs" / source, tree / place)
    for unit in STOCK:
        folder = tree / UNITS / f"{unit}.d"
        folder.mkdir()
        shutil.copy(ROOT / "initramfs" / DROP_IN, folder / "torpor.conf")
    if location is not None:
        (tree / "var/lib/torpor").mkdir(parents=True)
        (tree / "var/lib/torpor/location").write_text(location)


def unavailable(reason: str) -> None:
    """Skip a test that this machine cannot run, which continuous integration must not do."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def on_a_copy(tree: Path, result: Path, *command: str) -> str:
    """Run a command on a copy of this system with the files of `tree`; return what it said."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    done = subprocess.run(
        [*unshare, "sh", HERE / "copy.sh", tree, result, *command],
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
