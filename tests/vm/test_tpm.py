"""A Debian with a TPM: what outlives the power, a TPM that hangs, another one, and none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vm.debian import installed
from vm.lives import Guest
from vm.tpm import Tpm

pytestmark = [pytest.mark.vm, pytest.mark.long]

COUNTER = "0x1500001"
COUNT = f"tpm2_nvread -s 8 {COUNTER} | od -An -tx1"
FIRMWARES, OURS = "sha256:0,1,2,3,4,5,6,7", "sha256:8"


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    """Return a machine that is off."""
    root = installed("initramfs-tools-tpm2", "12", "6.1", None)
    with Guest(root, tmp_path / "guest", tpm=Tpm(tmp_path / "tpm")) as made:
        yield made


def cut_power(guest: Guest, tpm: Tpm | None) -> None:
    """Have it boot again, with this TPM."""
    guest.kill()
    guest.tpm = tpm
    guest.boot()


def test_a_guest_has_the_tpm_it_is_given(guest: Guest, tmp_path: Path) -> None:
    guest.boot()
    guest.run(f"tpm2_nvdefine {COUNTER} -C o -a 'nt=counter|no_da|authread|authwrite'")
    guest.run(f"tpm2_nvincrement {COUNTER}")
    measured, fresh, count = (
        guest.run(command).output
        for command in (f"tpm2_pcrread {FIRMWARES}", f"tpm2_pcrread {OURS}", COUNT)
    )
    assert measured.count(": 0x") == 8
    assert "0" * 64 not in measured, "the firmware measures nothing"
    guest.run(f"tpm2_pcrextend 8:sha256={'5a' * 32}")
    assert guest.run(f"tpm2_pcrread {OURS}").output != fresh
    cut_power(guest, guest.tpm)
    assert guest.run(f"tpm2_pcrread {FIRMWARES}").output == measured
    assert guest.run(f"tpm2_pcrread {OURS}").output == fresh
    assert guest.run(COUNT).output == count
    cut_power(guest, Tpm(tmp_path / "other"))
    assert guest.run("tpm2_getrandom --hex 8").output
    assert guest.run(f"tpm2_nvreadpublic {COUNTER}", check=False).status != 0
    cut_power(guest, None)
    assert guest.run("test -e /dev/tpmrm0", check=False).status != 0


def test_a_tpm_hangs_and_the_guest_does_not(guest: Guest) -> None:
    guest.boot()
    assert guest.tpm is not None
    guest.tpm.hang()
    assert guest.run("tpm2_getrandom --hex 8", check=False).status != 0
    assert "timed out" in guest.run("dmesg | grep -i tpm", check=False).output.lower()
    guest.tpm.go_on()
    assert guest.run("tpm2_getrandom --hex 8").output
