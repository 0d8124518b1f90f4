"""A store on a block device: a loop device, where there may be one."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from errors import DeviceNotFoundError, StoreRefusedError, TorporError
from format.writer import ImageWriter, new_buffers
from linux.mounts import SwapArea
from store import place
from store.device import DeviceStore, make_store
from store.find import open_store
from store.place import Place
from store.swap import SwapStore
from tests.forge import PAGE, UUID_A
from tests.premises.volumes import loop_device, skip_unless_mountable
from tests.sources import read_file, reader_of, superblock
from tests.vectors import devices
from tests.vectors.images import noise
from torpor.__main__ import main
from vm.host import SEARCH_PATH, run

PAGES = 512
Torpor = Callable[..., tuple[int, str]]


@pytest.fixture
def torpor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Torpor:
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("PATH", SEARCH_PATH)
        monkeypatch.setattr(sys, "argv", ["torpor", *arguments])
        code = main()
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.delitem(place.VOLATILE, "loop")
    skip_unless_mountable("ext4")
    backing = tmp_path / "disk"
    backing.write_bytes(bytes(PAGES * PAGE))
    with loop_device(backing) as device:
        yield device


def hibernate_to(path: str, stream: bytes) -> None:
    with DeviceStore(path) as store:
        sink = store.sink()
        writer = ImageWriter(sink, superblock(8 * PAGE), new_buffers(8 * PAGE))
        writer.write_stream(reader_of(stream), lambda _done: None)
        writer.finish()
        store.slot.set_mark(sink.finish(UUID_A, writer.size))


def test_life_of_a_store(device: str, torpor: Torpor) -> None:
    code, said = torpor("mkstore", device)
    assert (code, "boot with resume=UUID=" in said) == (0, True)
    assert torpor("verify", device) == (3, f"torpor: no image: the store {device} is empty\n")
    stream = noise(60 * PAGE)
    hibernate_to(device, stream)
    assert torpor("verify", device)[0] == 0
    assert read_file(Path(device)) == stream
    assert torpor("discard", device)[0] == 0
    assert torpor("verify", device)[0] == 3


def test_mkstore_again_discards(device: str, torpor: Torpor) -> None:
    torpor("mkstore", device)
    hibernate_to(device, noise(PAGE))
    assert torpor("mkstore", device)[0] == 0
    assert torpor("verify", device)[0] == 3


def test_store_in_use_is_refused(device: str, torpor: Torpor) -> None:
    torpor("mkstore", device)
    with DeviceStore(device):
        for use in (DeviceStore, make_store):
            with pytest.raises(StoreRefusedError, match="is in use"):
                use(device)


def test_mkstore_spares_what_holds_something(device: str, torpor: Torpor) -> None:
    run("mkswap", device)
    before = Path(device).read_bytes()
    code, said = torpor("mkstore", device)
    assert (code, "holds something already" in said, "wipefs" in said) == (8, True, True)
    assert Path(device).read_bytes() == before


def test_image_without_a_mark_is_explained(device: str, torpor: Torpor) -> None:
    """A file written to a device with dd: where it ends, nothing says."""
    Path(device).write_bytes(devices.IMAGE)
    code, said = torpor("verify", device)
    assert (code, "holds an image's bytes, but no mark" in said) == (3, True)


def test_full_store(device: str, torpor: Torpor) -> None:
    torpor("mkstore", device)
    with pytest.raises(TorporError, match="no room left") as caught:
        hibernate_to(device, noise(PAGES * PAGE))
    assert caught.value.exit_code == 9
    assert torpor("verify", device)[0] == 3


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
        assert torpor("mkstore", str(path)) == (8, f"torpor: {path} is not a block device\n")


def test_images_of_files_do_not_go_to_devices(device: str, torpor: Torpor, tmp_path: Path) -> None:
    stream = tmp_path / "stream"
    stream.write_bytes(noise(3 * PAGE))
    code, said = torpor("pack", str(stream), device)
    assert (code, "is a block device, not a file" in said) == (8, True)
    with open(device, "rb") as file:
        assert not file.read().strip(b"\0")
