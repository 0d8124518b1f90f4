"""The resumer against a device that enforces the kernel's rules, and what it leaves behind."""

import errno
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import resume.__main__ as program
import resume.find as finding
from format.errors import DamagedError, NoImageError, TorporError
from hibernate import capture
from hibernate.capture import hibernate
from hibernate.plan import Plan
from hibernate.power_off import Mode
from kernel import kmsg, mounts, process
from kernel.snapshot import PAGE_SIZE
from resume import restore, wait
from resume.errors import NotAskedError, OtherKernelError, OtherMemoryMapError, UsageError
from resume.request import Request
from resume.wait import wait_for_device
from state.location import Location
from state.record import BootRecord
from store import identity
from store.errors import DeviceNotFoundError, KernelRefusedError
from tests.unit.conftest import SwapFile
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff, Restored

STREAM = b"".join(bytes([n % 7]) * 4000 + os.urandom(96) for n in range(600)) + bytes(8192)
Said = list[tuple[int, str]]


@pytest.fixture
def hibernated(swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A swap file that holds an image; its header without the image is beside it."""
    path = swap_file(1500)
    path.with_name("header").write_bytes(path.read_bytes()[:PAGE_SIZE])
    device = FakeSnapshot(STREAM, swap_pages=range(5, 1500, 2))
    monkeypatch.setattr(capture, "open_snapshot", device.open)
    kept = path.with_name("kept")

    def off(*_: object) -> None:
        kept.write_bytes(path.read_bytes())
        raise PoweredOff

    monkeypatch.setattr(capture, "power_off", off)
    with pytest.raises(PoweredOff):
        hibernate(Plan(str(path), Mode.PLATFORM, None), lambda _: None)
    os.replace(kept, path)
    return path


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeSnapshot:
    fake = FakeSnapshot(STREAM)
    monkeypatch.setattr(restore, "open_snapshot", fake.open)
    root = mounts.Mount(1, "0:2", "/", "rootfs", "rootfs")
    monkeypatch.setattr(mounts, "read_mounts", lambda: [root])
    monkeypatch.setattr(finding, "wait_for_device", lambda spec, *_: spec)
    return fake


def resume(path: Path, extra: str = "") -> None:
    program.resume(Request.parse(f"resume={path} {extra}", None), lambda *_: None)


def header_of(path: Path) -> bytes:
    return path.read_bytes()[:PAGE_SIZE]


def plain_header(path: Path) -> bytes:
    return path.with_name("header").read_bytes()


def test_whole_stream_is_restored_with_the_mark_gone_before(
    hibernated: Path, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_restore: list[bytes] = []
    really = device.do_atomic_restore

    def note_header(argument: object) -> None:
        at_restore.append(header_of(hibernated))
        really(argument)

    monkeypatch.setattr(device, "do_atomic_restore", note_header)
    with pytest.raises(Restored):
        resume(hibernated)
    assert device.loaded == STREAM
    assert at_restore == [plain_header(hibernated)]
    assert device.platform


def test_second_boot_does_not_restore_again(hibernated: Path, device: FakeSnapshot) -> None:
    with pytest.raises(Restored):
        resume(hibernated)
    device.flags = -1
    with pytest.raises(NoImageError, match="swap without an image"):
        resume(hibernated)
    assert device.calls.count("atomic_restore") == 1


def flip_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[9 * PAGE_SIZE + 77] ^= 0x10
    path.write_bytes(data)


def test_damaged_chunk_never_reaches_the_kernel(hibernated: Path, device: FakeSnapshot) -> None:
    flip_middle(hibernated)
    with pytest.raises(DamagedError, match="chunk 0") as caught:
        resume(hibernated)
    assert caught.value.__notes__ == [f"the image on {hibernated} is discarded"]
    assert "write" not in device.calls
    assert header_of(hibernated) == plain_header(hibernated)


def other(name: str) -> Callable[[str], object]:
    def this_machine(machine_id: str) -> object:
        value = bytes(32) if name == "ram_map_digest" else "other"
        return replace(identity.this_machine(machine_id), **{name: value})  # type: ignore[arg-type]

    return this_machine


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("kernel_release", OtherKernelError),
        ("kernel_version", OtherKernelError),
        ("machine", OtherKernelError),
        ("ram_map_digest", OtherMemoryMapError),
    ],
)
def test_image_of_another_machine_is_refused_before_loading(
    name: str,
    kind: type[TorporError],
    hibernated: Path,
    device: FakeSnapshot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "this_machine", other(name))
    with pytest.raises(kind):
        resume(hibernated)
    assert device.calls == []
    assert header_of(hibernated) == plain_header(hibernated)


@pytest.mark.parametrize("call", ["write", "freeze", "atomic_restore"])
def test_kernel_that_refuses_gets_no_second_try(
    call: str, hibernated: Path, device: FakeSnapshot
) -> None:
    device.fail[call] = errno.ENOMEM
    with pytest.raises(KernelRefusedError):
        resume(hibernated)
    assert header_of(hibernated) == plain_header(hibernated)
    assert device.calls[-1] == "close"
    assert not device.frozen


def test_bug_does_not_leave_a_stale_image(
    hibernated: Path, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(program, "restore", bug)
    with pytest.raises(MemoryError):
        resume(hibernated)
    assert header_of(hibernated) == plain_header(hibernated)


def test_noresume_discards_the_image(hibernated: Path, device: FakeSnapshot) -> None:
    with pytest.raises(NotAskedError, match="noresume"):
        resume(hibernated, "noresume")
    assert device.calls == []
    assert header_of(hibernated) == plain_header(hibernated)


def test_swap_without_image_is_not_written_to(swap_file: SwapFile, device: FakeSnapshot) -> None:
    path = swap_file(20)
    before = path.stat().st_mtime_ns
    with pytest.raises(NoImageError):
        resume(path)
    assert path.stat().st_mtime_ns == before


def test_running_machine_is_not_overwritten(
    hibernated: Path, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = hibernated.read_bytes()
    root = mounts.Mount(1, "8:1", "/", "ext4", "/dev/sda1")
    monkeypatch.setattr(mounts, "read_mounts", lambda: [root])
    with pytest.raises(UsageError):
        resume(hibernated)
    assert device.calls == []
    assert hibernated.read_bytes() == before


def test_dry_run_reads_all_and_changes_nothing(hibernated: Path, device: FakeSnapshot) -> None:
    before = hibernated.read_bytes()
    said: Said = []
    program.rehearse(f"resume={hibernated}", lambda *words: said.append(words))
    assert "would resume" in said[0][1]
    flip_middle(hibernated)
    with pytest.raises(DamagedError):
        program.rehearse(f"resume={hibernated}", lambda *words: said.append(words))
    flip_middle(hibernated)
    assert hibernated.read_bytes() == before
    assert device.calls == []


@pytest.mark.parametrize(
    ("error", "level", "code"),
    [
        (NoImageError("a"), kmsg.INFO, 3),
        (NotAskedError("b"), kmsg.INFO, 10),
        (DamagedError("c"), kmsg.ERR, 4),
        (DeviceNotFoundError("d"), kmsg.ERR, 7),
    ],
)
def test_one_line_says_why(
    error: TorporError, level: int, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: Said = []

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("sys.argv", ["torpor-resume", "--cmdline", "resume=/dev/x"])
    monkeypatch.setattr(program, "resume", fail)
    monkeypatch.setattr(program, "to_kernel_log", lambda: lambda *words: said.append(words))
    assert program.main() == code
    assert said == [(level, f"not resuming: {error}")]
    kept = BootRecord.read()
    assert kept is not None
    assert (kept.exit_code, kept.message) == (code, str(error))


NOTHING = Request("", 0, False, False, 0, 10, "")
KEPT = Location("LABEL=kept", 77, "ab" * 16, "/swapfile")


def asking(device: str = "", offset: int = 0, **more: object) -> Request:
    named = {"device": device, "offset": offset, "by_command_line": bool(device)}
    return replace(NOTHING, **named, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quiet", NOTHING),
        ("resume=/dev/sda2 quiet", asking("/dev/sda2")),
        ("resume=/dev/a resume=UUID=x noresume", asking("UUID=x", forbidden=True)),
        ('resume="PARTLABEL=my swap" resumewait', asking("PARTLABEL=my swap", timeout=300)),
        ("resumedelay=5 resume=8:2", asking("8:2", delay=5)),
        ("resumedelay=soon", NOTHING),
        ("resumedelay=99999", asking(delay=300)),
        ("quiet -- resume=/dev/init", NOTHING),
        ("resume=/dev/a resume_offset=34816", asking("/dev/a", 34816)),
        ("resume=/dev/a resume_offset=-1", asking("/dev/a")),
        ("resume_offset=34816", NOTHING),
        ("torpor.timeout=25", asking(timeout=25)),
        ("torpor.timeout=25 resumewait", asking(timeout=25)),
        ("torpor.timeout=ever", NOTHING),
        ("torpor.timeout=0", asking(timeout=0)),
    ],
)
def test_command_line(text: str, expected: Request) -> None:
    assert Request.parse(text, None) == expected


def test_what_enable_kept_stands_where_the_command_line_is_silent() -> None:
    kept = replace(NOTHING, device="LABEL=kept", offset=77, machine_id="ab" * 16)
    assert Request.parse("quiet", KEPT) == kept
    assert Request.parse("quiet resume_offset=5", KEPT) == kept
    named = Request.parse("resume=/dev/a", KEPT)
    assert named == replace(kept, device="/dev/a", offset=0, by_command_line=True)
    hasty = Request.parse("resumedelay=9 resume=/dev/a", KEPT).at_once()
    assert hasty == replace(named, delay=9, waited=True)


def test_what_somebody_waited_for_is_not_waited_for_again(
    device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(*_: object) -> str:
        raise AssertionError("waits again")

    monkeypatch.setattr(finding, "wait_for_device", wait)
    request = Request.parse("resume=/dev/nowhere resumedelay=9 torpor.timeout=7", None)
    with pytest.raises(DeviceNotFoundError, match="/dev/nowhere did not appear within 7 s"):
        program.resume(request.at_once(), lambda *_: None)


def test_device_that_never_comes_is_waited_for_and_given_up() -> None:
    with pytest.raises(DeviceNotFoundError, match="did not appear within 0 s"):
        wait_for_device("UUID=00000000-dead-beef-0000-000000000000", 0.2, time.monotonic())


def test_time_of_a_passphrase_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device comes after its time was over twice, since somebody was typing meanwhile."""
    question = tmp_path / "ask.x"
    question.touch()
    monkeypatch.setattr(wait, "QUESTIONS", str(tmp_path / "ask.*"))
    looks: list[float] = []

    def find(_spec: str) -> str | None:
        looks.append(time.monotonic())
        if len(looks) == 4:
            question.unlink()
        return "/dev/late" if len(looks) == 5 else None

    monkeypatch.setattr(wait, "find_device", find)
    monkeypatch.setattr(wait, "_LOOK_AGAIN", 0.1)
    assert wait_for_device("UUID=x", 0.15, time.monotonic()) == "/dev/late"


def test_words_that_cannot_be_kept_do_not_stop_the_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kept").write_text("in the way")
    said: Said = []
    monkeypatch.setattr("sys.argv", ["torpor-resume", "--no-wait", "--cmdline", "quiet"])
    monkeypatch.setattr(program, "to_kernel_log", lambda: lambda *words: said.append(words))
    assert program.main() == UsageError.exit_code
    assert "no initramfs" in said[0][1]
    assert "cannot write" in said[1][1]


def test_time_to_start_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def wait(spec: str, timeout: float, begun: float) -> str:
        asked.append((timeout, time.monotonic() - begun))
        raise DeviceNotFoundError(spec)

    monkeypatch.setattr(finding, "wait_for_device", wait)
    monkeypatch.setattr(process, "age", lambda: 4.0)
    with pytest.raises(DeviceNotFoundError):
        program.rehearse("resume=/dev/nothing", lambda *_: None)
    assert asked[0][0] == 10
    assert 4 <= asked[0][1] < 8
