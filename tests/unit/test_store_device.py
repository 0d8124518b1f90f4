"""A store on a block device: a loop device, where there may be one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import DeviceNotFoundError, StoreRefusedError, TorporError
from linux.mounts import SwapArea
from store import place
from store.device import DeviceStore, make_store
from store.find import open_store
from store.place import Place
from store.swap import SwapStore
from tests.forge import PAGE
from tests.premises.volumes import loop_device, skip_unless_mountable
from tests.sources import image_to, read_file
from tests.tools import Result
from tests.unit.conftest import Torpor
from tests.vectors import devices
from tests.vectors.images import noise
from vm.host import SEARCH_PATH, run

PAGES = 512


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delitem(place.VOLATILE, "loop")
    monkeypatch.setenv("PATH", SEARCH_PATH)
    skip_unless_mountable("ext4")
    backing = tmp_path / "disk"
    backing.write_bytes(bytes(PAGES * PAGE))
    with loop_device(backing) as device:
        yield device


def hibernate_to(path: str, stream: bytes) -> None:
    with DeviceStore(path) as store:
        store.slot.set_mark(image_to(store.sink(), stream))


def test_life_of_a_store(device: str, torpor: Torpor) -> None:
    made = torpor("mkstore", device)
    assert (made.code, "boot with resume=UUID=" in made.out) == (0, True)
    said = f"torpor: no image: the store {device} is empty\n"
    assert torpor("verify", device) == Result(3, "", said)
    stream = noise(60 * PAGE)
    hibernate_to(device, stream)
    assert torpor("verify", device).code == 0
    assert read_file(Path(device)) == stream
    assert torpor("discard", device).code == 0
    assert torpor("verify", device).code == 3


def test_mkstore_again_discards(device: str, torpor: Torpor) -> None:
    torpor("mkstore", device)
    hibernate_to(device, noise(PAGE))
    assert torpor("mkstore", device).code == 0
    assert torpor("verify", device).code == 3


def test_store_in_use_is_refused(device: str, torpor: Torpor) -> None:
    torpor("mkstore", device)
    with DeviceStore(device):
        for use in (DeviceStore, make_store):
            with pytest.raises(StoreRefusedError, match="is in use"):
                use(device)


def test_mkstore_spares_what_holds_something(device: str, torpor: Torpor) -> None:
    run("mkswap", device)
    before = Path(device).read_bytes()
    made = torpor("mkstore", device)
    assert made.code == 8
    assert "holds something already" in made.err
    assert "wipefs" in made.err
    assert Path(device).read_bytes() == before


def test_image_without_a_mark_is_explained(device: str, torpor: Torpor) -> None:
    """A file written to a device with dd: where it ends, nothing says."""
    Path(device).write_bytes(devices.IMAGE)
    verified = torpor("verify", device)
    assert (verified.code, "holds an image's bytes, but no mark" in verified.err) == (3, True)


def test_full_store(device: str, torpor: Torpor) -> None:
    torpor("mkstore", device)
    with pytest.raises(TorporError, match="no room left") as caught:
        hibernate_to(device, noise(PAGES * PAGE))
    assert caught.value.exit_code == 9
    assert torpor("verify", device).code == 3


def test_swap_store_wants_swaps_header(device: str) -> None:
    with pytest.raises(StoreRefusedError, match="no swap header of version 1"):
        SwapStore(SwapArea(device, is_partition=True, size=PAGES * PAGE, used=0), Place(device, 0))
    with pytest.raises(StoreRefusedError, match="neither swap in use nor a store"):
        open_store(device)
    with pytest.raises(StoreRefusedError, match="is no store any more"):
        DeviceStore(device)


def test_no_device(torpor: Torpor, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(PAGES * PAGE))
    with pytest.raises(DeviceNotFoundError):
        make_store(str(tmp_path / "nowhere"))
    for path in (tmp_path / "file", tmp_path, Path("/dev/null")):
        said = f"torpor: {path} is not a block device\n"
        assert torpor("mkstore", path) == Result(8, "", said)


def test_images_of_files_do_not_go_to_devices(device: str, torpor: Torpor, tmp_path: Path) -> None:
    stream = tmp_path / "stream"
    stream.write_bytes(noise(3 * PAGE))
    packed = torpor("pack", stream, device)
    assert (packed.code, "is a block device, not a file" in packed.err) == (8, True)
    with open(device, "rb") as file:
        assert not file.read().strip(b"\0")
