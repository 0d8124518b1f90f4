"""Two boots that want one image on a server, each a process of its own: one gets it."""

import os
from typing import NamedTuple, Self

import pytest

from resume import images, restore
from store.server.head import KEY, SIZE
from tests.unit.booting import Boot
from tests.unit.conftest import STREAM
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.unit.on_server import OnServer

ROUNDS = 100
RESTORED = "restored"
SPENT = "the image is not restored any more: power was lost while it was being restored"


class Racer(NamedTuple):
    """A boot in a process of its own, and where that writes what came of it."""

    pid: int
    answer: int

    @classmethod
    def ready(cls, go: tuple[int, int], boot: "Resuming") -> Self:
        """Start one that boots once nobody has the second descriptor of `go` any more."""
        answer, its = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.close(go[1])
                os.read(go[0], 1)
                os.write(its, boot.message().encode())
            finally:
                os._exit(0)
        os.close(its)
        return cls(pid, answer)

    def message(self) -> str:
        """Return what it says at its end."""
        with open(self.answer) as answer:
            text = answer.read()
        os.waitpid(self.pid, 0)
        return text


class Resuming(NamedTuple):
    """How boots go whose store is on the server."""

    boot: Boot
    url: str
    monkeypatch: pytest.MonkeyPatch

    def message(self) -> str:
        """Boot; return RESTORED once the kernel has the whole image, else why it is cold."""
        device = FakeSnapshot(STREAM)
        self.monkeypatch.setattr(restore, "open_snapshot", device.open)
        try:
            return self.boot.resume(f"resume={self.url}").message
        except Restored:
            return RESTORED if device.loaded == STREAM else "restored something else"

    def raced(self) -> list[str]:
        """Return what two say that begin at one moment."""
        go = os.pipe()
        racers = [Racer.ready(go, self) for _ in range(2)]
        for end in go:
            os.close(end)
        return [racer.message() for racer in racers]


def test_of_two_boots_one_gets_it(
    on_server: OnServer, boot: Boot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred times over: it is saved once, and its head put back for each race."""
    monkeypatch.setattr(images, "compare", lambda *_: None)
    resuming = Resuming(boot, on_server.url, monkeypatch)
    on_server.hibernate()
    with on_server.client().connection() as connection:
        saved = connection.get(KEY, SIZE)
        assert saved
        for _ in range(ROUNDS):
            connection.put(KEY, saved.data)
            said = resuming.raced()
            assert said.count(RESTORED) == 1, said
            (other,) = (words for words in said if words != RESTORED)
            lost = f"another boot or machine has changed {on_server.url} meanwhile"
            assert other == lost or other.startswith(SPENT), other
            assert resuming.message().startswith((SPENT, "no image: "))
