"""The package on a real Debian: its hooks, by their generators, hibernate and resume it."""

import re
from collections.abc import Callable

import pytest

from tests.conftest import ROW
from tests.vm.conftest import Guests
from vm.disks import ext4_complaints, partitioned_swap_disk
from vm.lives import Guest

pytestmark = pytest.mark.vm

SWAP_MIB = 768
NOWHERE = "resume=UUID=00000000-dead-beef-0000-000000000000"
TIMEOUT_SECONDS = 10
MORE_SECONDS = 5
TRACE = "trace_event=sched:sched_process_exec trace_buf_size=8M"
AGENT = "/usr/lib/torpor-agent/agent.sh"
EXECUTED = "sed -n 's/.* filename=\\([^ ]*\\) .*/\\1/p' /sys/kernel/tracing/trace"

# A Debian with systemd has something of its own that resumes; so it stays the fallback.
STOCK = {
    "initramfs-tools": "scripts/local-premount/resume",
    "dracut": "usr/lib/systemd/system/systemd-hibernate-resume@.service",
    "dracut-shell": "hooks/pre-mount/10-resume.sh",
}
SHORT = [("initramfs-tools", "6.1"), ("dracut", "6.12"), ("dracut-shell", "6.1")]
LONG = [(generator, series) for generator in STOCK for series in ("6.1", "6.12")]
CYCLES = [
    pytest.param(*case, marks=[] if case in SHORT else [pytest.mark.long], id="-".join(case))
    for case in LONG
]


def with_swap(guests: Guests, generator: str, series: str, append: str = "") -> Guest:
    """Boot a guest with a swap partition in use, and enable Torpor there."""
    disk = guests.folder / "swap.img"
    name = partitioned_swap_disk(disk, SWAP_MIB)
    guest = guests.make(generator, series, [disk], append)
    guest.boot()
    guest.rebuild_outside()
    guest.run(f"echo UUID={name} none swap sw 0 0 >>/etc/fstab && systemctl daemon-reload")
    guest.run("swapon -a && torpor enable")
    return guest


def executed(guest: Guest) -> list[str]:
    """Return all programs that were started since the kernel started, in order."""
    kept = guest.run("grep entries-in-buffer /sys/kernel/tracing/trace").output
    counts = re.search(r"(\d+)/(\d+)", kept)
    assert counts, kept
    assert counts[1] == counts[2], "the trace is not whole"
    return guest.run(EXECUTED).output.split()


def refusals(guest: Guest) -> list[str]:
    return re.findall(r"torpor-resume: not resuming: (.*)", guest.console)


def mounted_at(guest: Guest) -> float:
    """Return when the kernel mounted the root, in seconds since it started."""
    found = re.search(r"^\[ *([\d.]+)\] EXT4-fs \(vda\): mounted", guest.console, re.MULTILINE)
    assert found, "the root was not mounted"
    return float(found[1])


@pytest.mark.parametrize(("generator", "series"), CYCLES)
def test_swap_partition(
    generator: str, series: str, guests: Guests, record_property: Callable[[str, object], None]
) -> None:
    guest = with_swap(guests, generator, series, TRACE)
    assert STOCK[generator] in guest.installed.listing
    programs = executed(guest)
    boot = programs[: programs.index(AGENT)]
    assert not [name for name in boot if "torpor-resume" in name or "python" in name]
    guest.hibernate()
    guest.resume()
    assert guest.same_life()
    assert "resumed" in guest.run("torpor status").output
    took = dict(guest.seconds)
    seconds = (f"{took[what]:.0f}" for what in ("boot", "hibernate", "resume"))
    record_property(ROW, (generator, "swap partition", series, *seconds))
    guest.power_off()
    assert ext4_complaints(guest.root) == ""


def test_device_that_never_comes(guests: Guests) -> None:
    guest = with_swap(guests, "initramfs-tools", "6.1")
    ordinary = mounted_at(guest)
    guest.hibernate()
    guest.append = f"{NOWHERE} {TRACE}"
    guest.boot()
    assert len(refusals(guest)) == 1
    assert "did not appear within 10 s" in refusals(guest)[0]
    assert mounted_at(guest) < ordinary + TIMEOUT_SECONDS + MORE_SECONDS
    assert refusals(guest)[0] in guest.run("torpor status").output
    assert "/usr/lib/torpor/resume/torpor-resume" in executed(guest)


def test_image_of_the_kernel(guests: Guests) -> None:
    guest = with_swap(guests, "initramfs-tools", "6.1")
    guest.hibernate("echo disk >/sys/power/state")
    guest.resume()
    assert guest.same_life()
