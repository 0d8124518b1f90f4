"""What a server and the way to it do wrong at a boot: the machine resumes, or says why not."""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.vm.conftest import Guests, Recorder
from tests.vm.sealed_lives import ASKS_PASSPHRASE, boot_cold, on_server, resume
from vm.certificates import Authority
from vm.disks import copy_disk
from vm.lives import Guest
from vm.machine import KERNEL_IS_UP, NETWORK_CARD
from vm.s3_server import S3Server

pytestmark = [pytest.mark.vm, pytest.mark.long]

LATE_SECONDS = 10.0
DAYS = 5
"""How long the certificate holds, from as many days ago on."""
_REFUSED = re.compile(r"\[ *(\d+)\.\d+\] torpor-resume: not resuming")
_INIT = re.compile(rf"\[ *(\d+)\.\d+\] {KERNEL_IS_UP}")


class Hibernated:
    """A guest whose image is on a server, both as they are then before each boot."""

    def __init__(self, guest: Guest, server: S3Server, authority: Authority, folder: Path) -> None:
        """Keep copies of both. The guest is off."""
        self.guest, self.server, self.authority = guest, server, authority
        self._access_key = server.access_key
        self._root = copy_disk(guest.root, folder / "root.img")
        self._data = folder / "data"
        server.stop()
        shutil.copytree(server.folder / "data", self._data)

    def again(self) -> None:
        """Have both as they were; the server is off."""
        self.guest.kill()
        self.server.kill()
        copy_disk(self._root, self.guest.root)
        shutil.rmtree(self.server.folder / "data")
        shutil.copytree(self._data, self.server.folder / "data")
        self.server.access_key = self._access_key
        self.guest.clock_days = 0

    def start(self, *names: str, ends: float = DAYS) -> None:
        """Start the server, with another certificate."""
        folder = self.server.folder / f"certificate-{time.monotonic_ns()}"
        self.server.certificate = self.authority.sign(folder, *names, begins=-DAYS, ends=ends)
        self.server.start()

    def meanwhile(self, pattern: str, *steps: Callable[[], None]) -> None:
        """Take these steps once the console of the next boot shows this pattern."""

        def wait_and_do() -> None:
            while not self.guest.is_on or not re.search(pattern, self.guest.console):
                time.sleep(0.1)
            for step in steps:
                step()
            threading.Event().wait()  # a server dies with the thread that has started it

        threading.Thread(target=wait_and_do, daemon=True).start()


def unplug(of: Hibernated) -> None:
    """Pull the cable."""
    of.guest.running.monitor("set_link", name=NETWORK_CARD, up=False)


def plug(of: Hibernated) -> None:
    """Plug it in again."""
    of.guest.running.monitor("set_link", name=NETWORK_CARD, up=True)


def wait() -> None:
    """Be late."""
    time.sleep(LATE_SECONDS)


@pytest.fixture
def hibernated(
    guests: Guests, authority: Authority, tmp_path: Path, record_property: Recorder
) -> Iterator[Hibernated]:
    certificate = authority.sign(tmp_path / "certificate", begins=-DAYS, ends=DAYS)
    with S3Server(tmp_path / "server", certificate) as server:
        guest, _ = on_server(("initramfs-tools-network", "12", "6.1"), guests, server)
        guest.hibernate()
        yield Hibernated(guest, server, authority, tmp_path)
    record_property("seconds", dict(guest.seconds))


def unplugged(of: Hibernated) -> None:
    of.start()
    of.meanwhile(KERNEL_IS_UP, partial(unplug, of))


def off(_of: Hibernated) -> None:
    pass


def wrong_name(of: Hibernated) -> None:
    of.start("elsewhere.example")


def expired(of: Hibernated) -> None:
    of.start(ends=-1)


def clock_far_ahead(of: Hibernated) -> None:
    of.guest.clock_days = 2 * DAYS
    of.start()


def revoked(of: Hibernated) -> None:
    of.server.access_key = "AKANOTHER"
    of.start()


Fault = Callable[[Hibernated], None]

REFUSED: dict[Fault, str] = {
    unplugged: "unreachable|no answer|timed out",
    off: "connection refused",
    wrong_name: "TLS: .*not valid for|TLS: .*mismatch",
    expired: "TLS: certificate has expired",
    clock_far_ahead: "TLS: certificate has expired",
    revoked: "403 InvalidAccessKeyId",
}


def late(of: Hibernated) -> None:
    of.meanwhile(KERNEL_IS_UP, wait, of.start)


def plugged_in_late(of: Hibernated) -> None:
    of.start()
    of.meanwhile(KERNEL_IS_UP, partial(unplug, of), wait, partial(plug, of))


def killed_while_loading(of: Hibernated) -> None:
    of.start()
    of.meanwhile("torpor-resume: loading", of.server.kill, of.server.start)


def clock_a_day_ahead(of: Hibernated) -> None:
    of.guest.clock_days = 1
    of.start()


RESUMED: tuple[Fault, ...] = (late, plugged_in_late, killed_while_loading, clock_a_day_ahead)


def test_each_fault(hibernated: Hibernated, record_property: Recorder) -> None:
    guest = hibernated.guest
    for fault in RESUMED:
        hibernated.again()
        fault(hibernated)
        resume(guest, ASKS_PASSPHRASE)
    took = {}
    for fault, why in REFUSED.items():
        hibernated.again()
        fault(hibernated)
        refusal = boot_cold(guest)
        assert re.search(why, refusal), (fault.__name__, refusal)
        assert ASKS_PASSPHRASE not in guest.console, "nobody is asked for what cannot be read"
        init, refused = (pattern.search(guest.console) for pattern in (_INIT, _REFUSED))
        assert init, guest.console
        assert refused, guest.console
        took[fault.__name__] = int(refused[1]) - int(init[1])
    record_property("seconds_to_refuse", took)
    print(took)
