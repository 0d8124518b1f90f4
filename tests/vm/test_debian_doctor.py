"""torpor doctor on a Debian: silent while all is well, and each prepared fault found."""

from dataclasses import dataclass

import pytest

from tests.vm.conftest import LONG_LIMIT_SECONDS, Guests
from tests.vm.whole_lives import enable
from vm.lives import Guest

pytestmark = [pytest.mark.vm, pytest.mark.long]

UNREADY = 16
CONF = "/etc/torpor.conf"
PLACE = "/var/lib/torpor/location"
SMALL = (
    "fallocate -l 4M /small && chmod 600 /small && mkswap /small && swapon /small"
    f" && echo store=/small >>{CONF}"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What breaks the guest, a word of what the doctor has to say, and what mends it again."""

    name: str
    commands: str
    found: str
    undo: str


def covered(name: str, path: str, text: str, found: str) -> Fault:
    """A file of the kernel has other contents."""
    covers = f"echo '{text}' >/run/fake && mount --bind /run/fake {path}"
    return Fault(name, covers, found, f"umount {path}")


def moved(name: str, path: str, found: str) -> Fault:
    return Fault(name, f"mv {path} {path}.kept", found, f"mv {path}.kept {path}")


def changed(name: str, path: str, command: str, found: str) -> Fault:
    keep = f"cp {path} /var/tmp/kept"
    return Fault(name, f"{keep} && {command}", found, f"cp /var/tmp/kept {path}")


def faults() -> list[Fault]:
    cmdline, words = "/proc/cmdline", "root=/dev/vda ro"
    lockdown, power = "/sys/kernel/security/lockdown", "/sys/power/state"
    image = "/boot/initrd.img-$(uname -r)"
    resumer = "/usr/lib/torpor/resume/_internal/errors.pyc"
    return [
        covered("resume= elsewhere", cmdline, f"{words} resume=UUID=1234", "UUID=1234, which"),
        covered("noresume", cmdline, f"{words} noresume", "noresume"),
        covered("lockdown", lockdown, "none [integrity] confidentiality", "lockdown"),
        covered("kernel without hibernation", power, "freeze mem", power),
        moved("no /dev/snapshot", "/dev/snapshot", "/dev/snapshot"),
        Fault("swap not in use", "swapoff -a", "/dev/vdb1", "swapon -a"),
        changed("store moved", PLACE, f"sed -i s/UUID=.*/UUID=1/ {PLACE}", "torpor enable"),
        moved("no initramfs", image, "initramfs"),
        changed("initramfs cut off", image, f"truncate -s 5000000 {image}", "initramfs"),
        changed("another resumer", resumer, f"echo >>{resumer}", "resumer"),
        changed("wrong configuration", CONF, f"echo sotre=x >>{CONF}", "there is no 'sotre'"),
        changed("store too small", CONF, SMALL, "/small"),
    ]


def verdict(guest: Guest) -> tuple[int, str]:
    answer = guest.run("torpor doctor", check=False)
    return answer.status, answer.output


def test_doctor(guests: Guests) -> None:
    guest = guests.with_swap(limit=LONG_LIMIT_SECONDS)
    enable(guest)
    guest.boot_rebuilt()
    assert verdict(guest)[0] == 0
    for fault in faults():
        guest.run(fault.commands)
        status, said = verdict(guest)
        guest.run(fault.undo)
        assert status == UNREADY, f"{fault.name}: {said}"
        problems = [line for line in said.splitlines() if line.startswith("PROBLEM")]
        assert problems, f"{fault.name}: {said}"
        assert any(fault.found in line for line in said.splitlines()), f"{fault.name}: {said}"
    status, said = verdict(guest)
    assert (status, {line.split()[0] for line in said.splitlines()}) == (0, {"ok"}), said


def test_doctor_of_sealed_images(guests: Guests) -> None:
    """A TPM and a passphrase open them; then the TPM is cleared, and then there is none."""
    guest = guests.with_swap("initramfs-tools-tpm2", limit=LONG_LIMIT_SECONDS)
    guest.rebuild_outside()
    said = guest.run("torpor enable --seal tpm2").output
    assert "only the TPM opens an image" in said
    assert "torpor key add passphrase" in said
    assert "sender.key is on a file system that is not encrypted" in said
    guest.run("echo correct horse | torpor key add passphrase")
    guest.boot_rebuilt()
    status, said = verdict(guest)
    assert (status, "images are sealed for tpm2, passphrase" in said) == (0, True), said
    assert "the TPM counts the images" in said
    assert "only the TPM" not in said
    guest.run("tpm2_clear -c l")
    assert "the TPM has no counter" in verdict(guest)[1]
    guest.run("torpor key rotate tpm2")
    assert "the TPM counts the images" in verdict(guest)[1]
    guest.power_off()
    guest.tpm = None
    guest.boot()
    status, said = verdict(guest)
    assert status == 0, said
    assert "images are not sealed for tpm2: there is no TPM" in said
