"""A machine whose store is on the S3 server of the tests."""

from pathlib import Path
from uuid import uuid4

import pytest

from hibernate import opened, sequence
from hibernate.attempts import hibernate_once
from hibernate.downtime import Downtime
from hibernate.marking import Marking
from hibernate.plan import Plan
from hibernate.power_off import Mode
from s3.client import Client
from s3.credentials import Credentials
from s3.url import ServerUrl
from state import server
from store.server.head import Head, new_head
from store.server.store import client_of, open_head
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff
from tests.unit.hibernating import no_working_set
from tests.unit.marked import INSTALLATION
from tests.unit.sealing import passphrase_slot, sender, trusted
from vm.s3_server import S3Server


def client_at(s3_server: S3Server, prefix: str) -> Client:
    """Return what leads to a place in the server's bucket."""
    return Client(ServerUrl.parse(s3_server.url(prefix)), credentials_of(s3_server))


def credentials_of(s3_server: S3Server) -> Credentials:
    return Credentials(s3_server.access_key, s3_server.secret_key)


class OnServer:
    """A machine with an empty store on the server, which seals what it writes there."""

    def __init__(self, s3_server: S3Server, stream: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        """`stream` is its memory."""
        self._stream = stream
        self.prefix = str(uuid4())
        self.url, self.above = s3_server.url(self.prefix), client_at(s3_server, self.prefix)
        self.said: list[str] = []
        self.seals = sender(passphrase_slot())
        self._monkeypatch = monkeypatch
        Path(server.PATH).parent.mkdir(exist_ok=True)
        Path(server.PATH).write_text(credentials_of(s3_server).build())
        trusted()
        new_head(client_of(self.url, INSTALLATION))

    def hibernate(self) -> None:
        """Hibernate up to the power-off, which keeps the image as a real one does."""
        with pytest.raises(PoweredOff):
            self.attempt()

    def attempt(self, *, sealing: bool = True) -> None:
        seals = self.seals if sealing else None
        plan = Plan(self.url, Mode.PLATFORM, uuid4(), sender=seals)
        with self._monkeypatch.context() as patched:
            patched.setattr(opened, "open_snapshot", FakeSnapshot(self._stream).open)
            is_off: list[bool] = []
            really = Marking.clear

            def off(*_: object) -> None:
                is_off.append(True)
                raise PoweredOff

            patched.setattr(sequence, "power_off", off)
            patched.setattr(Marking, "clear", lambda marking: is_off or really(marking))
            hibernate_once(plan, self.said.append, no_working_set(), Downtime())

    def head(self) -> Head:
        return open_head(self.url, INSTALLATION)

    def client(self) -> Client:
        return client_of(self.url, INSTALLATION)

    def keys(self) -> list[str]:
        with self.client().connection() as connection:
            return sorted(getattr(each, "key", "") for each in connection.list())
