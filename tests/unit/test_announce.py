"""What is named to the kernel as the place of images, and what never is."""

import os
from pathlib import Path

import pytest

from errors import SetupError, StoreRefusedError
from initramfs.generators.generator import Target
from linux import block, cmdline, power, proc, swap
from linux.efivar import EFI
from state import early
from state import location as state_location
from state.announced import read_announced
from state.location import Location
from store import swap as store_swap
from store.header import read_header
from store.place import Place
from tests.forge import KERNEL, SWAP, USER
from tests.unit.conftest import SwapFile, Torpor
from torpor.enable import announce as announcing
from torpor.enable import units
from torpor.enable.announce import NOWHERE, announce, retract
from torpor.enable.enable import disable, take_effect
from torpor.enable.system import System

NUMBER = os.makedev(259, 7)
KEPT = Location("UUID=kept")
FILE = Location("UUID=kept", 34)
TARGET = Target(KEPT, luks=(), lvm=())


class Kernel:
    """/sys/power, as a new kernel has it; each name that was given to it in its order."""

    def __init__(self, folder: Path) -> None:
        self.resume = folder / "resume"
        self.offset = folder / "resume_offset"
        self.name("0:0", 0)

    def name(self, device: str, page: int) -> None:
        self.resume.write_text(f"{device}\n")
        self.offset.write_text(f"{page}\n")

    @property
    def named(self) -> tuple[str, str]:
        return self.resume.read_text().strip(), self.offset.read_text().strip()


@pytest.fixture(name="kernel")
def _kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel(tmp_path)
    monkeypatch.setattr(power, "RESUME", str(made.resume))
    monkeypatch.setattr(power, "RESUME_OFFSET", str(made.offset))
    monkeypatch.setattr(announcing, "EFI", "/nonexistent/efi")
    return made


@pytest.fixture(name="device")
def _device(swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Swap in use on a partition that UUID=kept and UUID=told name, number 259:7."""
    path = swap_file(100)
    known = {"UUID=kept": str(path), "UUID=told": str(path)}
    monkeypatch.setattr(announcing, "find_device", known.get)
    monkeypatch.setattr(block, "number_of", lambda _: NUMBER)
    monkeypatch.setattr(block, "block_size", lambda _: 4096)
    return path


@pytest.fixture(name="file")
def _file(device: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Swap in use in a file that begins at page 34 of that device."""
    area = swap.SwapArea("/swapfile", is_partition=False, size=4096, used=0)
    monkeypatch.setattr(swap, "active_swaps", lambda: [area])
    monkeypatch.setattr(store_swap, "place_of", lambda _: Place(str(device), 34))
    page = bytearray(device.read_bytes()[:4096])
    with device.open("r+b") as opened:
        opened.write(bytes(4096))
        opened.seek(34 * 4096)
        opened.write(page)
    return device


@pytest.mark.usefixtures("device")
def test_swap_in_use_is_named(kernel: Kernel) -> None:
    announce({}, KEPT)
    assert kernel.named == ("259:7", "0")
    assert power.named_place() == read_announced() == (NUMBER, 0)


@pytest.mark.usefixtures("file")
def test_swap_file_is_named_by_device_and_page(kernel: Kernel) -> None:
    announce({}, FILE)
    assert kernel.named == ("259:7", "34")
    announce({"resume": "UUID=told", "resume_offset": "34"}, None)
    assert kernel.named == ("259:7", "34")


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    ("parameters", "location"),
    [
        ({"resume": "UUID=told"}, Location("UUID=other")),
        ({"resume": "UUID=told"}, None),
        ({"resume": ""}, KEPT),
    ],
)
def test_the_command_line_comes_first_as_at_a_boot(
    kernel: Kernel, parameters: dict[str, str], location: Location | None
) -> None:
    announce(parameters, location)
    assert kernel.named == ("259:7", "0")


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    ("parameters", "location"),
    [
        ({}, None),
        ({}, Location("UUID=gone")),
        ({}, Location("not a device")),
        ({}, Location("UUID=kept", 34)),
        ({"resume": "UUID=gone"}, KEPT),
        ({"resume": "UUID=told", "resume_offset": "34"}, KEPT),
    ],
)
def test_nowhere_unless_it_is_the_place_where_a_boot_looks(
    kernel: Kernel, parameters: dict[str, str], location: Location | None
) -> None:
    announce(parameters, location)
    assert kernel.named == ("0:1", "0")
    assert power.named_place() == read_announced() == NOWHERE


def test_swap_that_is_off_is_never_named(
    kernel: Kernel, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = swap.SwapArea(__file__, is_partition=True, size=4096, used=0)
    monkeypatch.setattr(swap, "active_swaps", lambda: [other])
    assert device.exists()
    announce({}, KEPT)
    assert kernel.named == ("0:1", "0")


@pytest.mark.parametrize("signature", [KERNEL, USER])
def test_what_could_hold_an_image_is_never_named(
    kernel: Kernel, device: Path, signature: bytes
) -> None:
    with device.open("r+b") as opened:
        opened.seek(4086)
        opened.write(signature)
    announce({}, KEPT)
    assert kernel.named == ("0:1", "0")


@pytest.mark.usefixtures("file")
def test_no_device_whose_cache_an_older_kernel_would_take_away(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(block, "block_size", lambda _: 1024)
    announce({}, FILE)
    assert kernel.named == ("0:1", "0")


@pytest.mark.usefixtures("device")
def test_a_device_that_cannot_be_read_is_not_named(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(block, "block_size", fails)
    announce({}, KEPT)
    assert kernel.named == ("0:1", "0")


@pytest.mark.usefixtures("device")
def test_a_swap_file_without_a_place_is_passed_over(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_path: str) -> Place:
        raise StoreRefusedError("it has holes")

    (partition,) = swap.active_swaps()
    holey = swap.SwapArea("/swapfile", is_partition=False, size=4096, used=0)
    monkeypatch.setattr(swap, "active_swaps", lambda: [holey, partition])
    monkeypatch.setattr(store_swap, "place_of", refused)
    announce({}, KEPT)
    assert kernel.named == ("259:7", "0")


@pytest.mark.usefixtures("device")
def test_what_another_has_named_stays(kernel: Kernel) -> None:
    kernel.name("8:5", 0)
    announce({}, KEPT)
    assert retract()
    assert kernel.named == ("8:5", "0")


@pytest.mark.usefixtures("device")
def test_what_was_ours_follows_the_store(kernel: Kernel) -> None:
    announce({}, Location("UUID=gone"))
    announce({}, KEPT)
    assert kernel.named == ("259:7", "0")
    announce({}, Location("UUID=gone"))
    assert kernel.named == ("0:1", "0")


@pytest.mark.usefixtures("device")
def test_what_is_named_is_not_named_again(kernel: Kernel) -> None:
    announce({}, KEPT)
    before = kernel.resume.stat().st_mtime_ns
    announce({}, KEPT)
    assert kernel.resume.stat().st_mtime_ns == before


@pytest.mark.usefixtures("device")
def test_with_efi_nothing_is_named(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcing, "EFI", str(tmp_path))
    announce({}, KEPT)
    assert kernel.named == ("0:0", "0")


@pytest.mark.usefixtures("device")
def test_retracting(kernel: Kernel) -> None:
    assert retract()
    announce({}, KEPT)
    assert retract()
    assert kernel.named == ("0:0", "0")
    assert read_announced() is None


@pytest.mark.usefixtures("file")
def test_a_kernel_that_keeps_its_name_keeps_all_of_it(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6.1 does not take 0:0; a device without its page would be another place."""
    announce({}, FILE)
    write = proc.write

    def refuses(path: str, text: str) -> None:
        if text == "0:0":
            raise OSError(22, "Invalid argument")
        write(path, text)

    monkeypatch.setattr(proc, "write", refuses)
    assert not retract()
    assert kernel.named == ("259:7", "34")
    announce({}, Location("UUID=gone"))
    assert kernel.named == ("0:1", "0"), "it is still ours"


@pytest.mark.parametrize("contents", ["", "8\n", "a:b\n"])
def test_a_kernel_that_says_something_else(kernel: Kernel, contents: str) -> None:
    kernel.resume.write_text(contents)
    with pytest.raises(SetupError, match="cannot be set"):
        announce({}, KEPT)
    assert kernel.resume.read_text() == contents


def test_a_kernel_without_hibernation(kernel: Kernel) -> None:
    kernel.resume.unlink()
    with pytest.raises(SetupError, match="No such file"):
        announce({}, KEPT)
    assert retract()


@pytest.mark.parametrize("text", ["", "8:2", "8:2 x\n", "8 0\n", "8:2 0\n8:3 0\n"])
def test_a_note_that_cannot_be_read_is_none(kernel: Kernel, tmp_path: Path, text: str) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/announced").write_text(text)
    kernel.name("8:2", 0)
    assert read_announced() is None
    announce({}, KEPT)
    assert kernel.named == ("8:2", "0")


def test_the_page_read_is_the_one_named(file: Path) -> None:
    with file.open("rb") as opened:
        assert read_header(opened.fileno(), "file", 34).signature == SWAP
        assert read_header(opened.fileno(), "file", 0).signature != SWAP


@pytest.mark.usefixtures("device")
def test_what_each_boot_runs(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, torpor: Torpor
) -> None:
    Path(state_location.PATH).parent.mkdir()
    Path(state_location.PATH).write_text(KEPT.build())
    monkeypatch.setattr(cmdline, "read", lambda: "quiet")
    assert torpor("announce").code == 0
    assert kernel.named == ("259:7", "0")
    kernel.resume.unlink()
    assert torpor("announce").code == SetupError.exit_code


@pytest.fixture(name="system")
def _system(tmp_path: Path) -> System:
    """A system in a folder that systemd has booted."""
    (tmp_path / "root/run/systemd/system").mkdir(parents=True)
    return System(str(tmp_path / "root"))


@pytest.mark.usefixtures("device")
def test_enable_does_so_too_but_not_in_a_chroot(
    kernel: Kernel, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before logind is asked, and it is enabled even where that fails."""
    named: list[tuple[str, str]] = []

    def see(_: object) -> None:
        named.append(kernel.named)
        raise SetupError("systemctl: failed")

    monkeypatch.setattr(units, "let_logind_see", see)
    assert take_effect(System(str(tmp_path)), TARGET, "quiet") == []
    assert (kernel.named, named) == (("0:0", "0"), [])
    assert take_effect(system, TARGET, "quiet") == ["systemctl: failed"]
    assert named == [("259:7", "0")]
    kernel.resume.write_text("nonsense")
    assert len(take_effect(system, TARGET, "quiet")) == 2


@pytest.mark.usefixtures("device")
def test_disable_says_what_the_kernel_keeps(
    kernel: Kernel, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses() -> None:
        raise OSError(22, "Invalid argument")

    said: list[str] = []
    monkeypatch.setattr(power, "name_none", refuses)
    monkeypatch.setattr(units, "remove_units", lambda _: True)
    assert disable(system, said.append, None) == []
    announce({}, KEPT)
    (remark,) = disable(system, said.append, None)
    assert remark.startswith("until the next boot the kernel keeps what is named in /sys/power")
    assert said == ["disabled: systemctl hibernate is the kernel's again"] * 2
    assert kernel.named == ("259:7", "0")


def test_the_unit_runs_it_where_it_is_enabled() -> None:
    unit = Path("package/files/torpor-announce.service").read_text().splitlines()
    assert "ExecStart=/usr/bin/torpor announce" in unit
    assert f"ConditionPathExists={early.LOCATION_PATH}" in unit
    assert f"ConditionPathExists=!{EFI}" in unit
    assert "ConditionPathExists=!/etc/initrd-release" in unit
    assert "ConditionPathExists=/sys/power/resume" in unit, "else it fails at each boot"
    (after,) = (line.removeprefix("After=").split() for line in unit if line.startswith("After="))
    assert after == ["swap.target", "torpor-stale.service"], "which gives the machine its swap back"
