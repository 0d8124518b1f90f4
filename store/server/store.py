"""A store on a server, opened to hibernate to it, and what is done there besides."""

from contextlib import closing
from typing import Self

from errors import StoreRefusedError
from linux.installation import machine_id, parse_machine_id
from linux.snapshot import SnapshotDevice
from s3.client import PATIENCE, Client, Patience
from s3.url import ServerUrl
from state.server import read_credentials
from store.server.head import Head, read_head
from store.server.sink import PartSink

ROOM = 1 << 62
"""Bytes: a server does not say what it takes."""
_TRIAL = "trial"
MAKE_ID = "make one: systemd-machine-id-setup"


class ServerStore:
    """A Store on a server."""

    room = ROOM
    is_on_server = True

    def __init__(self, client: Client, name: str) -> None:
        """Read its head. Raises as read_head."""
        self._client = client
        self.name = name
        self.slot: Head = read_head(client, name)

    def __enter__(self) -> Self:
        """See Store."""
        return self

    def __exit__(self, *_: object) -> None:
        """See Store."""
        self.slot.close()

    def clear_alone(self) -> None:
        """See Store."""
        self.slot.clear()

    def attach(self, _: SnapshotDevice) -> None:
        """See Store: there is nothing to attach. What is to be done while frozen is done once.

        So nothing is imported or looked up then, and who may not write is told in time. Raises
        ServerError.
        """
        with closing(self._client.connection()) as connection:
            connection.put(_TRIAL, b"trial")
            connection.read(_TRIAL, 0, memoryview(bytearray(5)))
            connection.delete(_TRIAL)

    def begin_ahead(self, size: int) -> None:
        """See Store: there is no room to get."""

    def end_ahead(self) -> None:
        """See Store."""

    def sink(self) -> PartSink:
        """See Store."""
        return PartSink(self._client, self.slot)


def client_of(url: str, machine: str, patience: Patience = PATIENCE) -> Client:
    """Return what leads to a store: of the machine that `url` ends in, else of this machine id.

    Raises ConfigurationError, StoreRefusedError without a machine id, ServerError.
    """
    found = ServerUrl.parse(url)
    if not is_of_machine(found):
        if not machine:
            raise StoreRefusedError(f"{url} needs a machine id: whose image is it?", MAKE_ID)
        found = found._replace(prefix=found.whole_key(machine))
    client = Client(found, read_credentials(), patience)
    client.resolve()
    return client


def is_of_machine(url: ServerUrl) -> bool:
    """Return whether the URL ends in a machine id: it names one machine's store."""
    last = url.prefix.rpartition("/")[2]
    return bool(last) and parse_machine_id(last) == last


def open_head(url: str, machine: str, patience: Patience = PATIENCE) -> Head:
    """Return the head of the store of this machine id. Raises as client_of and read_head."""
    return read_head(client_of(url, machine, patience), url)


def open_server_store(url: str) -> ServerStore:
    """Open this machine's store to hibernate to it. Raises as open_head."""
    return ServerStore(client_of(url, machine_id()), url)
