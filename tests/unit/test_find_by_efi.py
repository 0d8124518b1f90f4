"""What the firmware names is looked at after what was named, and forgotten once looked at."""

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

import resume.__main__ as program
import resume.find as finding
from errors import (
    DeviceNotFoundError,
    ForbiddenError,
    KernelRefusedError,
    NoImageError,
    OtherInstallationError,
    OtherKernelError,
    UsageError,
)
from linux import efivar, power, root
from resume import first_look
from resume.candidates import Candidate
from resume.request import Request
from resume.wait import Waiting
from state import location as state_location
from state.location import Location
from state.record import BootRecord
from store.efi_location import EfiLocation, read_efi_location, write_efi_location
from store.header import new_store_header, read_header
from tests.forge import KERNEL, header_page
from tests.unit.fake_snapshot import FakeSnapshot
from tests.unit.marked import HERE, INSTALLATION, Made, put_image

PAGE = 4096
PAGES = 64
NAMED = UUID("11111111-2222-3333-4444-555555555555")
RELEASE = os.uname().release


class Devices:
    """Files that stand for devices; one of them is what the firmware names, at page 9."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.efi = str(folder / "efi")
        self.names = {f"UUID={NAMED}": self.efi}
        self.store("efi")
        self.variable = folder / "efivars" / efivar.HIBERNATE_LOCATION
        self.variable.parent.mkdir()
        self.keep()

    def keep(self, release: str = RELEASE, page: int = 9) -> None:
        self.variable.unlink(missing_ok=True)  # a variable is replaced, a file is written over
        write_efi_location(EfiLocation(NAMED, page, release), {"ID": "debian"})

    def store(self, name: str) -> str:
        path = self.folder / name
        path.write_bytes(bytes(PAGES * PAGE))
        with path.open("r+b") as file:
            for page in (0, 9):
                new_store_header(file.fileno(), name, PAGES, page)
        self.names[str(path)] = str(path)
        return str(path)

    def kernel_image(self) -> None:
        with open(self.efi, "r+b") as file:
            file.seek(9 * PAGE)
            file.write(header_page(PAGES, signature=KERNEL))

    def find(self, spec: str, *_: object) -> str | None:
        return self.names.get(spec)

    def wait(self, spec: str, *_: object) -> str:
        if spec not in self.names:
            raise DeviceNotFoundError(f"{spec} did not appear")
        return self.names[spec]


Handed = list[tuple[int, int]]


@pytest.fixture(name="devices")
def _devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: FakeSnapshot) -> Devices:
    assert device
    monkeypatch.setattr(efivar, "FOLDER", str(tmp_path / "efivars"))
    made = Devices(tmp_path)
    monkeypatch.setattr(finding, "find_device", made.find)
    monkeypatch.setattr(finding, "wait_for_device", made.wait)
    monkeypatch.setattr(finding, "marked_headers", lambda *_: [])
    return made


@pytest.fixture(name="handed")
def _handed(monkeypatch: pytest.MonkeyPatch, devices: Devices) -> Handed:
    """What was named to the kernel, which then knows no name in the firmware any more."""
    calls: Handed = []

    def name_place(*words: int) -> None:
        assert not devices.variable.exists()
        calls.append(words)  # type: ignore[arg-type]

    monkeypatch.setattr(power, "name_place", name_place)
    return calls


def read_or_none() -> EfiLocation | None:
    return program._request("quiet", lambda *_: None).efi


def resume(text: str, location: Location | None = None) -> None:
    request = Request.parse(text, location, read_or_none())
    program.resume(request, lambda *_: None, lambda _: None)


@pytest.mark.parametrize("named", ["", "resume=", "location"])
def test_image_of_the_kernel_is_handed_over(devices: Devices, handed: Handed, named: str) -> None:
    """Where nothing else is named, and where what is named holds nothing."""
    devices.kernel_image()
    other = devices.store("other")
    text = f"resume={other}" if named == "resume=" else "quiet"
    kept = Location(other, 0, INSTALLATION) if named == "location" else None
    with pytest.raises(KernelRefusedError, match="did not resume"):
        resume(text, kept)
    assert handed == [(os.stat(devices.efi).st_rdev, 9)]


@pytest.mark.parametrize("named", ["resume=/dev/gone", "quiet"])
def test_what_is_named_and_missing_does_not_hide_it(
    devices: Devices, handed: Handed, named: str
) -> None:
    devices.kernel_image()
    with pytest.raises(KernelRefusedError):
        resume(named, Location("/dev/gone", 0, INSTALLATION))
    assert len(handed) == 1


def find(location: Location) -> list[Candidate]:
    request = Request.parse("quiet", location, read_efi_location())
    with ExitStack() as files:
        return finding.find(request, Waiting(0, 0), files, os.O_RDWR)


def test_what_is_named_comes_first(devices: Devices, handed: Handed) -> None:
    devices.kernel_image()
    other = devices.store("other")
    put_image(Path(other), bytes(PAGE), [(10, PAGES - 10)])
    (found,) = find(Location(other, 0, INSTALLATION))
    assert (found.header.name, found.refusal, found.is_ours) == (other, None, True)
    assert handed == []


def test_image_of_ours_has_to_be_of_this_installation(devices: Devices) -> None:
    """Whoever can start another system can write to the firmware."""
    put_image(Path(devices.efi), bytes(PAGE), [(10, PAGES - 10)], page=9)
    (found,) = find(Location("", 0, INSTALLATION))
    assert (found.header.name, found.header.page, found.refusal) == (devices.efi, 9, None)
    (found,) = find(Location("", 0, "cd" * 16))
    assert isinstance(found.refusal, OtherInstallationError)
    assert not found.is_ours


@pytest.mark.parametrize(("release", "raw"), [("6.1.0-other", None), (RELEASE, b"\x07\0\0\0{\0")])
def test_another_system_s_and_garbage_are_left_alone(
    devices: Devices, handed: Handed, release: str, raw: bytes | None
) -> None:
    devices.kernel_image()
    devices.keep(release)
    if raw:
        devices.variable.write_bytes(raw)
    with pytest.raises(NoImageError):
        resume("quiet")
    assert handed == []
    assert devices.variable.exists()


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["torpor-resume", *words])
    return program.main()


def test_a_boot_that_goes_on_forgets_it(devices: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, "--dry-run", "--cmdline", "quiet") == NoImageError.exit_code
    assert devices.variable.exists()
    assert run(monkeypatch, "--no-wait", "--cmdline", "quiet") == NoImageError.exit_code
    assert not devices.variable.exists()


def test_a_machine_that_runs_keeps_it(devices: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root, "is_in_memory", lambda: False)
    assert run(monkeypatch, "--no-wait", "--cmdline", "quiet") == UsageError.exit_code
    assert devices.variable.exists()


def test_a_page_that_is_not_there_hides_nothing(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices.keep(page=PAGES)
    other = devices.store("other")
    put_image(Path(other), bytes(PAGE), [(10, PAGES - 10)])
    with open(other, "rb") as file:
        marked = read_header(file.fileno(), other)
        monkeypatch.setattr(finding, "marked_headers", lambda *_: [marked])
        (found,) = find(Location("", 0, INSTALLATION))
    assert (found.header.name, found.refusal) == (other, None)


def test_noresume_forgets_it(devices: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    devices.kernel_image()
    code = run(monkeypatch, "--no-wait", "--cmdline", "noresume")
    assert code == ForbiddenError.exit_code
    assert not devices.variable.exists()


def test_a_device_that_is_gone_is_waited_for_once(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices.names.clear()
    code = run(monkeypatch, "--no-wait", "--cmdline", "quiet")
    assert code == DeviceNotFoundError.exit_code
    record = BootRecord.read()
    assert record is not None
    assert str(NAMED) in record.message
    assert not devices.variable.exists()


def test_it_stays_with_an_image_that_is_kept(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_kernel = Made(replace(HERE, kernel_release="1.0"))
    put_image(Path(devices.efi), bytes(PAGE), [(10, PAGES - 10)], other_kernel, 9)
    Path(state_location.PATH).parent.mkdir()
    Path(state_location.PATH).write_text(Location("UUID=gone", 0, INSTALLATION).build())
    assert run(monkeypatch, "--no-wait", "--cmdline", "quiet") == OtherKernelError.exit_code
    assert devices.variable.exists()


def test_a_name_is_more_than_a_first_look_knows(devices: Devices) -> None:
    look = first_look.why_no_image
    assert devices.variable.exists()
    assert look("quiet", rehearsed=False) is None
    devices.variable.unlink()
    assert look("quiet", rehearsed=False) is not None
