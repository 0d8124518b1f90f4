"""What the hooks add on a machine that seals its images, by stand-ins for their generators."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tools import ROOT, output, put, unavailable

SEALING = "/var/lib/torpor/sealing"
LISTED = "/usr/lib/torpor/resume/_internal/nacl/_sodium.abi3.so"
STAND_INS = """
for name in instmods add_module add_file add_binary manual_add_modules copy_file copy_exec; do
    eval "$name() { echo $name \\"\\$@\\"; }"
done
"""


def needs(root: Path) -> tuple[list[str], str]:
    """Return what sealing-needs prints for the system at `root`, and what it complains of."""
    words = ["dash", str(ROOT / "initramfs/sealing-needs"), str(root)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr


def seal(root: Path, tpm2: str, ask: str = "no") -> None:
    put(root, {SEALING: f"# Written by torpor enable.\nsender=00\ntpm2={tpm2}\nask={ask}\n"})
    put(root, {"usr/lib/torpor/resume-sealing.needs": f"{LISTED}\n"})


def test_another_machine_gets_nothing(tmp_path: Path) -> None:
    put(tmp_path, {"usr/lib/torpor/resume-sealing.needs": f"{LISTED}\n", "usr/bin/tpm2": ""})
    assert needs(tmp_path) == ([], "")


def test_a_machine_that_seals_without_a_tpm(tmp_path: Path) -> None:
    seal(tmp_path, "no")
    assert needs(tmp_path) == ([SEALING, LISTED], "")


def test_a_tpm_is_asked_by_tpm2_and_the_library_that_it_loads(tmp_path: Path) -> None:
    if not (tool := shutil.which("tpm2")):
        unavailable("tpm2-tools is missing")
    seal(tmp_path, "yes")
    put(tmp_path, {"usr/bin/tpm2": Path(tool).read_bytes()})
    listed = next(
        line.split()[2].replace("tctildr", "tcti-device")
        for line in output("ldd", tool).splitlines()
        if "tctildr" in line
    )
    found, said = needs(tmp_path)
    assert found == [SEALING, LISTED, "/usr/bin/tpm2"]
    assert f"{listed} is missing, install tpm2-tools" in said
    put(tmp_path, {listed: ""})
    assert needs(tmp_path) == ([SEALING, LISTED, "/usr/bin/tpm2", listed], "")


def test_without_tpm2_tools_it_says_so_and_goes_on(tmp_path: Path) -> None:
    """A kernel whose installation fails would be worse than an image that is not opened."""
    seal(tmp_path, "yes")
    found, said = needs(tmp_path)
    assert found == [SEALING, LISTED]
    assert said.count("\n") == 1
    assert "/usr/bin/tpm2 is missing" in said


def dracut(root: Path, call: str, included: str = "systemd") -> list[str]:
    """Return what a function of the dracut module calls, or prints."""
    script = f"""{STAND_INS}
        dracut_module_included() {{ [[ " {included} " == *" $1 "* ]]; }}
        dracut_module_path() {{ echo /none; }}
        . {ROOT}/initramfs/dracut/module-setup.sh
        {call} || echo failed
    """
    variables = {"dracutsysrootdir": str(root), "PATH": "/usr/bin:/bin"}
    return output("bash", "-c", script, env=variables).splitlines()


@pytest.mark.parametrize("tpm2", ["no", "yes"])
def test_dracut_takes_the_tpms_drivers_along(tmp_path: Path, tpm2: str) -> None:
    assert dracut(tmp_path, "installkernel") == ["instmods -s efivarfs"]
    seal(tmp_path, tpm2)
    drivers = ["instmods -s tpm_tis tpm_crb"] if tpm2 == "yes" else []
    assert dracut(tmp_path, "installkernel") == ["instmods -s efivarfs", *drivers]


@pytest.mark.parametrize(
    ("ask", "included", "wanted"),
    [
        ("yes", "systemd", ["systemd-ask-password"]),
        ("no", "systemd", []),
        ("yes", "base", []),
    ],
)
def test_dracut_asks_by_systemd(tmp_path: Path, ask: str, included: str, wanted: list[str]) -> None:
    assert dracut(tmp_path, "depends", included) == []
    seal(tmp_path, "no", ask)
    assert dracut(tmp_path, "depends", included) == wanted


def on_a_sealing_machine(tmp_path: Path, shell: str, hook: str, call: str, tpm2: str) -> list[str]:
    """Return what a build hook calls that reads this system, at another place."""
    root = tmp_path / "root"
    seal(root, tpm2)
    put(root, {"usr/lib/torpor/resume.needs": "", "usr/share/initramfs-tools/hook-functions": ""})
    script = (ROOT / "initramfs" / hook).read_text()
    needs_of_root = f"sh {ROOT}/initramfs/sealing-needs {root}"
    for path in ("/usr/lib/torpor", "/var/lib/torpor/sealing", "/usr/share/initramfs-tools"):
        script = script.replace(path, f"{root}{path}")
    script = script.replace('"$lib/sealing-needs"', needs_of_root)
    put(tmp_path, {"hook": script})
    words = [shell, "-c", f"exec 2>/dev/null\n{STAND_INS}\n. {tmp_path}/hook\n{call}"]
    return output(*words).splitlines()


@pytest.mark.parametrize("tpm2", ["no", "yes"])
def test_the_others_take_them_along(tmp_path: Path, tpm2: str) -> None:
    hooks = {
        "initramfs-tools/hooks/torpor": ("dash", ":", ["manual_add_modules tpm_tis tpm_crb"]),
        "mkinitcpio/install/torpor": (
            *("bash", "add_torpor"),
            ["add_module tpm_tis?", "add_module tpm_crb?"],
        ),
    }
    for hook, (shell, call, drivers) in hooks.items():
        called = on_a_sealing_machine(tmp_path, shell, hook, call, tpm2)
        assert [one for one in called if "tpm_" in one] == (drivers if tpm2 == "yes" else [])
        assert any(one.endswith(SEALING) for one in called)
