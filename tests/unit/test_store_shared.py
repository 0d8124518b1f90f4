"""A store that several systems share: each throws away its own images only, unless told to."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import OtherInstallationError
from linux import kmsg
from store import identity, place
from store.device import DeviceStore
from store.find import look_at, open_store
from tests.forge import PAGE, USER
from tests.premises.volumes import loop_device, skip_unless_mountable
from tests.sources import image_to, opened
from tests.tools import Result, failing
from tests.unit.conftest import Torpor
from tests.unit.fake_machine import FakeMachine, header
from tests.unit.marked import HERE, Made, put_image
from tests.vectors.images import noise
from torpor import hibernation
from vm.host import SEARCH_PATH


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delitem(place.VOLATILE, "loop")
    monkeypatch.setenv("PATH", SEARCH_PATH)
    skip_unless_mountable("ext4")
    backing = tmp_path / "disk"
    backing.write_bytes(bytes(512 * PAGE))
    with loop_device(backing) as device:
        yield device


def hibernate_to(path: str, stream: bytes) -> None:
    with DeviceStore(path) as store:
        store.slot.set_mark(image_to(store.sink(), stream))


def test_image_of_another_system_is_not_overwritten(
    device: str, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    torpor("mkstore", device)
    hibernate_to(device, noise(20 * PAGE))
    before = Path(device).read_bytes()
    monkeypatch.setattr(identity, "machine_id", lambda _root: "ab" * 16)
    words = f"{device} holds an image of another installation, lynx, of 2026-01-01 00:00 UTC"
    refused = f"torpor: {words}\n  if that can go: torpor discard --force {device}\n"
    for command in ("mkstore", "discard"):
        assert torpor(command, device) == Result(17, "", refused)
    assert torpor("discard", "--stale", device) == Result(0, f"{words}: kept\n", "")
    assert str(look_at(device).others_image) == words
    monkeypatch.setattr(kmsg, "PATH", "/dev/null")
    monkeypatch.setattr(hibernation, "carry_out", failing(AssertionError("it went on")))
    assert torpor("hibernate", "--working-set=off", "--store", device) == Result(17, "", refused)
    with pytest.raises(OtherInstallationError, match=words):
        open_store(device)
    assert Path(device).read_bytes() == before
    assert torpor("discard", "--stale", "--force", device).code == 2
    assert torpor("discard", "--force", device).code == 0
    with open_store(device) as store:
        assert store.room
    hibernate_to(device, noise(20 * PAGE))
    assert torpor("mkstore", "--force", device).code == 0


def test_where_an_id_is_missing_nothing_tells_systems_apart(
    device: str, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that boots for the first time has no id yet.

    An image that is damaged does not tell whose it is.
    """
    torpor("mkstore", device)
    hibernate_to(device, noise(20 * PAGE))
    monkeypatch.setattr(identity, "machine_id", lambda _root: "")
    words = f"{device} holds an image of an unknown installation, lynx (this one has no machine id)"
    assert torpor("discard", device).err.startswith(f"torpor: {words}, of 2026-01-01 00:00 UTC\n")
    with opened(device) as fd:
        os.pwrite(fd, b"x" * PAGE, PAGE)
    for command in ("mkstore", "discard"):
        refused = torpor(command, device)
        assert (refused.code, "does not tell whose it is" in refused.err) == (17, True)
    assert torpor("discard", "--force", device).code == 0


def test_doctor_says_so_before(fake: FakeMachine) -> None:
    fake.swaps()
    fake.write("/dev/sda2", header(USER, b"TORPSTOR") + bytes(1000 * PAGE))
    puma = HERE._replace(machine_id="ab" * 16, host_name="puma")
    put_image(fake.root / "dev/sda2", bytes(PAGE), [(1, 1000)], Made(puma))
    (finding,) = fake.bad()
    words = "/dev/sda2 holds an image of another installation, puma, of 1970-01-02 00:00 UTC"
    assert finding.message == words
    assert finding.remedy == "if that can go: torpor discard --force /dev/sda2"
    os.truncate(fake.root / "dev/sda2", PAGE)
    (cut_off,) = fake.bad()
    assert "/dev/sda2 holds an image which does not tell whose it is: " in cut_off.message
    assert cut_off.remedy == finding.remedy
