"""Swap on NBD: the process that serves it, or that is missing afterwards, is named."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.conftest import Guests
from vm.disks import swap_disk
from vm.lives import Guest
from vm.networked import bring_up
from vm.s3_server import FROM_A_GUEST, HOST, free_ports

pytestmark = [pytest.mark.vm, pytest.mark.long]

DEVICE = "/dev/nbd0"
CLIENTS = {
    "-nonetlink": r"nbd-client \(process \d+\) serves it",
    "": r"no process connects it again afterwards \(NBD\)",
}
"""How the client is told to set it up, and what is said then."""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Where swap is served."""
    swap_disk(tmp_path / "swap.img", 768)
    (port,) = free_ports(1)
    words = ["qemu-nbd", "-t", "-e", "8", "-b", HOST, "-p", str(port), "-f", "raw", "-x", "swap"]
    server = subprocess.Popen([*words, str(tmp_path / "swap.img")])
    try:
        yield port
    finally:
        server.kill()
        server.wait()


def test_is_refused(guests: Guests, port: int) -> None:
    guest = guests.make("nbd", "6.1")
    guest.network = True
    guest.boot()
    bring_up(guest)
    guest.run("modprobe nbd")
    for how, why in CLIENTS.items():
        guest.run(f"nbd-client {how} -N swap {FROM_A_GUEST} {port} {DEVICE}")
        guest.run(f"for _ in $(seq 60); do swapon {DEVICE} && exit; sleep 1; done; exit 1")
        see_refused(guest, why)
        guest.run(f"swapoff {DEVICE}; nbd-client -d {DEVICE}; sleep 2")


def see_refused(guest: Guest, why: str) -> None:
    """By hibernate, before it stops anything, and by doctor."""
    refused = guest.run("torpor hibernate", check=False)
    assert refused.status != 0
    assert re.search(why, refused.output), refused.output
    assert re.search(why, guest.run("torpor doctor", check=False).output)
