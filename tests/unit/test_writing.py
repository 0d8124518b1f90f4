"""What the writer puts into an image, and the reading back of it before it is marked."""

import os
import re
from dataclasses import replace

import pytest

from errors import DamagedError
from format import records
from format.layout import CHUNK_HEADER_SIZE
from format.mark import Mark
from format.reader import ImageReader
from format.tables import Guard, GuardEntry, MachineFacts
from guard.take import Guarded
from hibernate.writing import Writing
from linux import PAGE_SIZE
from linux.kmsg import Log
from linux.snapshot import SnapshotDevice
from store.header import read_header
from store.identity import these_facts
from store.image import open_image
from tests.sources import opened
from tests.unit.hibernating import Hibernation
from tests.unit.marked import ROOT


def test_image_is_read_back_before_it_is_marked(hibernation: Hibernation) -> None:
    hibernation.plan = replace(hibernation.plan, verify=True)
    hibernation.run_to_power_off()
    phases = [line for line in hibernation.said if "read back" in line or line == "marking"]
    assert re.fullmatch(r"\d MiB read back in \d+\.\d s", phases[0])
    assert phases[1] == "marking"


@pytest.mark.parametrize("nth", [0, 1, -1], ids=["stream", "guard", "facts"])
def test_what_the_device_gives_back_wrong_is_never_marked(
    nth: int, hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bit of the last chunk of each section is wrong on the device once all is written."""
    path, device = hibernation.path, hibernation.device
    really = Writing.write

    def write(self: Writing, snapshot: SnapshotDevice, guard: list[GuardEntry], log: Log) -> Mark:
        mark = really(self, snapshot, guard, log)
        with opened(path) as fd:
            source = read_header(fd, str(path)).source(mark)
            image = ImageReader(source)
            section = image.index.sections[nth]
            last = section.first_chunk + section.chunk_count - 1
            at = image.index.offsets[last] + CHUNK_HEADER_SIZE
            page, within = divmod(at, PAGE_SIZE)
            pages = [p for start, count in source.extents for p in range(start, start + count)]
            at = pages[page] * PAGE_SIZE + within
            os.pwrite(fd, bytes([os.pread(fd, 1, at)[0] ^ 1]), at)
        return mark

    monkeypatch.setattr(Writing, "write", write)
    plan = hibernation.plan
    hibernation.plan = replace(plan, verify=True)
    with pytest.raises(DamagedError, match="wrong checksum"):
        hibernation.run()
    assert hibernation.first_page() == hibernation.header
    assert device.calls[-4:-1] == ["free_swap_pages", "free", "unfreeze"]
    device.at = 0
    hibernation.plan = plan
    hibernation.run_to_power_off()


def test_image_has_guard_and_facts(
    hibernation: Hibernation, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[bool] = []

    def entries(_self: Guarded) -> list[GuardEntry]:
        frozen.append(hibernation.device.frozen and not hibernation.device.ready)
        return [ROOT]

    monkeypatch.setattr(Guarded, "entries", entries)
    with open_image(str(hibernation.run_to_power_off())) as source:
        image = ImageReader(source)
        guard, facts = (image.table(kind) for kind in (records.GUARD, records.MACHINE_FACTS))
    assert frozen == [True]
    assert Guard.parse(guard or b"") == [ROOT]
    assert MachineFacts.parse(facts or b"") == these_facts()
