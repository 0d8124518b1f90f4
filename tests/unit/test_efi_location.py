"""The EFI variable HibernateLocation: its bytes, whose it is, and when it is there."""

import os
import subprocess
from pathlib import Path
from uuid import UUID

import pytest

from errors import StateError, StoreRefusedError, UnreadableError
from hibernate import attempts
from hibernate.attempts import named_in_firmware
from hibernate.plan import Plan
from hibernate.power_off import Mode
from linux import efivar, programs
from state.conf import OFF
from state.record import recording
from store import efi_location
from store.efi_location import (
    EfiLocation,
    clear_efi_location,
    clear_efi_location_of,
    is_efi_location_set,
    read_efi_location,
    write_efi_location,
)
from store.header import StoreHeader, read_header
from store.place import Place
from tests.forge import PAGE
from tests.sources import opened
from tests.tools import failing
from tests.unit.conftest import Torpor
from tests.unit.hibernating import no_working_set
from tests.unit.marked import mark_of, set_mark

UUID_1 = UUID("11111111-2222-3333-4444-555555555555")
SPEC = f"UUID={UUID_1}"
HERE = os.uname().release
DEBIAN = {"ID": "debian", "VERSION_ID": "13", "NAME": "Debian GNU/Linux"}
ATTRIBUTES = b"\x07\0\0\0"
OF_SYSTEMD = (
    '{"uuid":"11111111-2222-3333-4444-555555555555","offset":34816,"kernelVersion":"6.12.1",'
    '"osReleaseId":"debian","osReleaseVersionId":"13"}'
)


class Firmware:
    """efivarfs, mounted, with a variable of somebody else's."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c").write_bytes(b"x")
        self.variable = folder / efivar.HIBERNATE_LOCATION

    def set(self, text: str) -> None:
        self.variable.write_bytes(ATTRIBUTES + text.encode("utf-16-le") + bytes(2))

    def keep(self, uuid: UUID = UUID_1, page: int = 0, release: str = HERE) -> None:
        write_efi_location(EfiLocation(uuid, page, release), DEBIAN)


@pytest.fixture(name="efi")
def _efi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Firmware:
    monkeypatch.setattr(efivar, "FOLDER", str(tmp_path / "efivars"))
    return Firmware(tmp_path / "efivars")


def test_what_systemd_writes() -> None:
    expected = EfiLocation(UUID_1, 34816, "6.12.1")
    with_dashes_elsewhere = OF_SYSTEMD.replace("-2", "2")
    for text in (OF_SYSTEMD, f"{OF_SYSTEMD}\0", f"{OF_SYSTEMD}\0\0\0", with_dashes_elsewhere):
        assert EfiLocation.parse(text.encode("utf-16-le")) == expected
    assert expected.spec == SPEC


def test_what_systemd_reads(efi: Firmware) -> None:
    """Attributes, UTF-16 with a NUL, the fields that it insists on, the system that it checks."""
    write_efi_location(EfiLocation(UUID_1, 34816, "6.12.1"), DEBIAN)
    assert efi.variable.read_bytes() == ATTRIBUTES + f"{OF_SYSTEMD}\0".encode("utf-16-le")


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x",
        b"\0\xd8",
        "{".encode("utf-16-le"),
        OF_SYSTEMD.encode(),
        OF_SYSTEMD.encode("utf-16-le")[:-7],
        *(
            text.encode("utf-16-le")
            for text in (
                "[]",
                "null",
                "7",
                "{}",
                "[" * 1000,
                '"uuid"',
                OF_SYSTEMD.replace("1111", "", 1),
                OF_SYSTEMD.replace('"11111111-2222-3333-4444-555555555555"', "7"),
                OF_SYSTEMD.replace('"offset":34816,', ""),
                *(
                    OF_SYSTEMD.replace("34816", offset)
                    for offset in ("-1", "1.5", "true", "1" + "0" * 15, "9" * 1800)
                ),
                OF_SYSTEMD.replace('"6.12.1"', "6"),
                OF_SYSTEMD + " " * 4096,
            )
        ),
    ],
)
def test_garbage_is_an_error_of_ours(efi: Firmware, value: bytes) -> None:
    with pytest.raises(StateError, match="HibernateLocation"):
        EfiLocation.parse(value)
    efi.variable.write_bytes(ATTRIBUTES + value)
    with pytest.raises(StateError):
        read_efi_location()
    with pytest.raises(StateError):
        clear_efi_location()
    assert is_efi_location_set()


def test_reading_and_clearing(efi: Firmware) -> None:
    assert read_efi_location() is None
    assert not clear_efi_location()
    efi.keep(page=7)
    assert read_efi_location() == EfiLocation(UUID_1, 7, HERE)
    assert clear_efi_location()
    assert not efi.variable.exists()


@pytest.mark.parametrize("release", ["6.1.0-other", "", None])
def test_what_is_nobodys_to_take(efi: Firmware, release: str | None) -> None:
    """What another kernel left; and a file without a byte, which is no variable.

    A restored kernel shows what its firmware had at the hibernation (efivarfs_file_read).
    """
    efi.variable.touch() if release is None else efi.keep(release=release)
    assert read_efi_location() is None
    assert not clear_efi_location()
    assert is_efi_location_set() == (release is not None)


def test_without_efi_there_is_nothing(tmp_path: Path) -> None:
    assert not efivar.is_there()
    assert read_efi_location() is None
    assert not clear_efi_location()
    assert not is_efi_location_set()
    clear_efi_location_of(store(tmp_path / "sda", 0))


def test_a_variable_that_cannot_be_touched(efi: Firmware) -> None:
    efi.variable.mkdir()
    for act in (read_efi_location, clear_efi_location, efi.keep):
        with pytest.raises(UnreadableError, match="the EFI variable HibernateLocation"):
            act()


def store(path: Path, at: int) -> StoreHeader:
    path.write_bytes(bytes(64 * PAGE))
    with opened(path) as fd:
        return read_header(fd, str(path), at)


@pytest.fixture(name="device")
def _device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What UUID_1 names; files of any name lie at page 34 of it."""
    path = tmp_path / "sda"
    path.touch()
    for module in (efi_location, attempts):
        monkeypatch.setattr(
            module, "place_of", lambda name: Place(str(path), 34 * ("file" in name))
        )
    monkeypatch.setattr(efi_location, "find_device", {SPEC: str(path)}.get)
    monkeypatch.setattr(attempts, "name_of", lambda _: SPEC)
    return path


@pytest.mark.parametrize(
    ("uuid", "page", "release", "at", "stays"),
    [
        (UUID_1, 0, HERE, 0, False),
        (UUID_1, 34, "other", 34, False),
        (UUID_1, 34, HERE, 0, True),
        (UUID(int=7), 0, HERE, 0, True),
    ],
)
def test_a_store_takes_its_name_along(
    efi: Firmware, device: Path, uuid: UUID, page: int, release: str, at: int, *, stays: bool
) -> None:
    efi.keep(uuid, page, release)
    clear_efi_location_of(store(device, at))
    assert efi.variable.exists() == stays


def test_a_store_without_a_place_has_no_name(
    efi: Firmware, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(efi_location, "place_of", failing(StoreRefusedError("it has holes")))
    efi.keep()
    clear_efi_location_of(store(device, 0))
    efi.set("garbage")
    clear_efi_location_of(store(device, 0))
    assert efi.variable.exists()


OF_FAT = "UUID=1234-ABCD"
ANOTHER = EfiLocation(UUID(int=7), 9, "other")


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize(
    ("name", "spec", "before", "is_reached", "expected"),
    [
        ("/dev/sda", SPEC, None, True, EfiLocation(UUID_1, 0, HERE)),
        ("/file", SPEC, None, True, EfiLocation(UUID_1, 34, HERE)),
        # What the next boot may not reach is not named, and a stale name goes.
        ("/dev/sda", SPEC, ANOTHER._replace(kernel_release=HERE), False, None),
        # Another system that is hibernated keeps its name.
        ("/dev/sda", SPEC, ANOTHER, True, ANOTHER),
        # Devices that systemd could not find by these names.
        ("/dev/sda", "PARTUUID=1", None, True, None),
        ("/dev/sda", "/dev/mapper/x", None, True, None),
        ("/dev/sda", OF_FAT, None, True, None),
    ],
)
def test_what_a_hibernation_names(
    efi: Firmware,
    name: str,
    spec: str,
    before: EfiLocation | None,
    expected: EfiLocation | None,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_reached: bool,
) -> None:
    monkeypatch.setattr(attempts, "name_of", lambda _: spec)
    if before:
        write_efi_location(before, DEBIAN)
    said: list[str] = []
    with named_in_firmware(name, said.append, is_reached=is_reached):
        found = EfiLocation.parse(efi.variable.read_bytes()[4:]) if efi.variable.exists() else None
    assert found == expected
    assert bool(said) == (spec == OF_FAT), said
    assert efi.variable.exists() == (before == ANOTHER)


@pytest.mark.usefixtures("device")
def test_one_that_fails_leaves_no_name(efi: Firmware) -> None:
    def fail() -> None:
        with named_in_firmware("/file", print, is_reached=True):
            assert efi.variable.exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not efi.variable.exists()


@pytest.mark.usefixtures("device")
def test_firmware_that_fails_is_no_reason_not_to_hibernate(efi: Firmware) -> None:
    efi.variable.mkdir()
    said: list[str] = []
    with named_in_firmware("/dev/sda", said.append, is_reached=True):
        pass
    assert len(said) == 3
    assert all("HibernateLocation" in line or "not told" in line for line in said)


@pytest.mark.usefixtures("device")
def test_without_efi_nothing_is_said(tmp_path: Path) -> None:
    with named_in_firmware("/dev/sda", pytest.fail, is_reached=True):
        pass
    assert not (tmp_path / "efivars").exists()


def test_discarding_what_is_stale_forgets_its_name(
    efi: Firmware, device: Path, hibernated: Path, monkeypatch: pytest.MonkeyPatch, torpor: Torpor
) -> None:
    hibernated.replace(device)
    efi.keep(release="other")
    mark = mark_of(device)
    assert mark
    set_mark(device, mark._replace(attempts=2))
    monkeypatch.setattr(programs, "run", lambda argv: subprocess.CompletedProcess(argv, 0))
    assert torpor("discard", "--stale", device).code == 0
    assert not efi.variable.exists()


@pytest.mark.usefixtures("device")
@pytest.mark.parametrize("is_found", [True, False])
def test_a_plan_that_is_carried_out_names_its_store(
    efi: Firmware, monkeypatch: pytest.MonkeyPatch, *, is_found: bool
) -> None:
    named = []
    monkeypatch.setattr(attempts, "hibernate_once", lambda *_: named.append(efi.variable.exists()))
    plan = Plan("/dev/sda", Mode.SHUTDOWN, UUID_1, working_set=OFF, is_found=is_found)
    with recording(print) as here:
        attempts.carry_out(plan, here, no_working_set(), print)
    assert named == [is_found]
    assert not efi.variable.exists()
