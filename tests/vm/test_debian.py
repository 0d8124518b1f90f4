"""The package on a real Debian, as a newcomer meets it: its first hibernation, what keeps a boot
from resuming, and its removal; and the tarball where no package is, as README has it.
"""

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.vm.conftest import SWAP_PARTITION_MIB, Guests
from tests.vm.cuts import refusals
from tests.vm.whole_lives import (
    RESUMER,
    TRACE,
    enable,
    executed,
    hibernate_and_resume,
    see_doctor_content,
    started_at,
    started_for_us,
    use_swap,
)
from torpor import VERSION
from vm.debian import installed
from vm.disks import blank_disk, ext4_complaints, partitioned_swap_disk
from vm.host import run
from vm.lives import Guest
from vm.suites import suites_from_here

pytestmark = pytest.mark.vm

NOFAIL = "sw,nofail"
"""Of swap that a guest can do without."""
NOWHERE = "resume=UUID=00000000-dead-beef-0000-000000000000"
TIMEOUT_SECONDS = 10
MORE_SECONDS = 5
EMULATED_SECONDS = 20
"""Others' waits are longer: systemd's 90 s, dracut's 180, the stock resume's without an end."""
WARM = 0.8
"""The share of the page cache that comes back; a system that starts changes some files."""
LEFT = "find / -xdev -iname '*torpor*'"

BY_EACH_GENERATOR = pytest.mark.parametrize(
    "generator", ["initramfs-tools", "dracut", "dracut-shell"]
)


def said_at(guest: Guest, pattern: str) -> float:
    """Return when the kernel log said that, in seconds since the kernel started."""
    found = re.search(rf"^\[ *([\d.]+)\] {pattern}", guest.console, re.MULTILINE)
    assert found, f"nobody said {pattern}"
    return float(found[1])


def check_delay(guest: Guest) -> None:
    """We wait for so long and no longer, and once we are done nobody waits for the device.

    Neither the resumer's own start nor what the initramfs does after us counts as waiting: each
    takes a fraction of a second, but emulated several (systemd's six from us to the root's mount).
    """
    refused = said_at(guest, "torpor-resume: not resuming")
    assert refused - started_at(guest, RESUMER) < TIMEOUT_SECONDS + MORE_SECONDS
    assert said_at(guest, r"EXT4-fs \(vda\): mounted") - refused < EMULATED_SECONDS


def test_newcomer(guests: Guests) -> None:
    """What the README says, in that order."""
    guest = guests.with_swap(options=NOFAIL)
    first = guest.run("torpor doctor", check=False)
    assert "torpor enable" in first.output
    enable(guest)
    guest.boot_rebuilt()
    see_doctor_content(guest)
    hibernate_and_resume(guest)
    assert_warm(guest)
    guest.hibernate()
    guest.append = "noresume"
    guest.boot()
    (refusal,) = refusals(guest)
    assert "the working set on /dev/vdb1 is handed on" in refusal
    assert_warm(guest)
    assert_removed(guest)
    guest.power_off()
    assert ext4_complaints(guest.root) == ""


def assert_warm(guest: Guest) -> None:
    """The service has brought back what was cached, in the restored system or in a new one."""
    finished = "journalctl -b -u torpor-workingset.service | grep 'in memory again'"
    guest.run(f"for _ in $(seq 60); do {finished} && exit; sleep 1; done; exit 1")
    replay = json.loads(guest.run("torpor status --json").output)["replay"]
    pages = replay["file_pages"]
    assert (replay["outcome"], replay["reason"]) == ("done", ""), replay
    assert pages["resident"] + pages["restored"] >= WARM * pages["recorded"] > 0, replay


def assert_removed(guest: Guest) -> None:
    """The package leaves nothing behind, in no initramfs either."""
    assert guest.run(LEFT).output != ""
    guest.run("dpkg --purge torpor")
    assert guest.run(LEFT).output == ""


@pytest.mark.long
@BY_EACH_GENERATOR
def test_device_that_never_comes(generator: str, guests: Guests) -> None:
    """The one that the kernel command line names, and the one that torpor enable knows."""
    guest = guests.with_swap(generator, append=TRACE, options=NOFAIL)
    enable(guest)
    for append, disks in ((f"{NOWHERE} {TRACE}", guest.disks), (TRACE, [])):
        guest.power_off()
        guest.append, guest.disks = append, disks
        guest.boot()
        (refusal,) = refusals(guest)
        assert re.fullmatch(r"UUID=\S+ did not appear within 10 s", refusal)
        check_delay(guest)
        assert refusal in guest.run("torpor status").output
        assert set(started_for_us(executed(guest))) == {RESUMER}


@pytest.mark.long
@BY_EACH_GENERATOR
def test_boot_without_an_image_and_removal(generator: str, guests: Guests) -> None:
    guest = guests.with_swap(generator, append=TRACE, options=NOFAIL)
    before = guest.run("torpor --version").output
    assert before.startswith("torpor ")
    enable(guest)
    guest.power_off()
    guest.boot()
    assert set(started_for_us(executed(guest))) == {RESUMER}
    (refusal,) = refusals(guest)
    assert refusal == "no image: /dev/vdb1 is swap without an image"
    unit = guest.run("systemctl show --property=Result torpor-stale.service")
    assert unit.output.strip() == "Result=exec-condition", "no Python in the booted system, either"
    assert_removed(guest)
    guest.power_off()
    guest.boot()
    assert "torpor" not in guest.console


@pytest.mark.long
def test_image_of_the_kernel(guests: Guests) -> None:
    guest = guests.with_swap(options=NOFAIL)
    enable(guest)
    hibernate_and_resume(guest, by="echo disk >/sys/power/state")


@pytest.mark.long
def test_store_without_any_swap(guests: Guests) -> None:
    """logind looks for room in swap, and is told not to."""
    disk = blank_disk(guests.folder / "store.img", SWAP_PARTITION_MIB)
    guest = guests.make("initramfs-tools", "6.1", [disk])
    guest.boot()
    guest.rebuild_outside()
    guest.run("torpor mkstore /dev/vdb && torpor enable --store /dev/vdb")
    hibernate_and_resume(guest)


FOLDER = f"/root/torpor-{VERSION}"
ARCHIVE = f"torpor-{VERSION}-x86_64.tar.gz"
TAKE = f"mount /dev/vdc /media && tar -C /root -xzf /media/{ARCHIVE} && umount /media"
LEFT_OF_THE_TARBALL = "find /boot /etc /usr /var/lib -xdev -iname '*torpor*'"


def guest_with(archive: Path, guests: Guests) -> Guest:
    """Boot a guest without a package of ours; swap in use is its vdb1, on vdc is the archive."""
    swap, files, disk = (guests.folder / name for name in ("swap.img", "files", "files.img"))
    name = partitioned_swap_disk(swap, SWAP_PARTITION_MIB)
    files.mkdir()
    shutil.copy(archive, files)
    run("mke2fs", "-q", "-t", "ext4", "-d", files, blank_disk(disk, 64))
    suite = suites_from_here()[0]
    root = installed("dracut", suite.name, suite.series[0], None)
    guest = Guest(root, guests.folder / "guest", [swap, disk])
    guests.made.append(guest)
    guest.boot()
    use_swap(guest, name)
    return guest


@pytest.mark.long
def test_tarball(packages: Path, guests: Guests) -> None:
    guest = guest_with(packages / ARCHIVE, guests)
    guest.run(TAKE)
    guest.rebuild_outside()
    assert "torpor enable" in guest.run(f"{FOLDER}/install.sh").output
    guest.boot_rebuilt()
    guest.run("torpor enable")
    guest.boot_rebuilt()
    see_doctor_content(guest)
    hibernate_and_resume(guest)
    guest.run(f"{FOLDER}/install.sh --uninstall")
    assert guest.run(LEFT_OF_THE_TARBALL).output == ""
    guest.boot_rebuilt()
    assert guest.run("systemctl --failed --no-legend").output == ""
    held = guest.run("lsinitrd").output
    assert "dracut" in held
    assert "torpor" not in held
