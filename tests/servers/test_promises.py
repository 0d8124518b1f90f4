"""What the claim of an image rests on, of two servers that have nothing in common."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from errors import ConflictError, IncompleteError
from s3.client import ABSENT, Client, Connection
from s3.credentials import Credentials
from s3.url import ServerUrl
from tests.servers.ceph import Ceph
from vm.s3_server import S3Server

CLIENTS = 8
ROUNDS, ROUNDS_OF_LONG_RUNS = 3, 50

CEPH = pytest.param("ceph", marks=pytest.mark.long)


def client_of(server: S3Server | Ceph) -> Client:
    """Return one whose objects no other test sees."""
    url = ServerUrl.parse(server.url(f"promises/{os.urandom(4).hex()}"))
    return Client(url, Credentials(server.access_key, server.secret_key))


@pytest.fixture(params=["s3_server", CEPH])
def client(request: pytest.FixtureRequest) -> Client:
    return client_of(request.getfixturevalue(request.param))


@pytest.fixture
def connection(client: Client) -> Iterator[Connection]:
    with client.connection() as made:
        yield made


def test_what_is_there_is_not_made_once_more(connection: Connection) -> None:
    etag = connection.put("head", b"first", ABSENT)
    with pytest.raises(ConflictError, match="412"):
        connection.put("head", b"second", ABSENT)
    assert connection.get("head", 9) == (b"first", etag)
    connection.delete("head")
    connection.put("head", b"third", ABSENT)


def test_only_what_was_seen_is_replaced(connection: Connection) -> None:
    first = connection.put("head", b"first")
    second = connection.put("head", b"second", first)
    with pytest.raises(ConflictError, match="412"):
        connection.put("head", b"third", first)
    assert connection.get("head", 9) == (b"second", second)


def test_what_is_gone_does_not_come_back(connection: Connection) -> None:
    etag = connection.put("head", b"first")
    connection.delete("head")
    with pytest.raises(ConflictError):
        connection.put("head", b"second", etag)
    assert connection.get("head", 9) is None


@pytest.mark.parametrize("is_there", [False, True], ids=["create", "replace"])
def test_of_those_who_race_one_wins(
    is_there: bool, client: Client, connection: Connection, pytestconfig: pytest.Config
) -> None:
    """And what is there afterwards is what he wrote, who was told so."""
    barrier = threading.Barrier(CLIENTS)
    rounds = ROUNDS_OF_LONG_RUNS if pytestconfig.getoption("--long") else ROUNDS

    def race(name: str) -> list[bytes]:
        only = connection.put(name, os.urandom(16)) if is_there else ABSENT

        def put(data: bytes) -> bytes:
            with client.connection() as mine:
                barrier.wait(60)
                try:
                    mine.put(name, data, only)
                except ConflictError:
                    return b""
                return data

        return [each for each in pool.map(put, [os.urandom(16) for _ in range(CLIENTS)]) if each]

    with ThreadPoolExecutor(CLIENTS) as pool:
        for n in range(rounds):
            winners = race(f"head{n}")
            found = connection.get(f"head{n}", 16)
            assert found is not None
            assert winners == [found.data]


def test_a_part_is_read(connection: Connection) -> None:
    data = os.urandom(5 << 20)
    connection.put("part", data)
    for offset, size in ((0, len(data)), (1, 1), (4096, 1 << 20), (len(data) - 1, 1)):
        room = bytearray(size)
        connection.read("part", offset, memoryview(room))
        assert room == data[offset : offset + size]
    for offset in (len(data) - 1, len(data)):
        with pytest.raises(IncompleteError):
            connection.read("part", offset, memoryview(bytearray(2)))


def test_what_is_listed(connection: Connection) -> None:
    for name in ("a/0000", "a/0001", "b"):
        connection.put(name, b"x" * len(name))
    found = [each for each in connection.list() if not isinstance(each, str)]
    assert [(each.key, each.size) for each in found] == [("a/0000", 6), ("a/0001", 6), ("b", 1)]
    assert {each for each in connection.list(delimiter="/") if isinstance(each, str)} == {"a/"}


@pytest.mark.parametrize(
    ("name", "heeds"), [("s3_server", True), pytest.param("ceph", False, marks=pytest.mark.long)]
)
def test_who_heeds_a_condition_of_a_delete(
    name: str, heeds: bool, request: pytest.FixtureRequest
) -> None:
    """Not all do: nothing may rest on it."""
    with client_of(request.getfixturevalue(name)).connection() as connection:
        etag = connection.put("head", b"first")
        connection.put("head", b"second")
        with pytest.raises(ConflictError) if heeds else nullcontext():
            connection.delete("head", etag)
        assert (connection.get("head", 9) is not None) == heeds
