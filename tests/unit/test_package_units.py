"""The units: what systemd closes to them, and what it must not (systemd.exec(5))."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.tools import ROOT, unavailable

UNITS = {
    "package/files/torpor-announce.service": 3.0,
    "package/files/torpor-stale.service": 4.0,
    "package/files/torpor-workingset.service": 3.0,
    "initramfs/systemd/torpor-resume.service": 7.0,
}
"""And how exposed each may be, 10 at most: the exceptions stand in it with their reasons."""
OWN_MOUNTS = re.compile(
    r"^(Private(Tmp|Devices|Mounts|Network)|Protect(System|Home|Proc|Control|Kernel)\w*|ProcSubset"
    r"|(ReadWrite|ReadOnly|Inaccessible|Exec|NoExec)Paths|Bind\w+|Temporary\w+|Root\w+|Mount\w+)=",
    re.MULTILINE,
)
"""Whatever gives a unit mounts of its own (systemd's exec_needs_mount_namespace)."""


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


@pytest.mark.parametrize("unit", UNITS)
def test_units_are_closed(unit: str) -> None:
    try:
        if "--offline" not in analyze("--help").stdout:
            unavailable("systemd-analyze knows no --offline")
    except FileNotFoundError:
        unavailable("systemd-analyze is missing")
    most = f"--threshold={UNITS[unit] * 10:.0f}"
    done = analyze("security", "--offline=true", most, unit)
    assert "Overall exposure level" in done.stdout, done.stderr
    assert done.returncode == 0, done.stdout


def test_every_unit_is_among_them() -> None:
    found = {str(path.relative_to(ROOT)) for path in ROOT.glob("*/*/*.service")}
    assert {name for name in found if not name.startswith("build/")} == {*UNITS}


def test_swap_is_not_used_through_mounts_of_a_unit() -> None:
    stale, announce = ((ROOT / path).read_text() for path in [*UNITS][1::-1])
    assert "discard --stale" in stale
    assert OWN_MOUNTS.findall(stale) == []
    assert OWN_MOUNTS.findall(announce)


def test_the_replay_may_open_files() -> None:
    """RestrictSUIDSGID= forbids openat2, whose flags no filter can see."""
    unit = (ROOT / "package/files/torpor-workingset.service").read_text()
    assert "\nRestrictSUIDSGID=" not in unit
    assert {"mincore", "open_by_handle_at"} <= set(unit.split())


def test_udev_may_tell_the_resumer_of_devices() -> None:
    unit = (ROOT / "initramfs/systemd/torpor-resume.service").read_text()
    assert "AF_NETLINK" in unit.split()


def test_the_resumer_sees_what_was_typed_for_luks() -> None:
    """systemd-ask-password --accept-cached looks into root's keyring, which is private else."""
    unit = (ROOT / "initramfs/systemd/torpor-resume.service").read_text()
    assert "\nKeyringMode=shared\n" in unit


def test_a_stale_image_s_layers_can_be_asked_for() -> None:
    unit = (ROOT / "package/files/torpor-stale.service").read_text()
    assert "\nDeviceAllow=/dev/mapper/control rw\n" in unit


def test_a_stale_image_is_counted_by_the_tpm() -> None:
    """/dev/tpmrm0 is of this class; a machine without one is warned of no path that is missing."""
    unit = (ROOT / "package/files/torpor-stale.service").read_text()
    assert "\nDeviceAllow=char-tpm rw\n" in unit
    assert "\nAfter=tpm2.target\n" in unit, "which systemd 256 has, for a TPM that comes late"
    assert "CAP_DAC_OVERRIDE" in unit.split("CapabilityBoundingSet=")[1].split("\n")[0].split()


def test_an_image_on_a_server_is_left_to_another_unit() -> None:
    """By systemd-run, which speaks to systemd by a socket; the unit itself reaches no network."""
    unit = (ROOT / "package/files/torpor-stale.service").read_text()
    assert "\nRestrictAddressFamilies=AF_UNIX\n" in unit


def test_nothing_is_set_twice() -> None:
    for path in map(Path, UNITS):
        service = (ROOT / path).read_text().partition("[Service]")[2]
        names = re.findall(r"^(\w+)=", service, re.MULTILINE)
        again = {name for name in names if names.count(name) > 1}
        assert again <= {"DeviceAllow", "SystemCallFilter"}, path
