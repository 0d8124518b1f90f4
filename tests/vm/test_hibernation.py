"""A machine that hibernated comes back, once; one that cannot boots cold and says why."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from format.mark import MarkState
from linux import PAGE_SIZE
from tests.sources import opened
from tests.vm.conftest import LIMIT_SECONDS, Boot, Nest, Nursery, copied, throttle
from tests.vm.cuts import check_continues, check_goes_on, refusals, words
from tests.vm.image import PARTITION_START, flip_bit, is_marked, places, put_state, slice_of
from vm.disks import ext4_complaints, swap_disk
from vm.host import BUILD, run
from vm.machine import Machine, Result

pytestmark = pytest.mark.vm

COLD_SECONDS = 60
"""What only a boot that hangs reaches: one that waits for a device gives up after 10."""


def assert_resumed(nest: Nest, machine: Machine, result: Result) -> None:
    """The process of the first life goes on in the same boot, on a root that stayed clean."""
    assert result.told("cold-boot") is None
    assert not any(line.startswith("resumer-exit") for line in result.report)
    assert result.told("code") == "0"
    assert result.status == 0
    check_continues(nest.first, result)
    assert ext4_complaints(machine.disks[0]) == ""


def assert_cold(machine: Machine, result: Result, code: int, message: str) -> None:
    """The boot went on in time, said why in one line, and left the root clean."""
    assert words(result.report, "resumer-exit ")["code"] == str(code)
    said = refusals(result)
    assert len(said) == 1, said
    assert re.search(message, said[0]), said
    assert any(line.startswith("cold-boot") for line in result.report)
    began, ended = (
        float(words(result.report, event)["uptime"]) for event in ("resumer-start ", "init ")
    )
    assert ended - began < COLD_SECONDS
    assert ext4_complaints(machine.disks[0]) == ""


def test_resume_from_a_swap_partition_by_uuid(on_swap: Nest, boot: Boot, tmp_path: Path) -> None:
    machine = on_swap.copy(tmp_path / "second")
    result = boot(machine)
    assert_resumed(on_swap, machine, result)
    assert result.told("swaps") == "1"
    again = boot(replace(machine, log=tmp_path / "again.log"))
    assert_cold(machine, again, 3, "no image: /dev/vdb1 is swap without an image")


def test_resume_from_a_store_device_by_path(on_store: Nest, boot: Boot, tmp_path: Path) -> None:
    assert "mkstore-root refused=8" in "\n".join(on_store.first.report)
    machine = on_store.copy(tmp_path / "second")
    assert_page_types(machine.disks[1])
    assert_resumed(on_store, machine, boot(machine))
    again = boot(replace(machine, log=tmp_path / "again.log"))
    assert_cold(machine, again, 3, "no image: the store /dev/vdb is empty")


def assert_page_types(store: Path) -> None:
    """A sample of the frames tells of all; over 100 MiB of files in a tmpfs are anonymous."""
    facts = json.loads(run(BUILD / "torpor/torpor", "inspect", "--json", store))
    types = facts["page_types"]
    pages = facts["stream_bytes"] // PAGE_SIZE
    sample = types.pop("sample")
    total = sum(types.values())
    assert 1 + total / (PAGE_SIZE // 8) + total == pytest.approx(pages, rel=0.02), types
    assert 1024 < sample <= 2048
    assert types["anonymous"] > (100 << 20) // PAGE_SIZE
    assert min(types["page_cache"], types["slab"], types["kernel"]) > (1 << 20) // PAGE_SIZE
    assert types["other"] < 0.1 * total, types


def test_resume_on_the_new_kernel_with_zero_pages_at_the_end(
    on_new_kernel: Nest, boot: Boot, tmp_path: Path
) -> None:
    machine = on_new_kernel.copy(tmp_path / "second")
    assert ends_in_zero_pages(machine.disks[1], tmp_path)
    result = boot(machine)
    assert_resumed(on_new_kernel, machine, result)
    assert re.fullmatch("[0-9a-f]{32}", result.told("zeros") or "")
    assert result.told("swapoff") == "0"


def ends_in_zero_pages(store: Path, folder: Path) -> bool:
    """Return whether the last page of the snapshot is marked as one of zeros.

    kernel/power/snapshot.c since 005e8dddd497: bit 63 of a page frame number. The frame numbers
    follow the first page, as many pages of them as there are between it and the data.
    """
    stream = folder / "stream"
    run(BUILD / "torpor/torpor", "unpack", store, stream)
    data = stream.read_bytes()
    words = memoryview(data)[PAGE_SIZE:].cast("Q")
    frames: list[int] = []
    for word in words:
        if frames and word == 0xFFFF_FFFF_FFFF_FFFF:
            break
        frames.append(word)
    return bool(frames[-1] >> 63)


def with_flipped_bit(machine: Machine) -> Machine:
    disk = machine.disks[1]
    pages = places(slice_of(disk, disk.parent, PARTITION_START), 5)
    flip_bit(disk, PARTITION_START + pages[0] * PAGE_SIZE + 1234)
    return machine


def with_end_missing(machine: Machine) -> Machine:
    disk = machine.disks[1]
    pages = places(slice_of(disk, disk.parent, PARTITION_START), 20)
    with opened(disk) as fd:
        for page in pages:
            os.pwrite(fd, bytes(PAGE_SIZE), PARTITION_START + page * PAGE_SIZE)
    return machine


def with_noresume(machine: Machine) -> Machine:
    return replace(machine, append=f"{machine.append} noresume")


def with_claimed_mark(machine: Machine) -> Machine:
    put_state(machine.disks[1], MarkState.CLAIMED, loads=1, attempts=1)
    return machine


GONE = "; the .* discarded"
BREAKAGES = {
    "flipped-bit": (4, "chunk 5 has a wrong checksum", with_flipped_bit),
    "cut-off": (4, "no trailer at byte .*", with_end_missing),
    "noresume": (10, "noresume on the kernel command line", with_noresume),
    "claimed": (20, "not restored any more: power was lost .*", with_claimed_mark),
}
"""What is done to a hibernated machine before it boots, and what it has to say then."""
LONG = [pytest.param(name, marks=pytest.mark.long) for name in ("cut-off", "noresume")]


@pytest.mark.parametrize("name", ["flipped-bit", "claimed", *LONG])
def test_cold_boot(name: str, on_swap: Nest, boot: Boot, tmp_path: Path) -> None:
    code, message, change = BREAKAGES[name]
    machine = change(on_swap.copy(tmp_path / "broken"))
    assert_cold(machine, boot(machine), code, message + GONE)
    with machine.disks[1].open("rb") as disk:
        disk.seek(PARTITION_START)
        assert b"SWAPSPACE2" in disk.read(PAGE_SIZE)


@pytest.mark.long
def test_power_lost_while_loading(on_swap: Nest, boot: Boot, tmp_path: Path) -> None:
    machine = on_swap.copy(tmp_path / "loading")
    put_state(machine.disks[1], MarkState.LOADING, loads=2, attempts=0)
    assert_resumed(on_swap, machine, boot(machine))


def with_kernel(machine: Machine, nursery: Nursery, series: str) -> Machine:
    other = nursery.machine("other", series, "", machine.disks[1])
    log = machine.log.with_name(f"{series}.log")
    return replace(machine, kernel=other.kernel, initramfs=other.initramfs, log=log)


@pytest.mark.long
def test_image_of_the_other_kernel_is_kept_for_the_right_one(
    on_swap: Nest, nursery: Nursery, boot: Boot, tmp_path: Path
) -> None:
    """The boot of the other kernel ends before it mounts the root: nothing has changed."""
    machine = on_swap.copy(tmp_path / "kept")
    other = with_kernel(machine, nursery, "6.12")
    passing = boot(replace(other, append=f"{other.append} unmounted"))
    release, here = on_swap.machine.kernel.release, other.kernel.release
    message = rf"image is of kernel {re.escape(release)}, this is {re.escape(here)}"
    fate = "the image on /dev/vdb1 is kept; the working set on /dev/vdb1 is handed on"
    assert re.fullmatch(rf"{message}; {fate}", refusals(passing)[0])
    assert_resumed(on_swap, machine, boot(machine))


@pytest.mark.long
def test_kept_image_is_stale_once_the_root_was_mounted(
    on_swap: Nest, nursery: Nursery, boot: Boot, tmp_path: Path
) -> None:
    """A boot that discards it has its swap; one that does not leaves it to the guard."""
    machine = on_swap.copy(tmp_path / "stale", scenario="stale")
    cleaned = boot(with_kernel(machine, nursery, "6.12"))
    assert_cold(machine, cleaned, 11, "the image on /dev/vdb1 is kept")
    assert (cleaned.told("swapon") != "0", cleaned.told("before")) == (True, "0")
    assert (cleaned.told("stale"), cleaned.told("after")) == ("0", "1")
    assert re.match(
        r"the_image_on_/dev/vdb1_is_discarded:_the_ext4_of_/", cleaned.told("said") or ""
    )
    machine = on_swap.copy(tmp_path / "left")
    assert_cold(machine, boot(with_kernel(machine, nursery, "6.12")), 11, "is kept")
    message = "the ext4 of /, on /dev/vda, has changed .*; the image .* discarded"
    assert_cold(machine, boot(machine), 19, message)


def test_machine_with_more_memory_than_the_image(on_swap: Nest, boot: Boot, tmp_path: Path) -> None:
    machine = replace(on_swap.copy(tmp_path / "grown"), memory=on_swap.machine.memory + 128)
    message = (
        r"image is of 383 MiB of memory, this machine has 511 MiB; the first range that differs "
        r"was 0x100000 0x17\w+ System RAM, is 0x100000 0x1f\w+ System RAM; the image .* is kept"
    )
    assert_cold(machine, boot(machine), 12, message)


def test_device_that_never_comes(on_swap: Nest, boot: Boot, tmp_path: Path) -> None:
    nowhere = "resume=UUID=00000000-dead-beef-0000-000000000000 scenario=cold"
    machine = replace(on_swap.copy(tmp_path / "absent"), append=nowhere)
    assert_cold(machine, boot(machine), 7, "UUID=.* did not appear within 10 s")


@pytest.mark.long
def test_damaged_image_on_the_new_kernel(on_new_kernel: Nest, boot: Boot, tmp_path: Path) -> None:
    machine = on_new_kernel.copy(tmp_path / "broken")
    disk = machine.disks[1]
    flip_bit(disk, places(disk, 3)[0] * PAGE_SIZE + 99)
    assert_cold(machine, boot(machine), 4, f"chunk 3 has a wrong checksum{GONE}")


@pytest.mark.long
def test_writer_killed_and_interrupted_half_way(
    nursery: Nursery, boot: Boot, tmp_path: Path
) -> None:
    disk = nursery.folder("stopped") / "swap.img"
    resume = f"resume=UUID={swap_disk(disk, 512)}"
    machine = nursery.machine("stopped", "6.1", f"{resume} scenario=stopped", disk)
    with machine.start(LIMIT_SECONDS) as running:
        for nth, (name, key) in enumerate((("quit", b"\x1c"), ("int", b"\x03")), start=1):
            running.wait_console(rf"(?s)(torpor: snapshot of .*?){{{nth}}}")
            throttle(running, bps_wr=4 << 20)
            running.send(key)
            running.wait_report(f"^alive-{name} ")
            throttle(running)
        result = running.wait()
    assert "torpor: marking" not in result.console
    assert check_goes_on(result.report, "quit")["exit"] == "131"
    assert check_goes_on(result.report, "int")["exit"] == "14"
    assert int(result.told("swapped-quit") or 0) > 0, "nothing was swapped out: no test of swap"
    assert result.told("swapoff") == "0"
    assert ext4_complaints(machine.disks[0]) == ""
    assert not is_marked(disk)
    cold = copied(machine, tmp_path, f"{resume} scenario=cold")
    assert_cold(cold, boot(cold), 3, "no image: /dev/vdb is swap without an image")
