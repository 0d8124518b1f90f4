"""A machine whose store is on a server: hibernates there, resumes from there, or does not."""

import json
import subprocess
from pathlib import Path

import pytest

from errors import (
    ConfigurationError,
    DeviceNotFoundError,
    ForeignError,
    LockedError,
    NoImageError,
    SealedError,
    ServerError,
    SpentError,
    StoreRefusedError,
)
from format.mark import Mark, MarkState
from linux import programs
from resume import server as resume_server
from resume import unsealing
from s3.credentials import Credentials
from seal import pending
from state import sealing, server
from state.boot import BootRecord
from state.location import Location
from state.record import HibernationRecord, Outcome
from store import find
from store.find import Kind, look_at
from store.reached import why_not_reached
from store.server.head import KEY
from tests.unit.booting import Boot
from tests.unit.conftest import STREAM, Torpor
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.unit.marked import INSTALLATION
from tests.unit.on_server import OnServer
from tests.unit.sealing import Typist, trusted


def test_it_hibernates_and_resumes(on_server: OnServer, boot: Boot, device: FakeSnapshot) -> None:
    assert look_at(on_server.url).kind is Kind.SERVER
    on_server.hibernate()
    assert look_at(on_server.url).holds_image
    at_restore: list[Mark | None] = []
    device.before["atomic_restore"] = lambda: at_restore.append(on_server.head().mark())
    with pytest.raises(Restored):
        boot.resume(f"resume={on_server.url}")
    assert device.loaded == STREAM
    (mark,) = at_restore
    assert mark
    assert (mark.state, mark.attempts) == (MarkState.CLAIMED, 1)


def test_a_server_on_this_machine_is_no_store(
    on_server: OnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is frozen, too."""
    monkeypatch.setattr(find, "why_not_reached", why_not_reached)
    with pytest.raises(StoreRefusedError, match="this machine serves it to itself"):
        look_at(on_server.url)


def test_what_was_restored_is_not_restored_again(
    on_server: OnServer, boot: Boot, device: FakeSnapshot
) -> None:
    on_server.hibernate()
    with pytest.raises(Restored):
        boot.resume(f"resume={on_server.url}")
    outcome = boot.resume(f"resume={on_server.url}")
    assert isinstance(outcome.error, SpentError)
    assert not on_server.head().holds_image()


def test_the_kept_place_is_looked_at(on_server: OnServer, boot: Boot, device: FakeSnapshot) -> None:
    on_server.hibernate()
    with pytest.raises(Restored):
        boot.resume(location=Location(on_server.url, machine_id=INSTALLATION))


def test_another_sender_is_refused(on_server: OnServer, boot: Boot, device: FakeSnapshot) -> None:
    on_server.hibernate()
    trusted(bytes(32))
    outcome = boot.resume(f"resume={on_server.url}")
    assert isinstance(outcome.error, ForeignError)
    assert not device.loaded


def test_without_sealing_nothing_is_restored(
    on_server: OnServer, boot: Boot, device: FakeSnapshot
) -> None:
    on_server.hibernate()
    Path(sealing.PATH).unlink()
    outcome = boot.resume(f"resume={on_server.url}")
    assert isinstance(outcome.error, SealedError)
    assert not device.loaded


def test_a_store_without_an_image(on_server: OnServer, boot: Boot) -> None:
    outcome = boot.resume(f"resume={on_server.url}")
    assert isinstance(outcome.error, NoImageError)
    assert f"the store {on_server.url} is empty" in outcome.message


def test_a_server_that_is_not_there_is_waited_for(
    on_server: OnServer, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume_server, "_PAUSE", 0.01)
    outcome = boot.resume("resume=s3+http://127.0.0.1:1/bucket torpor.timeout=1")
    assert isinstance(outcome.error, DeviceNotFoundError)
    assert "connection refused" in outcome.message
    assert boot.console == ["waiting up to 1 s for s3+http://127.0.0.1:1/bucket"]


def test_wrong_credentials_are_not_waited_for(on_server: OnServer, boot: Boot) -> None:
    Path(server.PATH).write_text(Credentials("nobody", "nothing").build())
    outcome = boot.resume(f"resume={on_server.url}")
    assert isinstance(outcome.error, ServerError)
    assert "403" in outcome.message


@pytest.mark.parametrize("text", [None, "", "access_key=one\n"])
def test_without_credentials_the_boot_is_cold(
    on_server: OnServer, boot: Boot, text: str | None
) -> None:
    Path(server.PATH).unlink()
    if text is not None:
        Path(server.PATH).write_text(text)
    outcome = boot.resume(f"resume={on_server.url}")
    assert isinstance(outcome.error, ConfigurationError)


def test_an_image_in_the_clear_does_not_leave_the_machine(on_server: OnServer) -> None:
    with pytest.raises(StoreRefusedError, match="in the clear"):
        on_server.attempt(sealing=False)
    assert on_server.keys() == [KEY]


def test_what_is_left_over_is_removed(
    on_server: OnServer, boot: Boot, device: FakeSnapshot, torpor: Torpor
) -> None:
    """As the process does that the restored machine starts."""
    on_server.hibernate()
    with pytest.raises(Restored):
        boot.resume(f"resume={on_server.url}")
    assert len(on_server.keys()) > 1
    done = torpor("discard", "--stale", on_server.url)
    assert done.code == 0, done.err
    assert on_server.keys() == [KEY]
    assert not on_server.head().holds_image()


@pytest.mark.parametrize("trouble", ["", "Failed to connect to bus: No such file or directory"])
def test_what_a_boot_has_kept_is_left_to_a_process_with_a_network(
    on_server: OnServer,
    torpor: Torpor,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    """Another kernel's, say: the unit that discards what is stale has none."""
    BootRecord(1.0, 11, "other kernel", (on_server.url, 0)).save()
    ran: list[list[str]] = []

    def run(argv: list[str], _: float) -> "subprocess.CompletedProcess[str]":
        ran.append(argv)
        return subprocess.CompletedProcess(argv, 1 if trouble else 0, "", trouble)

    monkeypatch.setattr(programs, "SYSTEMD_RUNS", str(tmp_path))
    monkeypatch.setattr(programs, "run", run)
    done = torpor("discard", "--stale")
    assert done.code == 0, done.err
    assert done.out == (
        f"the image on {on_server.url} is left to torpor-leftovers.service, which waits for the "
        "network\n"
    )
    ((program, *_, stale, url),) = ran
    assert (program, stale, url) == ("systemd-run", "--stale", on_server.url)
    may_stay = f"what is left of the image on {url} may stay there: {trouble}"
    assert done.err.splitlines() == ([f"torpor: {may_stay}"] if trouble else [])


def test_what_a_boot_has_kept_goes_once_it_is_stale(
    on_server: OnServer, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By that process, which alone sees the server."""
    on_server.hibernate()
    monkeypatch.setattr(pending, "is_written_to", lambda: False)
    said = torpor("discard", "--stale", on_server.url).out
    assert said == f"the image on {on_server.url} is still good: kept\n"
    assert on_server.head().holds_image()
    monkeypatch.setattr(pending, "is_written_to", lambda: True)
    said = torpor("discard", "--stale", on_server.url).out
    assert said.startswith(f"the image on {on_server.url} is discarded: this boot has changed")
    assert on_server.keys() == [KEY]


def test_status_says_where_the_image_is(
    on_server: OnServer, boot: Boot, torpor: Torpor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a boot in which nobody knows the passphrase keeps it."""
    on_server.hibernate()
    begun = HibernationRecord(Outcome.BEGUN, 1000, 0, "other", on_server.url, "uuid", 0, "")
    begun._replace(sealing="passphrase").save()
    monkeypatch.setattr(unsealing, "Asking", Typist)
    boot.resume(f"resume={on_server.url}").leave_behind(boot.report)
    last, this_boot = torpor("status").out.splitlines()
    assert last.endswith(f" to {on_server.url}, sealed for passphrase, not resumed")
    assert this_boot.endswith(f"; the image on {on_server.url} is kept")
    told = json.loads(torpor("status", "--json").out)
    assert told["hibernation"]["store"] == on_server.url
    assert told["boot"]["kept"] == [{"device": on_server.url, "page": 0}]
    assert told["boot"]["exit_code"] == LockedError.exit_code


def test_verify_inspect_and_discard_take_the_url(on_server: OnServer, torpor: Torpor) -> None:
    on_server.hibernate()
    found = json.loads(torpor("inspect", "--json", on_server.url).out)
    assert found["sealed"] is True
    assert torpor("verify", on_server.url).code == SealedError.exit_code
    assert torpor("discard", on_server.url).code == 0
    assert on_server.keys() == [KEY]
    assert torpor("discard", on_server.url).code == NoImageError.exit_code
