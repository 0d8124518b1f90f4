"""Makes a store on a server for this machine, and keeps what opens it."""

from contextlib import ExitStack

from errors import ConflictError
from linux.installation import machine_id
from s3.credentials import Credentials
from state.server import PATH
from store.server.head import new_head
from store.server.probe import probe
from store.server.store import client_of, open_head
from torpor.enable.system import NOTE, System


def keep(system: System, credentials: Credentials, undo: ExitStack) -> None:
    """Keep the credentials, for root alone; `undo` gets what puts back what was there.

    Raises SetupError, UnreadableError.
    """
    system.write(PATH, NOTE + credentials.build(), undo, 0o600)


def make_ready(url: str) -> None:
    """Try what the server keeps, and make the store of this machine unless there is one.

    Raises StoreRefusedError, ServerError, ConfigurationError, DamagedError.
    """
    client = client_of(url, machine_id())
    probe(client)
    try:
        new_head(client)
    except ConflictError:
        open_head(url, machine_id()).close()
