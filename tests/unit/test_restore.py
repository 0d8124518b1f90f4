"""The resumer against a device that enforces the kernel's rules, and what it leaves behind."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import resume.__main__ as program
from errors import (
    ChangedError,
    DamagedError,
    DeviceNotFoundError,
    ForbiddenError,
    NoImageError,
    OtherHardwareError,
    OtherKernelError,
    TorporError,
    UsageError,
)
from format.layout import CHUNK_HEADER_SIZE
from format.mark import Mark, MarkState
from format.records import Identity
from format.tables import GuardEntry
from linux import PAGE_SIZE, kmsg, power, root, stall
from resume import check, images
from state import working_set
from state.boot import BootRecord
from tests import forge
from tests.tools import failing, wait_until
from tests.unit.booting import Boot
from tests.unit.conftest import RUNS, STREAM, SwapFile, Torpor
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.unit.marked import FACTS, HERE, ROOT, Made, mark_of, put_image


def header_of(path: Path) -> bytes:
    return path.read_bytes()[:PAGE_SIZE]


def plain_header(path: Path) -> bytes:
    return path.with_name("header").read_bytes()


def test_whole_stream_is_restored_with_the_image_claimed_before(
    hibernated: Path, boot: Boot, device: FakeSnapshot
) -> None:
    at_write: list[Mark | None] = []
    at_restore: list[Mark | None] = []
    made = mark_of(hibernated)
    assert made
    device.before["write"] = lambda: at_write.append(mark_of(hibernated))
    device.before["atomic_restore"] = lambda: at_restore.append(mark_of(hibernated))
    with pytest.raises(Restored):
        boot.resume(f"resume={hibernated}")
    assert device.loaded == STREAM
    assert at_write[0] == made._replace(state=MarkState.LOADING, loads=1)
    assert at_restore == [made._replace(state=MarkState.CLAIMED, loads=1, attempts=1)]
    assert device.platform


def test_a_device_that_stops_answering(
    hibernated: Path, boot: Boot, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The boot does not wait for ever: the machine restarts, and the mark has counted the load."""
    at_restart: list[Mark | None] = []
    monkeypatch.setattr(stall, "LIMIT", 0.4)
    monkeypatch.setattr(power, "restart_at_once", lambda: at_restart.append(mark_of(hibernated)))
    device.before["write"] = lambda: wait_until(lambda: bool(at_restart))
    with pytest.raises(Restored):
        boot.resume(f"resume={hibernated}")
    assert at_restart[0]
    assert at_restart[0].loads == 1
    assert at_restart[0].state == MarkState.LOADING


def flip_bit_of_chunk_0(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[RUNS[2][0] * PAGE_SIZE + 177] ^= 0x10
    path.write_bytes(data)


def test_damaged_chunk_never_reaches_the_kernel(
    hibernated: Path, boot: Boot, device: FakeSnapshot
) -> None:
    flip_bit_of_chunk_0(hibernated)
    outcome = boot.resume(f"resume={hibernated}")
    assert isinstance(outcome.error, DamagedError)
    assert "chunk 0" in str(outcome.error)
    assert outcome.discarded == [str(hibernated)]
    assert "write" not in device.calls
    assert header_of(hibernated) == plain_header(hibernated)


@pytest.mark.parametrize(
    ("made", "kind", "message"),
    [
        (
            Made(HERE._replace(kernel_release="1.0")),
            OtherKernelError,
            f"image is of kernel 1.0, this is {HERE.kernel_release}",
        ),
        (Made(HERE._replace(kernel_version="#9")), OtherKernelError, "of build '#9' of kernel"),
        (Made(HERE._replace(machine="vax")), OtherKernelError, "image is of a vax machine"),
        (
            Made(
                HERE._replace(ram_map_digest=bytes(32)),
                FACTS._replace(ram_map="0x0 0x3fffffff System RAM\n0x40000000 0x7 Reserved"),
            ),
            OtherHardwareError,
            "the first range that differs was 0x0 0x3fffffff System RAM, is 0x0 0x4dfffff System",
        ),
        (
            Made(facts=FACTS._replace(processor="A 9", processor_features=frozenset("zyxwvuts"))),
            OtherHardwareError,
            "this processor, B 3, lacks s, t, u, v, w, x and 2 more of the image's, A 9",
        ),
    ],
    ids=["release", "build", "architecture", "memory", "processor"],
)
def test_image_of_another_machine_is_refused_before_loading_and_kept(
    made: Made,
    kind: type[TorporError],
    message: str,
    hibernated: Path,
    boot: Boot,
    device: FakeSnapshot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = FACTS._replace(ram_map="0x0 0x4dfffff System RAM", processor="B 3")
    monkeypatch.setattr(check, "these_facts", lambda: small)
    put_image(hibernated, STREAM, RUNS, made)
    before = hibernated.read_bytes()
    outcome = boot.resume(f"resume={hibernated}")
    assert type(outcome.error) is kind
    assert message in str(outcome.error)
    assert outcome.kept == [(str(hibernated), 0)]
    assert device.calls == []
    assert hibernated.read_bytes() == before


def test_processor_that_can_more_does(
    hibernated: Path, boot: Boot, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = FACTS._replace(processor="new", processor_features=FACTS.processor_features | {"apx"})
    monkeypatch.setattr(check, "these_facts", lambda: more)
    with pytest.raises(Restored):
        boot.resume(f"resume={hibernated}")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (Made(guard=None), "what it holds mounted"),
        (Made(facts=None), "what machine it needs"),
        (Made(HERE._replace(kernel_release="1.0"), None), "what machine it needs"),
    ],
)
def test_image_that_says_too_little_is_never_restored(
    made: Made, message: str, hibernated: Path, boot: Boot, device: FakeSnapshot
) -> None:
    put_image(hibernated, STREAM, RUNS, made)
    outcome = boot.resume(f"resume={hibernated}")
    assert isinstance(outcome.error, DamagedError)
    assert message in str(outcome.error)
    assert device.calls == []
    assert header_of(hibernated) == plain_header(hibernated)


def test_guard_has_the_last_word_before_anything_is_loaded_or_marked(
    hibernated: Path, boot: Boot, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[GuardEntry]] = []

    def compare(entries: list[GuardEntry], wait: Callable[[], bool]) -> None:
        asked.append(entries)
        mark = mark_of(hibernated)
        assert mark
        assert (mark.state, mark.loads) == (MarkState.COMPLETE, 0)
        assert not wait(), "the time is over"
        raise ChangedError("ext4 on /dev/vda, mounted at /, has changed")

    monkeypatch.setattr(images, "compare", compare)
    assert isinstance(boot.resume(f"resume={hibernated} torpor.timeout=0").error, ChangedError)
    assert asked == [[ROOT]]
    assert device.calls == []
    assert header_of(hibernated) == plain_header(hibernated)
    put_image(hibernated, STREAM, RUNS)
    with pytest.raises(ChangedError):
        program.rehearse(f"resume={hibernated} torpor.timeout=0", lambda *_: None)
    assert len(asked) == 2


def test_noresume_discards_the_image(hibernated: Path, boot: Boot, device: FakeSnapshot) -> None:
    outcome = boot.resume(f"resume={hibernated} noresume")
    assert isinstance(outcome.error, ForbiddenError)
    assert outcome.message == (
        f"noresume on the kernel command line; the image on {hibernated} is discarded"
    )
    assert device.calls == []
    assert header_of(hibernated) == plain_header(hibernated)


def test_swap_without_image_is_not_written_to(
    swap_file: SwapFile, boot: Boot, device: FakeSnapshot
) -> None:
    path = swap_file(20)
    before = path.stat().st_mtime_ns
    assert isinstance(boot.resume(f"resume={path}").error, NoImageError)
    assert path.stat().st_mtime_ns == before


def test_running_machine_is_not_overwritten(
    hibernated: Path, device: FakeSnapshot, monkeypatch: pytest.MonkeyPatch, torpor_resume: Torpor
) -> None:
    """Nor is what its boot has said."""
    before = hibernated.read_bytes()
    monkeypatch.setattr(root, "is_in_memory", lambda: False)
    done = torpor_resume("--cmdline", f"resume={hibernated}")
    assert (done.code, "this is no initramfs" in done.err) == (UsageError.exit_code, True)
    assert device.calls == []
    assert hibernated.read_bytes() == before
    assert BootRecord.read() is None


def test_dry_run_reads_all_and_changes_nothing(
    hibernated: Path, boot: Boot, device: FakeSnapshot
) -> None:
    before = hibernated.read_bytes()
    program.rehearse(f"resume={hibernated}", boot.report)
    assert "would resume" in boot.said[0][1]
    flip_bit_of_chunk_0(hibernated)
    with pytest.raises(DamagedError):
        program.rehearse(f"resume={hibernated}", boot.report)
    flip_bit_of_chunk_0(hibernated)
    assert hibernated.read_bytes() == before
    assert device.calls == []


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What the kernel log got."""
    lines: list[tuple[int, str]] = []
    monkeypatch.setattr(program, "to_kernel_log", lambda *words: lines.append(words))
    return lines


@pytest.mark.parametrize(
    ("error", "level", "code"),
    [
        (NoImageError("a"), kmsg.INFO, 3),
        (ForbiddenError("b"), kmsg.INFO, 10),
        (DamagedError("c"), kmsg.ERR, 4),
        (DeviceNotFoundError("d"), kmsg.ERR, 7),
    ],
)
def test_one_line_says_why(
    error: TorporError,
    level: int,
    code: int,
    boot: Boot,
    said: list[tuple[int, str]],
    torpor_resume: Torpor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(program, "resume", failing(error))
    assert torpor_resume("--cmdline", "resume=/dev/x").code == code
    assert said == [(level, f"not resuming: {error}")]
    kept = BootRecord.read()
    assert kept is not None
    assert (kept.exit_code, kept.message) == (code, str(error))


def test_words_that_cannot_be_kept_do_not_stop_the_boot(
    tmp_path: Path, boot: Boot, said: list[tuple[int, str]], torpor_resume: Torpor
) -> None:
    (tmp_path / "kept").write_text("in the way")
    assert torpor_resume("--cmdline", "quiet").code == NoImageError.exit_code
    assert "no device carries a mark" in said[0][1]
    assert "cannot write" in said[1][1]


WORKING_SET = forge.working_set()


@pytest.mark.parametrize(
    ("identity", "extra", "flipped", "error"),
    [
        (HERE._replace(kernel_release="1.0"), "", False, OtherKernelError),
        (HERE, "noresume", False, ForbiddenError),
        (HERE, "", True, DamagedError),
    ],
    ids=["other-kernel", "noresume", "damaged-stream"],
)
def test_working_set_of_a_refused_image_is_handed_on(
    identity: Identity,
    extra: str,
    flipped: bool,
    error: type[TorporError],
    hibernated: Path,
    boot: Boot,
    device: FakeSnapshot,
) -> None:
    put_image(hibernated, STREAM, RUNS, Made(identity, working_set=WORKING_SET))
    if flipped:
        flip_bit_of_chunk_0(hibernated)
    outcome = boot.resume(f"resume={hibernated} {extra}")
    assert type(outcome.error) is error
    assert outcome.handed_on == str(hibernated)
    assert outcome.message.endswith(f"; the working set on {hibernated} is handed on")
    assert working_set.read_working_set() == WORKING_SET
    assert "write" not in device.calls


def damage_working_set(path: Path, runs: Sequence[tuple[int, int]], before: int = 0) -> None:
    """Put an image with one there, a bit of which, or so many bytes before it, is wrong."""
    needle = bytes(range(256)) * 8
    put_image(path, STREAM, runs, Made(working_set=needle + b"x"))
    data = bytearray(path.read_bytes())
    data[data.index(needle[:64]) - before] ^= 1
    path.write_bytes(data)


def test_damaged_working_set_is_not_handed_on_and_changes_nothing(
    hibernated: Path, boot: Boot, device: FakeSnapshot
) -> None:
    damage_working_set(hibernated, RUNS)
    outcome = boot.resume(f"resume={hibernated} noresume")
    assert isinstance(outcome.error, ForbiddenError)
    assert (outcome.discarded, outcome.handed_on) == ([str(hibernated)], "")
    assert working_set.read_working_set() is None


@pytest.mark.parametrize("before", [0, CHUNK_HEADER_SIZE + 20], ids=["contents", "section-header"])
def test_damaged_working_set_does_not_hinder_the_resume(
    before: int, hibernated: Path, boot: Boot, device: FakeSnapshot
) -> None:
    damage_working_set(hibernated, [(5, 1400)], before)
    with pytest.raises(Restored):
        boot.resume(f"resume={hibernated}")
    assert device.loaded == STREAM
    assert working_set.read_working_set() is None


@pytest.mark.parametrize("error", [OSError(12, "no memory"), MemoryError()])
def test_trouble_with_the_working_set_does_not_hide_the_refusal(
    error: Exception, hibernated: Path, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_image(hibernated, STREAM, RUNS, Made(working_set=WORKING_SET))
    monkeypatch.setattr(working_set, "save_working_set", failing(error))
    outcome = boot.resume(f"resume={hibernated} noresume")
    assert isinstance(outcome.error, ForbiddenError)
    assert (outcome.discarded, outcome.handed_on) == ([str(hibernated)], "")
