"""The stores of all machines below a URL, for who operates them: no key of an image is needed."""

from contextlib import closing
from typing import NamedTuple

from errors import DamagedError, DeviceNotFoundError, ServerError, TorporError
from format.mark import Mark
from format.records import Superblock
from linux.installation import parse_machine_id
from s3.client import Client
from s3.listing import Listed
from store.server.head import KEY, read_head


class Machine(NamedTuple):
    """What a server has of one machine."""

    machine_id: str
    size: int
    """Bytes of all of its objects."""
    modified: float
    """When the newest of them was written; seconds since 1970, by the server's clock."""
    parts: int
    """Objects besides its head."""


class Said(NamedTuple):
    """What the head of a store says; nobody has authenticated that."""

    state: str
    """empty, complete, loading, claimed, damaged, or missing."""
    mark: Mark | None = None
    superblock: Superblock | None = None
    trouble: str = ""
    """What is damaged."""


def machines(client: Client) -> list[Machine]:
    """Return the machines in the order of their ids. Raises ServerError."""
    found: dict[str, list[Listed]] = {}
    with closing(client.connection()) as connection:
        for each in connection.list():
            if isinstance(each, Listed) and (machine := _machine_of(each.key)):
                found.setdefault(machine, []).append(each)
    return [
        Machine(
            machine,
            sum(each.size for each in all_),
            max(each.modified for each in all_),
            sum(not each.key.endswith(f"/{KEY}") for each in all_),
        )
        for machine, all_ in sorted(found.items())
    ]


def _machine_of(key: str) -> str:
    """Return the machine id that a key begins with, "" if it begins with none."""
    machine, slash, _ = key.partition("/")
    return machine if slash and parse_machine_id(machine) == machine else ""


def client_below(client: Client, machine: str) -> Client:
    """Return what leads to the store of a machine below the URL of `client`."""
    url = client.url._replace(prefix=client.url.whole_key(machine))
    return Client(url, client.credentials, client.patience)


def said_by(client: Client) -> Said:
    """Return what the head says of the store that `client` leads to. Raises ServerError."""
    try:
        with closing(read_head(client, str(client.url))) as head:
            mark = head.mark()
            if mark is None:
                return Said("empty")
            superblock = Superblock.parse(head.superblock(mark))
            return Said(mark.state.name.lower(), mark, superblock)
    except DeviceNotFoundError:
        return Said("missing")
    except ServerError:
        raise
    except TorporError as error:
        return Said("damaged", trouble=str(error))


def remove_image(client: Client) -> None:
    """Remove what lies in the store that `client` leads to, its image first; not its head.

    Raises ConflictError where the machine has begun something meanwhile, ServerError.
    """
    try:
        with closing(read_head(client, str(client.url))) as head:
            head.clear()
            head.tidy()
    except (DeviceNotFoundError, DamagedError):
        remove_all(client)


def remove_all(client: Client) -> None:
    """Remove all that a machine has there, the head as well. Raises ServerError."""
    with closing(client.connection()) as connection:
        for each in list(connection.list()):
            if isinstance(each, Listed):
                connection.delete(each.key)
