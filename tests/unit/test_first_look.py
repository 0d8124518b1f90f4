"""What a boot without an image imports, and that its first look says what the whole would."""

import subprocess
import sys
from pathlib import Path

import pytest

import resume.__main__ as whole
from errors import NoImageError
from linux import root
from resume import start
from resume.first_look import why_no_image
from state import early
from state.record import BootRecord
from store.header import new_store_header
from tests.forge import KERNEL, SWAP, USER, header_page
from tests.test_structure import ROOT
from tests.unit.marked import put_image

PAGE = 4096
PAGES = 64
HEAVY = ("construct", "pyudev", "ctypes", "dataclasses", "typing", "re", "enum", "json", "argparse")


def image(path: Path, signature: bytes = SWAP, page: int = 0) -> Path:
    header = header_page(PAGES - page, signature=signature)
    path.write_bytes(bytes(page * PAGE) + header + bytes((PAGES - 1 - page) * PAGE))
    return path


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The machine's block devices, in an initramfs: ordinary files that the test names."""
    found: list[str] = []
    monkeypatch.setattr(root, "is_in_memory", lambda: True)
    monkeypatch.setattr("resume.first_look.whole_devices", lambda: found)
    monkeypatch.setattr(root.HOST, "device_number", lambda path: "8:1" if path in found else None)
    monkeypatch.setattr(early, "LOCATION_PATH", str(tmp_path / "location"))
    monkeypatch.setattr(early, "BOOT_PATH", str(tmp_path / "resume.json"))
    return found


def look(text: str) -> str | None:
    return why_no_image(text, rehearsed=False)


def test_no_image_takes_no_heavy_import(tmp_path: Path) -> None:
    """The real program in a process of its own, as frozen but for the first folder of sys.path."""
    source = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
sys.argv = ["torpor-resume", "--dry-run", "--cmdline", sys.argv[1]]
from resume.start import main
code = main()
print(code, *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
    path = image(tmp_path / "swap")
    command = [sys.executable, "-I", "-S", "-c", source, f"quiet resume={path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    code, *modules = done.stdout.split()
    assert code == str(NoImageError.exit_code)
    assert f"not resuming: no image: {path} is swap without an image" in done.stderr
    assert {"resume", "store", "state", "linux"} <= {*modules}
    assert not {*HEAVY} & {*modules}


@pytest.mark.parametrize("signature", [SWAP, USER, KERNEL, b"something "], ids=repr)
def test_both_say_the_same_of_a_file(
    tmp_path: Path, signature: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f"resume={image(tmp_path / 'swap', signature)}"
    with pytest.raises(NoImageError) as caught:
        whole.rehearse(text, lambda *_: None)
    reason = why_no_image(text, rehearsed=True)
    assert reason == (None if signature == KERNEL else str(caught.value))


def test_what_is_not_plain_in_a_file_is_left_to_the_whole_program(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for contents in (b"", b"short", bytes(PAGE * 2), b"\x89TORPOR\n".ljust(PAGE * 2, b"\1")):
        path.write_bytes(contents)
        assert why_no_image(f"resume={path}", rehearsed=True) is None
    put_image(image(path), bytes([1]) * PAGE, [(1, PAGES - 1)])
    assert why_no_image(f"resume={path}", rehearsed=True) is None


def test_named_device(tmp_path: Path, devices: list[str]) -> None:
    path = str(image(tmp_path / "sda"))
    assert look(f"resume={path}") is None  # not there yet
    devices.append(path)
    assert look(f"resume={path}") == f"no image: {path} is swap without an image"
    for unusual in ("noresume", "resumedelay=3", "resume_offset=1x", "resume_offset=999"):
        assert look(f"resume={path} {unusual}") is None
    assert look("resume=nonsense") is None
    put_image(Path(path), bytes([1]) * PAGE, [(1, PAGES - 1)])
    assert look(f"resume={path}") is None


def test_offset(tmp_path: Path, devices: list[str]) -> None:
    path = str(image(tmp_path / "sda", page=3))
    devices.append(path)
    neither = f"no image: {path} is neither an image, nor a store, nor swap"
    assert look(f"resume={path}") == neither
    assert look(f"resume={path} resume_offset=3").endswith("is swap without an image")  # type: ignore[union-attr]
    with open(path, "r+b") as file:
        new_store_header(file.fileno(), path, PAGES - 3, 3)
    assert look(f"resume={path} resume_offset=3") == f"no image: the store {path} is empty"


def test_kept_device_first_then_all(tmp_path: Path, devices: list[str]) -> None:
    one, other = (str(image(tmp_path / name)) for name in ("sda", "sdb"))
    location = Path(early.LOCATION_PATH)
    nowhere = "no image: no device carries a mark"
    assert look("quiet") == nowhere
    location.write_text(f"# Written by torpor enable.\nresume={one}\nstore=/x\n")
    assert look("quiet") is None
    devices += [one, other, str(tmp_path / "gone")]
    assert look("quiet") == nowhere
    put_image(Path(other), bytes([1]) * PAGE, [(1, PAGES - 1)])
    assert look("quiet") is None
    image(Path(other))
    image(Path(one), KERNEL)
    assert look("quiet") is None


def test_running_machine_is_left_to_the_whole_program(
    devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert look("quiet") is not None
    monkeypatch.setattr(root, "is_in_memory", lambda: False)
    assert look("quiet") is None


@pytest.mark.parametrize(
    ("arguments", "is_plain"),
    [
        ("", True),
        ("--no-wait", True),
        ("--dry-run --no-wait", True),
        ("--no-wait --cmdline quiet", True),
        ("--cmdline", False),
        ("--cmdline -x", False),
        ("--cmdline=quiet", False),
        ("--dry", False),
        ("--help", False),
        ("quiet", False),
    ],
)
def test_unusual_arguments_are_left_to_the_whole_program(
    arguments: str, is_plain: bool, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["torpor-resume", *arguments.split()])
    monkeypatch.setattr(whole, "main", lambda: 77)
    monkeypatch.setattr("linux.cmdline.read", lambda: "quiet")
    assert start.main() == (NoImageError.exit_code if is_plain else 77)


def test_booted_system_is_told(
    tmp_path: Path, devices: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(image(tmp_path / 'a "swap" \\ \n\udcffü'))
    devices.append(path)
    reason = f"no image: {path} is swap without an image"
    early.save_refusal(3, reason)
    found = BootRecord.read(early.BOOT_PATH)
    assert found is not None
    assert (found.exit_code, found.message, found.kept) == (3, reason, [])
    monkeypatch.setattr(early, "BOOT_PATH", "/proc/no/resume.json")
    monkeypatch.setattr(sys, "argv", ["torpor-resume", "--cmdline", "quiet"])
    assert start.main() == 3


def test_frozen_folder_holds_only_what_is_needed() -> None:
    frozen = ROOT / "build/torpor-resume"
    if not frozen.exists():
        pytest.skip("no frozen program")
    names = [str(path.relative_to(frozen)) for path in frozen.rglob("*")]
    assert not [name for name in names if ".dist-info" in name]
    libraries = ("libcrypto", "libssl", "liblzma", "libbz2", "libreadline", "unicodedata")
    modules = ("/email", "/asyncio", "/html", "/unittest", "/ssl")
    assert not [name for name in names if any(word in name for word in libraries + modules)]
