"""Tries whether a server keeps what the claim of an image rests on; else it is refused."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from uuid import uuid4

from errors import ConflictError, StoreRefusedError
from format.pipeline import Threads
from s3.client import ABSENT, Client, Connection

_RACERS, _ROUNDS = 4, 8
NOBODYS = "0123456789abcdef0123456789abcdef"
"""An ETag that no object has."""


def probe(client: Client) -> None:
    """Write and remove an object below the client's URL.

    Raises StoreRefusedError that names what the server does not keep, ServerError.
    """
    key = f"probe-{uuid4()}"
    with closing(client.connection()) as connection:
        try:
            _create(connection, key)
            _replace(connection, key)
            _read(connection, key)
            _race(client, connection, key)
            _delete(connection, key)
        finally:
            connection.delete(key)


def _create(connection: Connection, key: str) -> None:
    connection.put(key, b"first", only=ABSENT)
    with _refused("replaces an object where it was to create one (If-None-Match: *)"):
        connection.put(key, b"second", only=ABSENT)


def _replace(connection: Connection, key: str) -> None:
    with _refused("replaces an object that has another ETag (If-Match)"):
        connection.put(key, b"third", only=NOBODYS)
    before = _etag(connection, key)
    if connection.put(key, b"fourth", only=before) == before:
        raise _refusal("gives an object that has changed its old ETag")


def _read(connection: Connection, key: str) -> None:
    room = memoryview(bytearray(3))
    connection.read(key, 2, room)
    if bytes(room) != b"urt":
        raise _refusal("gives another part of an object than it is asked for (Range)")


def _race(client: Client, connection: Connection, key: str) -> None:
    """Have several replace the same object at once, some times over: one may get it each time."""
    with ExitStack() as closed:
        threads = closed.enter_context(closing(Threads(_RACERS)))
        racers = [closed.enter_context(client.connection()) for _ in range(_RACERS)]
        for _ in range(_ROUNDS):
            etag = _etag(connection, key)
            data = [os.urandom(16) for _ in racers]
            jobs = [
                threads.begin(partial(_is_replaced, racer, key, each, etag))
                for racer, each in zip(racers, data, strict=True)
            ]
            if (won := sum(job.result() for job in jobs)) > 1:
                raise _refusal(f"lets {won} of {_RACERS} replace one object at once")
            there = connection.get(key, 16)
            if there is None or there.data not in data:
                raise _refusal("lets nobody replace an object that several want")


def _is_replaced(connection: Connection, key: str, data: bytes, etag: str) -> bool:
    try:
        connection.put(key, data, only=etag)
    except ConflictError:
        return False
    return True


def _delete(connection: Connection, key: str) -> None:
    before = _etag(connection, key)
    connection.delete(key)
    if connection.get(key, 16) is not None:
        raise _refusal("still gives an object that it has removed")
    with _refused("writes an object where it was to replace one that is gone"):
        connection.put(key, b"last", only=before)


def _etag(connection: Connection, key: str) -> str:
    found = connection.get(key, 16)
    if found is None:
        raise _refusal("does not give an object that was just written")
    return found.etag


@contextmanager
def _refused(wrong: str) -> Iterator[None]:
    """Have what is done in the block be refused, for its condition."""
    try:
        yield
    except ConflictError:
        return
    raise _refusal(wrong)


def _refusal(wrong: str) -> StoreRefusedError:
    return StoreRefusedError(
        f"the server {wrong}: two machines could restore one image",
        "use a server that keeps conditional writes: docs/NETWORK.md has a list",
    )
