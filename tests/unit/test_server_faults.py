"""A network that fails at one request: nothing is lost, and nothing runs twice."""

import pytest

from errors import TorporError
from format.mark import MarkState
from resume import restore
from s3 import client, wire
from tests.servers import faults
from tests.servers.proxy import Action, Exchange, Proxy, Rule, passed
from tests.unit.booting import Boot
from tests.unit.conftest import STREAM
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff, Restored
from tests.unit.on_server import OnServer

FAULTS: dict[str, Action] = {
    "cut-upload": faults.cut_upload(100),
    "cut-answer": faults.cut_download(10),
    "reset": faults.reset,
    "lost-answer": faults.swallowed,
    "500": faults.answered(500),
    "503": faults.answered(503, Retry_After="1"),
    "412-after-success": faults.done_but_answered(412),
    "longer": faults.of_wrong_length(7),
    "stalled": faults.stalled(),
}
"""That pass: of the requests only one meets them."""
QUICK = {"lost-answer", "412-after-success"}
each_fault = pytest.mark.parametrize(
    "fault",
    [
        pytest.param(fault, marks=[] if name in QUICK else pytest.mark.long)
        for name, fault in FAULTS.items()
    ],
    ids=FAULTS,
)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for hundredths of the seconds."""
    monkeypatch.setattr(client, "_SHORTEST", 0.002)
    monkeypatch.setattr(client, "_LONGEST", 0.05)
    monkeypatch.setattr(wire, "SECONDS", 2.0)


def saved(machine: OnServer) -> bool:
    """Hibernate; return whether the machine is off. It goes on otherwise, and nothing is marked."""
    try:
        machine.attempt()
    except PoweredOff:
        return True
    except TorporError:
        return False
    raise AssertionError("it neither powered off nor said why not")


def count(proxy: Proxy) -> int:
    """Return how many requests there were."""
    found = len(proxy.requests)
    assert found
    return found


@each_fault
def test_every_request_of_a_save(by_proxy: OnServer, proxy: Proxy, fault: Action) -> None:
    proxy.follow()
    assert saved(by_proxy)
    outcomes = []
    for nth in range(count(proxy)):
        by_proxy.head().discard()
        proxy.follow(Rule(fault, nth=nth))
        outcomes.append(saved(by_proxy))
        proxy.follow()
        head = by_proxy.head()
        assert head.holds_image() == outcomes[-1], proxy.requests
        if outcomes[-1]:
            mark = head.mark()
            assert mark
            assert mark.state is MarkState.COMPLETE
    assert any(outcomes)
    assert all(outcomes) or fault is FAULTS["412-after-success"]


@each_fault
def test_every_request_of_a_load(
    by_proxy: OnServer,
    proxy: Proxy,
    boot: Boot,
    device: FakeSnapshot,
    fault: Action,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert saved(by_proxy)
    proxy.follow()
    assert loaded(by_proxy, boot, device)
    outcomes = []
    for nth in range(count(proxy)):
        proxy.follow()
        assert saved(by_proxy)
        proxy.follow(Rule(fault, nth=nth))
        another = FakeSnapshot(STREAM)
        monkeypatch.setattr(restore, "open_snapshot", another.open)
        outcomes.append(loaded(by_proxy, boot, another))
        proxy.follow()
        mark = by_proxy.head().mark()
        assert outcomes[-1] == (mark is not None and mark.state is MarkState.CLAIMED)
    assert any(outcomes)
    assert all(outcomes) or fault is FAULTS["412-after-success"]


def stale(exchange: Exchange) -> None:
    """Answer what was true once, if anybody has asked before."""
    try:
        faults.stale(exchange)
    except KeyError:
        passed(exchange)


HOSTILE: dict[str, Action] = {
    "first-page": faults.flipped(3000),
    "second-page": faults.flipped(4200),
    "first-byte": faults.flipped(0),
    "stale": stale,
}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(wrong, marks=[] if wrong is stale else pytest.mark.long)
        for wrong in HOSTILE.values()
    ],
    ids=HOSTILE,
)
def test_every_answer_of_a_load_is_wrong(
    by_proxy: OnServer,
    proxy: Proxy,
    boot: Boot,
    device: FakeSnapshot,
    wrong: Action,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The image is restored whole and once, by this boot or the next one, or never."""
    assert saved(by_proxy)
    proxy.follow()
    assert loaded(by_proxy, boot, device)
    answers = sum(request.method == "GET" for request in proxy.requests)
    assert answers > 2
    for nth in range(answers):
        proxy.follow()
        assert saved(by_proxy)
        proxy.follow(Rule(wrong, method="GET", nth=nth))
        restored = []
        for _ in range(3):
            another = FakeSnapshot(STREAM)
            monkeypatch.setattr(restore, "open_snapshot", another.open)
            restored.append(loaded(by_proxy, boot, another))
            proxy.follow()
        assert sum(restored) <= 1, (nth, restored)


def loaded(machine: OnServer, boot: Boot, device: FakeSnapshot) -> bool:
    """Boot; return whether the machine has become its image, which is whole then."""
    try:
        boot.resume(f"resume={machine.url}")
    except Restored:
        assert device.loaded == STREAM
        return True
    return False
