"""What is named to the kernel as the place of images, and what never is."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from errors import SetupError
from linux import block, cmdline, power, proc
from linux.efivar import EFI
from state import location as state_location
from state.conf import Conf
from state.location import Location
from store.choose import Settings
from tests.forge import KERNEL, SWAP, USER
from tests.tools import failing
from tests.unit.conftest import Torpor
from tests.unit.fake_machine import FakeMachine, header
from tests.unit.fake_root import FILE_PAGE, FakeRoot, say_udev
from torpor.enable.announce import NOWHERE, announce, read_announced, retract
from torpor.enable.enable import disable, take_effect
from torpor.enable.system import System

KEPT = Location("UUID=kept")
FILE = Location("/dev/sda1", FILE_PAGE)
SETTINGS = Settings(Conf(), "quiet", KEPT)


class Kernel:
    """/sys/power, as a new kernel has it, of a machine with swap in use on sda2.

    UUID=kept and PARTUUID=told name that partition.
    """

    def __init__(self, folder: Path) -> None:
        self.resume = folder / "resume"
        self.offset = folder / "resume_offset"
        self.name("0:0", 0)
        self.block_size = 4096
        """Of each device, 0 of one that cannot be read."""
        self.fake = FakeMachine(folder / "root")
        say_udev(self.fake.root, "8:2", ID_FS_UUID="kept", ID_PART_ENTRY_UUID="told")

    def name(self, device: str, page: int) -> None:
        self.resume.write_text(f"{device}\n")
        self.offset.write_text(f"{page}\n")

    @property
    def named(self) -> tuple[str, str]:
        return self.resume.read_text().strip(), self.offset.read_text().strip()

    def size_of_blocks(self, _: object) -> int:
        if not self.block_size:
            raise OSError(5, "Input/output error")
        return self.block_size

    def announce(self, words: str, location: Location | None = KEPT) -> None:
        announce(Settings(Conf(), words, location), self.fake.machine())

    def use(self, *areas: str) -> None:
        """Have these areas of swap in use, by the first words of /proc/swaps."""
        self.fake.swaps(*(f"{area} 1000 0" for area in areas))


@pytest.fixture(name="kernel")
def _kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel(tmp_path)
    monkeypatch.setattr(power, "RESUME", str(made.resume))
    monkeypatch.setattr(power, "RESUME_OFFSET", str(made.offset))
    monkeypatch.setattr(block, "block_size", made.size_of_blocks)
    return made


def swap_file(kernel: Kernel) -> None:
    """Have swap in use in a file on sda1."""
    kernel.fake.file("/swapfile", header(SWAP))
    kernel.use("/swapfile file")


def swap_file_on_small_blocks(kernel: Kernel) -> None:
    swap_file(kernel)
    kernel.block_size = 1024


UNNAMED, ELSEWHERE, SDA2 = ("0:0", "0"), ("0:1", "0"), ("8:2", "0")
IN_FILE = ("8:1", str(FILE_PAGE))
GONE = Location("UUID=gone")


class Case(NamedTuple):
    """What is named after an announcement, on a machine with a change."""

    named: tuple[str, str]
    words: str = ""
    location: Location | None = KEPT
    change: Callable[[Kernel], object] = lambda _: None


CASES = {
    "swap in use": Case(SDA2),
    "a swap file that enable kept": Case(IN_FILE, "", FILE, swap_file),
    "a swap file of the command line": Case(IN_FILE, f"{FILE.parameters}", None, swap_file),
    # The command line comes first, as at a boot.
    "the command line's": Case(SDA2, "resume=PARTUUID=told", Location("UUID=other")),
    "the command line's alone": Case(SDA2, "resume=PARTUUID=told", None),
    "an empty resume=": Case(SDA2, "resume="),
    # Nowhere, unless it is the place where a boot looks.
    "nothing is told": Case(ELSEWHERE, "", None),
    "what is gone": Case(ELSEWHERE, "", GONE),
    "no device": Case(ELSEWHERE, "", Location("not a device")),
    "another page": Case(ELSEWHERE, "", Location("UUID=kept", 34)),
    "the command line's, gone": Case(ELSEWHERE, "resume=UUID=gone"),
    "the command line's, another page": Case(ELSEWHERE, "resume=PARTUUID=told resume_offset=34"),
    "swap that is off": Case(ELSEWHERE, change=lambda kernel: kernel.use("/dev/sda1 partition")),
    # What could hold an image.
    "the kernel's": Case(
        ELSEWHERE, change=lambda kernel: kernel.fake.write("/dev/sda2", header(KERNEL))
    ),
    "another's": Case(
        ELSEWHERE, change=lambda kernel: kernel.fake.write("/dev/sda2", header(USER))
    ),
    "a device whose cache an older kernel would take away": Case(
        ELSEWHERE, "", FILE, swap_file_on_small_blocks
    ),
    "a device that cannot be read": Case(
        ELSEWHERE, change=lambda kernel: setattr(kernel, "block_size", 0)
    ),
    "a swap file without a place is skipped": Case(
        SDA2, change=lambda kernel: kernel.use("/gone file", "/dev/sda2 partition")
    ),
    "with EFI nothing": Case(
        UNNAMED, change=lambda kernel: kernel.fake.write(f"{EFI}/fw_platform_size", "64")
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_named(name: str, kernel: Kernel) -> None:
    case = CASES[name]
    case.change(kernel)
    kernel.announce(case.words, case.location)
    assert kernel.named == case.named
    assert read_announced() == (None if case.named == UNNAMED else power.named_place())


def test_what_another_has_named_stays(kernel: Kernel) -> None:
    kernel.name("8:5", 0)
    kernel.announce("")
    assert retract()
    assert kernel.named == ("8:5", "0")


def test_what_was_ours_follows_the_store(kernel: Kernel) -> None:
    """What is announced is kept as numbers."""
    kernel.announce("", GONE)
    kernel.announce("")
    assert (kernel.named, read_announced()) == (SDA2, (os.makedev(8, 2), 0))
    kernel.announce("", GONE)
    assert (kernel.named, read_announced()) == (ELSEWHERE, NOWHERE)


def test_what_is_named_is_not_named_again(kernel: Kernel) -> None:
    kernel.announce("")
    before = kernel.resume.stat().st_mtime_ns
    kernel.announce("")
    assert kernel.resume.stat().st_mtime_ns == before


def test_retracting(kernel: Kernel) -> None:
    assert retract()
    kernel.announce("")
    assert retract()
    assert kernel.named == UNNAMED
    assert read_announced() is None


def test_a_kernel_that_keeps_its_name_keeps_all_of_it(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6.1 does not take 0:0; a device without its page would be another place."""
    swap_file(kernel)
    kernel.announce("", FILE)
    write = proc.write

    def refuses(path: str, text: str) -> None:
        if text == "0:0":
            raise OSError(22, "Invalid argument")
        write(path, text)

    monkeypatch.setattr(proc, "write", refuses)
    assert not retract()
    assert kernel.named == IN_FILE
    kernel.announce("", GONE)
    assert kernel.named == ELSEWHERE, "it is still ours"


@pytest.mark.parametrize("contents", ["", "8\n", "a:b\n"])
def test_a_kernel_that_says_something_else(kernel: Kernel, contents: str) -> None:
    kernel.resume.write_text(contents)
    with pytest.raises(SetupError, match="cannot be set"):
        kernel.announce("")
    assert kernel.resume.read_text() == contents


def test_a_kernel_without_hibernation(kernel: Kernel) -> None:
    kernel.resume.unlink()
    with pytest.raises(SetupError, match="resume cannot be set: no such file or directory"):
        kernel.announce("")
    assert retract()


@pytest.mark.parametrize("text", ["", "8:2", "8:2 x\n", "8 0\n", "8:2 0\n8:3 0\n"])
def test_a_note_that_cannot_be_read_is_none(kernel: Kernel, tmp_path: Path, text: str) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/announced").write_text(text)
    kernel.name("8:2", 0)
    assert read_announced() is None
    kernel.announce("")
    assert kernel.named == SDA2


def test_what_each_boot_runs(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, torpor: Torpor
) -> None:
    Path(state_location.PATH).parent.mkdir()
    Path(state_location.PATH).write_text(KEPT.build())
    monkeypatch.setattr(cmdline, "read", lambda: "quiet")
    on_it = partial(announce, root=kernel.fake.machine())
    monkeypatch.setattr("torpor.commands.announce.announce", on_it)
    assert torpor("announce").code == 0
    assert kernel.named == SDA2
    kernel.resume.unlink()
    assert torpor("announce").code == SetupError.exit_code


class FakeSystem(FakeRoot, System):
    """A system whose devices are files."""


@pytest.fixture(name="system")
def _system(tmp_path: Path) -> System:
    """A system in a folder that systemd has booted."""
    (tmp_path / "root/run/systemd/system").mkdir(parents=True)
    return FakeSystem(str(tmp_path / "root"))


def test_enable_does_so_too_but_not_in_a_chroot(
    kernel: Kernel, system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before logind is asked, and it is enabled even where that fails."""
    named: list[tuple[str, str]] = []

    def see(_: object) -> None:
        named.append(kernel.named)
        raise SetupError("systemctl: failed")

    monkeypatch.setattr("torpor.enable.enable.let_logind_see", see)
    assert take_effect(System(str(tmp_path)), SETTINGS) == []
    assert (kernel.named, named) == (UNNAMED, [])
    assert take_effect(system, SETTINGS) == ["systemctl: failed"]
    assert named == [SDA2]
    kernel.resume.write_text("nonsense")
    assert len(take_effect(system, SETTINGS)) == 2


def test_disable_says_what_the_kernel_keeps(
    kernel: Kernel, system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(power, "name_none", failing(OSError(22, "Invalid argument")))
    monkeypatch.setattr("torpor.enable.enable.remove_units", lambda _: True)
    assert disable(system, said.append, None) == []
    kernel.announce("")
    (remark,) = disable(system, said.append, None)
    assert remark.startswith("until the next boot the kernel keeps what is named in /sys/power")
    assert said == ["disabled: systemctl hibernate is the kernel's again"] * 2
    assert kernel.named == SDA2


def test_the_unit_runs_it_where_it_is_enabled() -> None:
    unit = Path("package/files/torpor-announce.service").read_text().splitlines()
    assert "ExecStart=/usr/bin/torpor announce" in unit
    assert "ConditionPathExists=/var/lib/torpor/location" in unit
    assert f"ConditionPathExists=!{EFI}" in unit
    assert "ConditionPathExists=!/etc/initrd-release" in unit
    assert "ConditionPathExists=/sys/power/resume" in unit, "else it fails at each boot"
    (after,) = (line.removeprefix("After=").split() for line in unit if line.startswith("After="))
    assert after == ["swap.target", "torpor-stale.service"], "which gives the machine its swap back"
