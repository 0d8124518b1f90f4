"""What the firmware names is looked at after what was named, and forgotten once looked at."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from errors import (
    DeviceNotFoundError,
    ForbiddenError,
    KernelRefusedError,
    NoImageError,
    OtherInstallationError,
    OtherKernelError,
    TorporError,
    UsageError,
)
from linux import efivar, root
from resume import images
from state import location as state_location
from state.boot import BootRecord
from state.location import Location
from store.efi_location import EfiLocation, write_efi_location
from tests.tools import failing
from tests.unit.booting import KERNEL_IMAGE, PAGES, Boot
from tests.unit.conftest import Handed, Torpor
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.unit.marked import HERE, INSTALLATION, Made

NAMED = UUID("11111111-2222-3333-4444-555555555555")
SPEC = f"UUID={NAMED}"
RELEASE = os.uname().release
Run = Callable[..., int]


@pytest.fixture
def variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: FakeSnapshot) -> Path:
    """The firmware's variable, which names page 9 of a device that is not there yet."""
    folder = tmp_path / "efivars"
    folder.mkdir()
    monkeypatch.setattr(efivar, "FOLDER", str(folder))
    monkeypatch.setattr(images, "restore", failing(Restored()))
    keep()
    return folder / efivar.HIBERNATE_LOCATION


def keep(release: str = RELEASE, page: int = 9) -> None:
    write_efi_location(EfiLocation(NAMED, page, release), {"ID": "debian"})


@pytest.fixture
def run(torpor_resume: Torpor, variable: Path) -> Run:
    """Run the program with a command line and what enable kept; return its exit code."""

    def start(text: str = "quiet", kept: str = "", *words: str) -> int:
        place = Path(state_location.PATH)
        place.parent.mkdir(exist_ok=True)
        if kept:
            place.write_text(Location(kept, 0, INSTALLATION).build())
        return torpor_resume(*words, "--cmdline", text).code

    return start


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("quiet", ""),
        ("resume=LABEL=other", ""),
        ("quiet", "LABEL=other"),
        ("quiet", "LABEL=gone"),
        ("resume=LABEL=gone", "LABEL=other"),
    ],
)
def test_image_of_the_kernel_is_handed_over(
    boot: Boot, handed: Handed, run: Run, text: str, kept: str
) -> None:
    """Where nothing else is named, and where what is named holds nothing or is not there."""
    named = boot.device(SPEC, first=KERNEL_IMAGE, page=9)
    boot.device("LABEL=other")
    assert run(text, kept) == KernelRefusedError.exit_code
    assert handed == [(os.stat(named).st_rdev, 9)]


def test_what_is_named_comes_first(boot: Boot, handed: Handed, run: Run) -> None:
    boot.device(SPEC, first=KERNEL_IMAGE, page=9)
    boot.image("LABEL=other")
    with pytest.raises(Restored):
        run("quiet", "LABEL=other")
    assert handed == []


def test_image_of_ours_has_to_be_of_this_installation(boot: Boot, run: Run) -> None:
    """Whoever can start another system can write to the firmware."""
    path = boot.image(SPEC, made=Made(HERE._replace(machine_id="cd" * 16)), page=9)
    before = Path(path).read_bytes()
    assert run("quiet", "LABEL=gone") == OtherInstallationError.exit_code
    assert Path(path).read_bytes() == before
    boot.image(SPEC, page=9)
    keep()
    with pytest.raises(Restored):
        run()


@pytest.mark.parametrize(("release", "raw"), [("6.1.0-other", None), (RELEASE, b"\x07\0\0\0{\0")])
def test_another_system_s_and_garbage_are_left_alone(
    boot: Boot,
    variable: Path,
    handed: Handed,
    run: Run,
    release: str,
    raw: bytes | None,
) -> None:
    boot.device(SPEC, first=KERNEL_IMAGE, page=9)
    variable.unlink()
    keep(release)
    if raw:
        variable.write_bytes(raw)
    assert run() == NoImageError.exit_code
    assert handed == []
    assert variable.exists()
    assert boot.clock.passed == 0


OTHER_KERNEL = Made(HERE._replace(kernel_release="1.0"))


@pytest.mark.parametrize(
    ("text", "image", "error", "stays"),
    [
        ("quiet", b"", NoImageError, False),
        ("noresume", KERNEL_IMAGE, ForbiddenError, False),
        ("quiet", OTHER_KERNEL, OtherKernelError, True),
        ("quiet", None, DeviceNotFoundError, False),
        ("resume=LABEL=other", None, NoImageError, False),
    ],
)
def test_a_boot_that_goes_on_forgets_it_unless_the_image_is_kept(
    boot: Boot,
    variable: Path,
    run: Run,
    text: str,
    image: bytes | Made | None,
    error: type[TorporError],
    stays: bool,
) -> None:
    """Else each boot would wait for a device that is gone: only where nothing else is named."""
    boot.device("LABEL=other")
    if isinstance(image, Made):
        boot.image(SPEC, made=image, page=9)
    elif image is not None:
        boot.device(SPEC, first=image, page=9)
    assert run(text) == error.exit_code
    assert variable.exists() == stays
    assert boot.clock.passed == (10 if error is DeviceNotFoundError else 0)
    record = BootRecord.read()
    assert record is not None
    assert (SPEC in record.message) == (error is DeviceNotFoundError)


def test_a_rehearsal_and_a_machine_that_runs_keep_it(
    boot: Boot, variable: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot.device(SPEC, page=9)
    assert run("quiet", "", "--dry-run") == NoImageError.exit_code
    monkeypatch.setattr(root, "is_in_memory", lambda: False)
    assert run() == UsageError.exit_code
    assert variable.exists()


def test_a_page_that_is_not_there_hides_nothing(boot: Boot, variable: Path, run: Run) -> None:
    boot.device(SPEC)
    variable.unlink()
    keep(page=PAGES)
    boot.image()
    with pytest.raises(Restored):
        run()


def test_efivarfs_is_mounted_where_nobody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """By the initramfs's own program, without a word if the module is not there."""
    folder = tmp_path / "empty"
    tool = tmp_path / "tools/mount"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\necho "$*" | tee -a {tmp_path}/mounted; exit 32\n')
    tool.chmod(0o755)
    monkeypatch.setattr(efivar, "FOLDER", str(folder))
    monkeypatch.setenv("PATH", f"{tool.parent}:/usr/bin:/bin")
    efivar.mount()
    folder.mkdir()
    efivar.mount()
    options = "-o nosuid,nodev,noexec"
    assert (tmp_path / "mounted").read_text() == f"-t efivarfs {options} efivarfs {folder}\n"
    (folder / "Boot0000-x").touch()
    efivar.mount()
    monkeypatch.setenv("PATH", "/nowhere")
    (folder / "Boot0000-x").unlink()
    efivar.mount()
    assert (tmp_path / "mounted").read_text().count("\n") == 1
    assert capfd.readouterr() == ("", "")
