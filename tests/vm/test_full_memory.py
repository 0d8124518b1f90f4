"""A machine whose memory is full: the writer never needs what is not there."""

import re

import pytest

from tests.conftest import ENDED
from tests.vm.conftest import Boot, Nursery, Recorder
from tests.vm.cuts import check_continues
from vm.disks import ext4_complaints, swap_disk

pytestmark = [pytest.mark.vm, pytest.mark.long]

NEEDED_KIB = 12 << 10
"""What docs/PERFORMANCE.md says that suffices."""


@pytest.mark.parametrize("reserved", ["", " reserved=0"], ids=["ours", "none"])
def test_memory_is_full(
    reserved: str, nursery: Nursery, boot: Boot, record_property: Recorder
) -> None:
    """The image is as large as it can be; also where the kernel reserves nothing for the writer."""
    disk = nursery.folder(f"full{len(reserved)}") / "swap.img"
    append = f"resume=UUID={swap_disk(disk, 768)}{reserved}"
    machine = nursery.machine(disk.parent.name, "6.1", append, disk)
    first = nursery.first_life(machine, "full").first
    said = re.search(r"(\d+) KiB of memory were free before that, (\d+) KiB at", first.console)
    assert said
    before, after = map(int, said.groups())
    assert before - after < NEEDED_KIB
    result = boot(machine)
    check_continues(first, result)
    assert result.told("code") == "0"
    assert result.told("data-differs") == "0"
    if not reserved:
        old, now = (result.told("reserved") or "").split(",")
        assert old == now
    assert ext4_complaints(machine.disks[0]) == ""
    record_property(ENDED, ("memory is full", "swap", f"{before} KiB free", f"{after} KiB at end"))
