"""The tarball on a real system without a package of ours, as Fedora is told to in the README."""

import shutil
from pathlib import Path

import pytest

from tests.vm.conftest import Guests
from tests.vm.test_debian import SWAP_MIB
from tests.vm.whole_lives import boot_rebuilt, hibernate_and_resume, see_doctor_content
from torpor import VERSION
from vm.debian import installed
from vm.disks import blank_disk, partitioned_swap_disk
from vm.host import run
from vm.lives import Guest
from vm.suites import suites_from_here

pytestmark = [pytest.mark.vm, pytest.mark.long]

FOLDER = f"/root/torpor-{VERSION}"
ARCHIVE = f"torpor-{VERSION}-x86_64.tar.gz"
TAKE = f"mount /dev/vdc /media && tar -C /root -xzf /media/{ARCHIVE} && umount /media"
LEFT = "find /boot /etc /usr /var/lib -xdev -iname '*torpor*'"


def guest_with(archive: Path, guests: Guests) -> Guest:
    """Boot a guest without a package of ours; swap in use is its vdb1, on vdc is the archive."""
    swap, files, disk = (guests.folder / name for name in ("swap.img", "files", "files.img"))
    name = partitioned_swap_disk(swap, SWAP_MIB)
    files.mkdir()
    shutil.copy(archive, files)
    run("mke2fs", "-q", "-t", "ext4", "-d", files, blank_disk(disk, 64))
    suite = suites_from_here()[0]
    root = installed("dracut", suite.name, suite.series[0], None)
    guest = Guest(root, guests.folder / "guest", [swap, disk])
    guests.made.append(guest)
    guest.boot()
    guest.run(f"echo UUID={name} none swap sw 0 0 >>/etc/fstab && systemctl daemon-reload")
    guest.run("swapon -a")
    return guest


def test_tarball(packages: Path, guests: Guests) -> None:
    guest = guest_with(packages / ARCHIVE, guests)
    guest.run(TAKE)
    guest.rebuild_outside()
    assert "torpor enable" in guest.run(f"{FOLDER}/install.sh").output
    boot_rebuilt(guest)
    guest.run("torpor enable")
    boot_rebuilt(guest)
    see_doctor_content(guest)
    hibernate_and_resume(guest)
    guest.run(f"{FOLDER}/install.sh --uninstall")
    assert guest.run(LEFT).output == ""
    boot_rebuilt(guest)
    assert guest.run("systemctl --failed --no-legend").output == ""
    held = guest.run("lsinitrd").output
    assert "dracut" in held
    assert "torpor" not in held
