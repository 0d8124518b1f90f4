"""A server that fails for good: what is said, which exit code, and what becomes of the image.

The rows are those of the table in docs/NETWORK.md.
"""

import time
from dataclasses import dataclass

import pytest

from errors import (
    ConflictError,
    DamagedError,
    DeviceNotFoundError,
    IncompleteError,
    NoImageError,
    NoSpaceError,
    ServerError,
    TorporError,
    UnreachableError,
)
from format.first_page import MARK_OFFSET
from format.mark import MarkState
from resume import server as resume_server
from s3 import client
from tests.servers import faults
from tests.servers.proxy import Action, Proxy, Rule
from tests.unit.booting import Boot
from tests.unit.conftest import STREAM
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.unit.on_server import OnServer

COMPLETE = MarkState.COMPLETE
HEAD, PARTS = "/head$", "/00[0-9]{3}$"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a server does with some requests, and what comes of it."""

    name: str
    action: Action
    key: str
    error: type[TorporError]
    words: str
    left: MarkState | None = None
    """How the image is marked afterwards; None: there is none."""
    method: str = "GET"


SAVING = [
    Trouble("gone", faults.gone, "", UnreachableError, "connection refused"),
    Trouble("no-store", faults.answered(404, "NoSuchKey"), HEAD, DeviceNotFoundError, "no store"),
    Trouble(
        "may-not-write",
        faults.answered(403, "AccessDenied"),
        "/trial$",
        ServerError,
        "403 AccessDenied",
        method="PUT",
    ),
    Trouble(
        "gone-meanwhile", faults.gone, PARTS, UnreachableError, "connection refused", method="PUT"
    ),
    Trouble("ill", faults.answered(500), PARTS, UnreachableError, "500 Fault", method="PUT"),
    Trouble(
        "revoked",
        faults.answered(403, "InvalidAccessKeyId"),
        PARTS,
        ServerError,
        "403 InvalidAccessKeyId",
        method="PUT",
    ),
    Trouble("full", faults.answered(507), PARTS, NoSpaceError, "507 Fault", method="PUT"),
    Trouble("no-mark", faults.answered(500), HEAD, UnreachableError, "500 Fault", method="PUT"),
    Trouble("race", faults.answered(412), HEAD, ConflictError, "another boot", method="PUT"),
]
LOADING_FAILS = [
    Trouble("gone", faults.gone, "", DeviceNotFoundError, "connection refused", COMPLETE),
    Trouble("busy", faults.answered(503), HEAD, DeviceNotFoundError, "503 Fault", COMPLETE),
    Trouble(
        "revoked",
        faults.answered(403, "InvalidAccessKeyId"),
        HEAD,
        ServerError,
        "403 InvalidAccessKeyId",
        COMPLETE,
    ),
    Trouble(
        "no-bucket",
        faults.answered(404, "NoSuchBucket"),
        HEAD,
        ServerError,
        "404 NoSuchBucket",
        COMPLETE,
    ),
    Trouble(
        "no-head",
        faults.answered(404, "NoSuchKey"),
        HEAD,
        DeviceNotFoundError,
        "there is no store at",
        COMPLETE,
    ),
    Trouble("head", faults.flipped(2), HEAD, DamagedError, "no head of a store", COMPLETE),
    Trouble("mark", faults.flipped(MARK_OFFSET + 40), HEAD, DamagedError, "mark has", COMPLETE),
    Trouble("superblock", faults.flipped(4200), HEAD, DamagedError, "checksum", COMPLETE),
    Trouble("stale", faults.stale, HEAD, NoImageError, "is empty", COMPLETE),
    Trouble("race", faults.answered(412), HEAD, ConflictError, "another", COMPLETE, method="PUT"),
    Trouble("part-lost", faults.answered(404, "NoSuchKey"), PARTS, IncompleteError, "no part 0"),
    Trouble("byte", faults.flipped(7), PARTS, DamagedError, "is discarded"),
    Trouble("length", faults.of_wrong_length(7), PARTS, ServerError, "is discarded"),
    Trouble(
        "gone-meanwhile",
        faults.gone,
        PARTS,
        UnreachableError,
        "cannot be discarded: cannot write",
        COMPLETE,
    ),
]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_SHORTEST", 0.002)
    monkeypatch.setattr(resume_server, "_PAUSE", 0.05)


@pytest.mark.parametrize("trouble", SAVING, ids=lambda trouble: trouble.name)
def test_the_machine_goes_on(by_proxy: OnServer, proxy: Proxy, trouble: Trouble) -> None:
    proxy.follow(Rule(trouble.action, method=trouble.method, key=trouble.key))
    with pytest.raises(trouble.error, match=trouble.words) as raised:
        by_proxy.attempt()
    assert type(raised.value) is trouble.error
    proxy.follow()
    proxy.listen()
    assert not by_proxy.head().holds_image()


@pytest.mark.parametrize("trouble", LOADING_FAILS, ids=lambda trouble: trouble.name)
def test_the_boot_is_cold(
    by_proxy: OnServer, proxy: Proxy, boot: Boot, device: FakeSnapshot, trouble: Trouble
) -> None:
    by_proxy.hibernate()
    proxy.follow(Rule(trouble.action, method=trouble.method, key=trouble.key))
    outcome = boot.resume(f"resume={by_proxy.url} torpor.timeout=1")
    assert type(outcome.error) is trouble.error, outcome.message
    assert trouble.words in outcome.message
    assert not device.complete
    proxy.follow()
    proxy.listen()
    mark = by_proxy.head().mark()
    assert (mark and mark.state) == trouble.left


def test_a_boot_waits_for_a_server_that_is_busy(
    by_proxy: OnServer, proxy: Proxy, boot: Boot, device: FakeSnapshot
) -> None:
    by_proxy.hibernate()
    rules = [Rule(faults.answered(503), nth=nth) for nth in range(3)]
    rules += [Rule(faults.answered(500), nth=nth) for nth in range(3)]
    proxy.follow(*rules)
    resumes(by_proxy, boot, device)
    assert all(rule.seen > 3 for rule in rules)


@pytest.mark.parametrize("days", [1, -1])
def test_a_boot_takes_the_time_from_the_server(
    on_server: OnServer,
    boot: Boot,
    device: FakeSnapshot,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
) -> None:
    """Where the clock has no battery, say."""
    on_server.hibernate()
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + days * 86400)
    resumes(on_server, boot, device)


def resumes(machine: OnServer, boot: Boot, device: FakeSnapshot) -> None:
    with pytest.raises(Restored):
        boot.resume(f"resume={machine.url}")
    assert device.loaded == STREAM
