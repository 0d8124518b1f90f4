"""The TPM of the virtual machines: what it keeps, and what it does without."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from vm.accel import QEMU
from vm.host import HostError
from vm.machine import Off, RunningMachine, wires
from vm.tpm import Tpm

SECONDS = 30.0
COUNTER = "0x1500001"
DEFINE = ("tpm2_nvdefine", COUNTER, "-a", "nt=counter|no_da|authread|authwrite")
PCR = 16


@dataclass(frozen=True, slots=True)
class Paused(Off):
    """A machine whose processor never starts."""

    log: Path
    tpm: Tpm | None

    def command(self, monitor: int, channel: int) -> list[str]:
        """See Off."""
        del channel
        return [QEMU, "-S", "-machine", "pc,accel=tcg", *wires(self.log, monitor, None)]


def powered(tmp_path: Path, tpm: Tpm | None) -> RunningMachine:
    return RunningMachine(Paused(tmp_path / "paused.log", tpm), SECONDS)


def count(tpm: Tpm) -> int:
    """Count on, and return how far."""
    tpm.ask("tpm2_nvincrement", COUNTER)
    target = tpm.folder / "count"
    tpm.ask("tpm2_nvread", COUNTER, "-o", target)
    return int.from_bytes(target.read_bytes())


def test_a_machine_has_the_tpm_that_it_is_given(tmp_path: Path) -> None:
    with powered(tmp_path, Tpm(tmp_path / "tpm")) as running:
        (chip,) = running.monitor("query-tpm")
        assert (chip["model"], chip["options"]["type"]) == ("tpm-tis", "emulator")
    with powered(tmp_path, None) as running:
        assert running.monitor("query-tpm") == []


def test_it_is_on_as_long_as_the_machine(tmp_path: Path) -> None:
    tpm = Tpm(tmp_path / "tpm")
    with powered(tmp_path, tpm):
        with pytest.raises(ValueError, match="the TPM is on"):
            tpm.ask("tpm2_pcrread")
        tpm.hang()
    with pytest.raises(ValueError, match="the TPM is off"):
        tpm.go_on()
    with powered(tmp_path, tpm) as running:
        assert running.monitor("query-tpm")


def test_it_keeps_all_but_pcrs(tmp_path: Path) -> None:
    tpm = Tpm(tmp_path / "tpm")
    tpm.ask(*DEFINE)
    first = count(tpm)
    fresh = tpm.ask("tpm2_pcrread", f"sha256:{PCR}")
    tpm.ask("tpm2_pcrextend", f"{PCR}:sha256={'5a' * 32}")
    assert tpm.ask("tpm2_pcrread", f"sha256:{PCR}") == fresh
    assert count(tpm) == first + 1


def test_another_folder_is_another_tpm(tmp_path: Path) -> None:
    Tpm(tmp_path / "tpm").ask(*DEFINE)
    with pytest.raises(HostError, match="tpm2_nvreadpublic"):
        Tpm(tmp_path / "other").ask("tpm2_nvreadpublic", COUNTER)
