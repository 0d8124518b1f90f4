"""The client against SeaweedFS, in the clear and by TLS, and through a bad network."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from errors import ConflictError, IncompleteError, NoObjectError, ServerError
from s3 import client as s3_client
from s3 import wire
from s3.client import ABSENT, PATIENCE, Client, Connection, Patience
from s3.credentials import Credentials
from s3.listing import Listed
from s3.url import ServerUrl
from tests.servers import faults
from tests.servers.proxy import Action, Proxy, Rule
from vm.s3_server import S3Server

PART = os.urandom(3 << 20)
CONNECTIONS = 4
ROUNDS = 10


def client_of(server: S3Server, url: str, patience: Patience = PATIENCE) -> Client:
    """Return a client for a URL of that server."""
    ca = server.certificate.authority if server.certificate else ""
    keys = Credentials(server.access_key, server.secret_key, ca=ca)
    return Client(ServerUrl.parse(url), keys, patience)


@pytest.fixture(params=["s3_server", "tls_server"], ids=["plain", "tls"])
def server(request: pytest.FixtureRequest) -> S3Server:
    made: S3Server = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def client(server: S3Server, request: pytest.FixtureRequest) -> Client:
    """One whose objects no other test sees."""
    return client_of(server, server.url(f"{request.node.originalname}/{os.urandom(4).hex()}"))


@pytest.fixture
def connection(client: Client) -> Iterator[Connection]:
    with client.connection() as made:
        yield made


def test_objects_come_and_go(connection: Connection) -> None:
    assert connection.get("head", 10) is None
    etag = connection.put("head", b"content")
    assert connection.get("head", 7) == (b"content", etag)
    assert connection.put("head", b"another") != etag
    connection.delete("head")
    connection.delete("head")
    assert connection.get("head", 10) is None
    connection.put("empty", b"")
    assert connection.get("empty", 0) is not None


def test_parts_of_objects(connection: Connection) -> None:
    connection.put("id/0001", PART)
    for offset, size in ((0, len(PART)), (0, 1), (4096, 1 << 20), (len(PART) - 1, 1)):
        room = bytearray(size)
        connection.read("id/0001", offset, memoryview(room))
        assert room == PART[offset : offset + size]
    for offset in (len(PART) - 1, len(PART), 2 * len(PART)):
        with pytest.raises(IncompleteError):
            connection.read("id/0001", offset, memoryview(bytearray(2)))
    with pytest.raises(NoObjectError):
        connection.read("id/0002", 0, memoryview(bytearray(2)))


def test_conditions(connection: Connection) -> None:
    with pytest.raises(ConflictError):
        connection.put("head", b"0", '"00000000000000000000000000000000"')
    first = connection.put("head", b"1", ABSENT)
    with pytest.raises(ConflictError):
        connection.put("head", b"2", ABSENT)
    second = connection.put("head", b"2", first)
    with pytest.raises(ConflictError):
        connection.put("head", b"3", first)
    with pytest.raises(ConflictError):
        connection.delete("head", first)
    assert connection.get("head", 1) == (b"2", second)
    connection.delete("head", second)
    with pytest.raises(ConflictError):
        connection.put("head", b"3", second)
    assert connection.get("head", 1) is None


def test_lists(connection: Connection) -> None:
    """Longer than a page, and with names of all kinds."""
    names = [f"m/{number:04}" for number in range(1005)]
    odd = ["x/&<>\"' +%20", "x/ü/1", "x/ü/2"]
    for name in (*names, *odd):
        connection.put(name, b"12")
    listed = [one for one in connection.list() if isinstance(one, Listed)]
    assert [one.key for one in listed] == sorted((*names, *odd), key=str.encode)
    assert {one.size for one in listed} == {2}
    assert max(one.modified for one in listed) - min(one.modified for one in listed) < 300
    assert [*connection.list(delimiter="/")] == ["m/", "x/"]
    folders = [*connection.list("x/", "/")]
    assert [one if isinstance(one, str) else one.key for one in folders] == [odd[0], "x/ü/"]
    assert [*connection.list("none")] == []


def at_once(client: Client, *calls: Callable[[Connection], object]) -> list[object]:
    """Have threads make calls at the same time, each by a connection of its own.

    Return what they return, or ConflictError.
    """
    begin = threading.Barrier(len(calls))

    def make(call: Callable[[Connection], object]) -> object:
        with client.connection() as connection:
            begin.wait(30)
            try:
                return call(connection)
            except ConflictError:
                return ConflictError

    with ThreadPoolExecutor(len(calls)) as pool:
        return [*pool.map(make, calls)]


def test_one_of_several_wins(client: Client, connection: Connection) -> None:
    client.resolve()
    for number in range(ROUNDS):
        key = f"head-{number}"

        def write(name: int, only: str, key: str = key) -> Callable[[Connection], object]:
            return lambda connection: connection.put(key, bytes([name]), only)

        for only in (ABSENT, "seen"):
            seen = connection.get(key, 1)
            condition = only if seen is None else seen.etag
            ends = at_once(
                client, *(write(name + 10 * (seen is None), condition) for name in range(4))
            )
            (winner,) = (end for end in ends if end is not ConflictError)
            now = connection.get(key, 1)
            assert now is not None
            assert now.etag == winner


def test_parts_by_several_connections(client: Client) -> None:
    parts = {f"id/{number:04}": os.urandom(1 << 20) for number in range(16)}
    client.resolve()

    def copy(name: str) -> bool:
        with client.connection() as connection:
            room = bytearray(1 << 20)
            connection.put(name, parts[name])
            connection.read(name, 0, memoryview(room))
            return room == parts[name]

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        assert all(pool.map(copy, parts))


@pytest.mark.parametrize("days", [1, -1])
def test_a_clock_that_is_off(days: int, client: Client, connection: Connection) -> None:
    client.ahead = days * 86400
    connection.put("head", b"1", ABSENT)
    assert abs(client.ahead) < 60
    client.ahead = days * 86400
    room = bytearray(1)
    connection.read("head", 0, memoryview(room))
    assert room == b"1"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"secret_key": "another"}, "403 SignatureDoesNotMatch"),
        ({"access_key": "ANOTHER"}, "403 InvalidAccessKeyId"),
    ],
)
def test_wrong_credentials(change: dict[str, str], why: str, server: S3Server) -> None:
    made = client_of(server, server.url())
    made.credentials = made.credentials._replace(**change)
    with made.connection() as connection:
        for call in (lambda: connection.get("head", 1), lambda: connection.put("head", PART)):
            with pytest.raises(ServerError, match=why) as raised:
                call()
            assert server.secret_key not in str(raised.value) + raised.value.hint


def test_another_bucket(server: S3Server) -> None:
    made = client_of(server, server.url().replace("/images", "/another"))
    with (
        made.connection() as connection,
        pytest.raises(ServerError, match="404 NoSuchBucket") as raised,
    ):
        connection.get("head", 1)
    assert raised.value.hint.startswith("make the bucket")


def test_a_server_that_comes_again(s3_server: S3Server) -> None:
    """Killed and started again, it has what it had, and the client has waited for it."""
    url = s3_server.url("again")
    with client_of(s3_server, url).connection() as connection:
        connection.put("id/0001", PART)
    room = bytearray(len(PART))
    s3_server.kill()
    try:
        with (
            client_of(s3_server, url, Patience(2)).connection() as hasty,
            pytest.raises(ServerError, match="connection refused"),
        ):
            hasty.get("head", 1)
        with (
            ThreadPoolExecutor(1) as pool,
            client_of(s3_server, url, Patience(1000, 90)).connection() as patient,
        ):
            reading = pool.submit(patient.read, "id/0001", 0, memoryview(room))
            s3_server.start()
            reading.result()
    finally:
        with suppress(ValueError):  # it is on
            s3_server.start()
    assert room == PART


FAULTS: dict[str, Action] = {
    "reset": faults.reset,
    "swallowed": faults.swallowed,
    "cut upload": faults.cut_upload(1),
    "cut download": faults.cut_download(1),
    "500": faults.answered(500),
    "503": faults.answered(503, Retry_After="0"),
    "500 instead": faults.done_but_answered(500),
    "longer": faults.of_wrong_length(1),
    "stalled": faults.stalled(),
    "delayed": faults.delayed(0.2),
}
SMALL = PART[:100_000]


def written(connection: Connection, key: str, data: bytes, only: str) -> str:
    """Write by compare-and-set as a store does: a conflict may be with one's own first try."""
    try:
        return connection.put(key, data, only)
    except ConflictError:
        found = connection.get(key, len(data))
        assert found
        assert found.data == data
        return found.etag


def save_and_load(connection: Connection) -> None:
    """A hibernation and a resume, as far as objects go: nothing is left."""
    connection.put("id/0000", SMALL)
    connection.put("id/0001", SMALL[::-1])
    seen = written(connection, "head", b"complete", ABSENT)
    found = connection.get("head", 8)
    assert found == (b"complete", seen)
    room = bytearray(len(SMALL))
    for key, data in (("id/0000", SMALL), ("id/0001", SMALL[::-1])):
        connection.read(key, 0, memoryview(room))
        assert room == data
    seen = written(connection, "head", b"claimed", seen)
    assert {one.key for one in connection.list() if isinstance(one, Listed)} == {
        *("head", "id/0000", "id/0001")
    }
    for key in ("head", "id/0000", "id/0001"):
        connection.delete(key)
    assert [*connection.list()] == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_every_request(
    fault: str, s3_server: S3Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"faults/{fault.replace(' ', '-')}"
    with client_of(s3_server, proxy.url(prefix)).connection() as connection:
        proxy.follow()
        save_and_load(connection)
        count = len(proxy.requests)
        assert count == 12
        monkeypatch.setattr(s3_client, "_SHORTEST", 0.01)
        monkeypatch.setattr(wire, "SECONDS", 1.0)
        for number in range(count):
            proxy.follow(Rule(FAULTS[fault], nth=number))
            save_and_load(connection)
            assert len(proxy.requests) > number
