"""Which swap and stores there were: in the same place, made by the same mkswap, or not there."""

from pathlib import Path
from uuid import UUID

import pytest

from errors import ChangedError
from format.first_page import empty_store
from format.tables import GuardEntry, Method
from guard.compare import compare
from guard.take import Guarded
from linux.mounts import Mount
from tests import forge
from tests.tools import failing
from tests.unit.fake_root import UUID_2, Disks, ext

NOTHING_TO_WAIT_FOR = failing(AssertionError("nothing to wait for"))


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path)


def taken(disks: Disks, *swap: str, mounts: tuple[Mount, ...] = ()) -> list[GuardEntry]:
    with Guarded() as guarded:
        guarded.open_all(disks.table(*mounts))
        guarded.open_swap(swap)
        return list(guarded.entries(lambda: None))


def test_each_device_once(disks: Disks) -> None:
    """But for memory, files, and what is neither swap nor a store."""
    swap = disks.add("sda", forge.header_page(2))
    store = disks.add("sdb", empty_store(4, UUID_2))
    others = [disks.add("sdc", ext()), disks.add("zram0", forge.header_page(2)), "/swapfile"]
    Path(disks.path("/swapfile")).write_bytes(forge.header_page(2))
    entries = taken(disks, store, swap, store, *others)
    assert [(e.method, e.identity, e.file_system, e.device, e.mount_point) for e in entries] == [
        (Method.SWAP, UUID_2, "swap", store, store),
        (Method.SWAP, forge.SWAP_UUID.bytes, "swap", swap, swap),
    ]


@pytest.mark.parametrize("uuid", [forge.SWAP_UUID, UUID(int=0)], ids=["uuid", "none"])
def test_what_is_on_it_does_not_count(uuid: UUID, disks: Disks) -> None:
    """The image is; but another mkswap has made it another one."""
    path = disks.add("sda", forge.header_page(2, uuid=uuid) + bytes(4096))
    entries = taken(disks, path)
    marked = forge.header_page(2, b"mark" * 64, signature=forge.USER, uuid=uuid)
    disks.add("sda", marked + b"\xdb" * 4096)
    compare(entries, NOTHING_TO_WAIT_FOR, disks)
    disks.add("sda", forge.header_page(1, uuid=uuid) + bytes(4096))
    with pytest.raises(ChangedError, match=f"swap of {path}, on {path}, has .*: mkswap has run"):
        compare(entries, NOTHING_TO_WAIT_FOR, disks)


def test_one_that_is_not_there_is_not_waited_for(disks: Disks) -> None:
    """One with a random key never comes, and the restored machine has it; a file system has to."""
    root = Mount(1, "8:1", "/", "ext4", "none")
    paths = disks.add("sda", forge.header_page(2)), disks.add("sdb", ext())
    entries = taken(disks, paths[0], mounts=(root,))
    disks.remove("sda")
    compare(entries, NOTHING_TO_WAIT_FOR, disks)
    disks.remove("sdb")
    with pytest.raises(ChangedError, match="the ext4 of /, on /dev/sdb then, is not there"):
        compare(entries, lambda: False, disks)


def test_one_in_another_place(disks: Disks) -> None:
    """The restored machine would go on to swap to what is in its place now."""
    path = disks.add("sda", forge.header_page(2))
    (entry,) = taken(disks, path)
    with pytest.raises(ChangedError, match=f"the swap of {path} lies elsewhere"):
        compare([entry._replace(layers="disk elsewhere")], NOTHING_TO_WAIT_FOR, disks)
