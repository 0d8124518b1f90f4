"""logind lets a machine hibernate without EFI and resume=, whatever its systemd says of that."""

from dataclasses import dataclass

import pytest

from tests.vm.conftest import LONG_LIMIT_SECONDS, SWAP_PARTITION_MIB, Guests
from tests.vm.whole_lives import enable, hibernate_and_resume
from vm.disks import blank_disk
from vm.lives import Guest
from vm.suites import NEWEST

pytestmark = [pytest.mark.vm, pytest.mark.long]

ASK = (
    "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager "
    "CanHibernate"
)
NAMED = "cat /sys/power/resume"
NO_PLACE = "location to hibernate to"
"""What systemd-sleep says, which any of its versions begins in its own way."""
OTHER_SWAP = (
    "fallocate -l 64M /other && chmod 600 /other && mkswap -q /other"
    " && echo /other none swap sw 0 0 >>/etc/fstab && systemctl daemon-reload && swapon -a"
)


@dataclass(frozen=True, slots=True)
class Machine:
    """A Debian, by which systemd's rules differ, and by what it starts."""

    suite: str
    kernel: str
    generator: str
    before: str
    """What logind answers before enable."""
    after: str
    """And after disable, if a place without swap was named: Linux 6.1 keeps that till it boots."""


NEWER = Machine("13", "6.12", "dracut", "na", "na")
"""dracut names nothing to the kernel; initramfs-tools would, with RESUME=auto."""
UNSTABLE = Machine("unstable", NEWEST, "dracut", "na", "na")
OLDER = Machine("12", "6.1", "dracut", "yes", "na")


def answer(guest: Guest) -> str:
    return guest.run(ASK).output.split('"')[1]


def named(guest: Guest) -> str:
    return guest.run(NAMED).output.strip()


def enabled(guest: Guest, store: str = "") -> None:
    enable(guest, store)
    assert answer(guest) == "yes"
    guest.boot_rebuilt()


def hibernated(guest: Guest) -> None:
    """In this boot, which enable has not seen, logind says yes; and in the life after it."""
    guest.run("systemctl start torpor-announce.service")
    assert answer(guest) == "yes"
    assert "PROBLEM" not in guest.run("torpor doctor", check=False).output
    hibernate_and_resume(guest)
    assert answer(guest) == "yes"


def with_swap(machine: Machine, guests: Guests) -> Guest:
    kind = (machine.generator, machine.kernel)
    guest = guests.with_swap(*kind, suite=machine.suite, limit=LONG_LIMIT_SECONDS)
    assert answer(guest) == machine.before
    return guest


def number(guest: Guest, name: str) -> str:
    return guest.run(f"cat /sys/class/block/{name}/dev").output.strip()


@pytest.mark.parametrize("machine", [NEWER, UNSTABLE, OLDER], ids=lambda machine: machine.suite)
def test_swap(machine: Machine, guests: Guests) -> None:
    guest = with_swap(machine, guests)
    enabled(guest)
    hibernated(guest)
    assert named(guest) == number(guest, "vdb1")


@pytest.mark.parametrize("machine", [NEWER, UNSTABLE, OLDER], ids=lambda machine: machine.suite)
def test_store_beside_swap(machine: Machine, guests: Guests) -> None:
    """What the kernel would write to the swap, no boot would look for: it does not."""
    disk = blank_disk(guests.folder / "store.img", SWAP_PARTITION_MIB)
    guest = guests.make(machine.generator, machine.kernel, [disk], suite=machine.suite)
    guest.limit = LONG_LIMIT_SECONDS
    guest.boot()
    guest.run(OTHER_SWAP)
    assert answer(guest) == machine.before
    guest.run("torpor mkstore /dev/vdb")
    enabled(guest, "--store /dev/vdb")
    hibernated(guest)
    assert named(guest) == "0:1"
    slept = guest.run("/usr/lib/systemd/systemd-sleep hibernate", check=False)
    assert slept.status != 0
    assert NO_PLACE in slept.output, slept.output
    said = guest.run("torpor disable --no-rebuild").output
    assert ("until the next boot the kernel keeps" in said) == (machine.kernel == "6.1")
    assert answer(guest) == machine.after


def test_image_of_the_kernel_goes_where_a_boot_looks(guests: Guests) -> None:
    """As that of a hybrid sleep whose power fails."""
    guest = with_swap(NEWER, guests)
    enabled(guest)
    guest.run("systemctl start torpor-announce.service")
    by = "echo shutdown >/sys/power/disk && echo disk >/sys/power/state"
    hibernate_and_resume(guest, by=by)
