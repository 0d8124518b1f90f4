"""torpor rebuild: what makes the initramfs is run, or printed, and what came out is looked into."""

import argparse
from functools import partial
from pathlib import Path

import pytest

from errors import NoGeneratorError
from tests.unit.enabling import Enabled, by_dracut, by_initramfs_tools, on_path
from torpor import setup
from torpor.doctor.machine import Machine
from torpor.enable.system import System


@pytest.fixture(name="machine")
def _machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Enabled:
    machine = Enabled(tmp_path)
    on_path(machine, monkeypatch)
    root = str(machine.fake.root)
    monkeypatch.setattr(setup, "System", partial(System, root))
    monkeypatch.setattr(setup, "Machine", partial(Machine, root))
    return machine


def rebuild(*, as_text: bool = False) -> None:
    setup.rebuild(argparse.Namespace(print=as_text))


def test_commands_are_printed(machine: Enabled, capsys: pytest.CaptureFixture[str]) -> None:
    by_dracut(machine, "exit 1")
    rebuild(as_text=True)
    assert capsys.readouterr().out == "dracut --regenerate-all --force\n"


def test_what_is_made_is_looked_into(machine: Enabled, capsys: pytest.CaptureFixture[str]) -> None:
    by_initramfs_tools(machine, "")
    rebuild()
    said = capsys.readouterr()
    assert said.out == "rebuilding the initramfs: update-initramfs -u -k all\n"
    assert said.err == ""
    machine.fake.write("/usr/lib/torpor/torpor-boot", "newer")
    machine.fake.write("/var/lib/torpor/location", "# Written by torpor enable\nresume=/dev/x\n")
    rebuild()
    assert capsys.readouterr().err.splitlines() == [
        (
            "torpor: /boot/initrd.img-6.1.0-56-amd64 holds another version of "
            "/usr/lib/torpor/torpor-boot: run torpor rebuild again"
        ),
        (
            "torpor: /boot/initrd.img-6.1.0-56-amd64 holds an older /var/lib/torpor/location: "
            "run torpor rebuild again"
        ),
    ]


def test_no_generator(machine: Enabled) -> None:
    machine.fake.remove("/usr/sbin/mkinitramfs")
    for as_text in (False, True):
        with pytest.raises(NoGeneratorError, match="no initramfs generator is installed"):
            rebuild(as_text=as_text)
