"""Each fault that the proxy makes is what it is called, to the client and to the server."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.client import (
    HTTPConnection,
    HTTPException,
    HTTPSConnection,
    IncompleteRead,
    RemoteDisconnected,
)
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.servers import faults
from tests.servers.proxy import Action, Proxy, Rule, passed
from tests.tools import wait_until
from vm.certificates import Authority
from vm.s3_server import HOST

BODY = bytes(range(256)) * 1024


class Shelf(ThreadingHTTPServer):
    """Keeps what is put there: what stands behind the proxy."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), Handler)
        self.kept: dict[str, bytes] = {}
        self.got = 0
        """Bytes of bodies that came."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shelf

    def do_PUT(self) -> None:
        length, body = int(self.headers["Content-Length"]), b""
        while len(body) < length and (more := self.rfile.read1(length - len(body))):
            body += more
            self.server.got += len(more)
        if len(body) == length:
            self.server.kept[self.path] = body
            self._tell(200, b"")

    def do_GET(self) -> None:
        body = self.server.kept.get(self.path)
        self._tell(404 if body is None else 200, body or b"")

    def do_DELETE(self) -> None:
        self.server.kept.pop(self.path, None)
        self.send_response(204)
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def _tell(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("ETag", '"tag"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: only the proxy is asked what came."""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    with Shelf() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(name="way")
def _way(shelf: Shelf) -> Iterator[Proxy]:
    with Proxy(shelf.server_port) as proxy:
        yield proxy


@pytest.fixture
def client(way: Proxy) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(HOST, way.port, timeout=5)
    yield connection
    connection.close()


def ask(client: HTTPConnection, method: str, path: str = "/key", data: bytes = b"") -> bytes:
    """Return what came of a request: its status, a space, the body."""
    client.request(method, path, data if method == "PUT" else None)
    answer = client.getresponse()
    return b"%d %b" % (answer.status, answer.read())


def test_without_rules_all_passes(shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    assert ask(client, "GET") == b"404 "
    assert ask(client, "PUT", data=BODY) == b"200 "
    assert ask(client, "GET") == b"200 " + BODY
    client.request("HEAD", "/key", headers={"If-Match": "it"})
    with client.getresponse() as answer:
        assert (answer.headers["Content-Length"], answer.headers["ETag"]) == ("262144", '"tag"')
    assert ask(client, "DELETE", "/key?a=b") == b"204 "
    assert ask(client, "DELETE") == b"204 "
    assert shelf.kept == {}
    asked = [(request.method, request.path) for request in way.requests]
    assert asked[:4] == [("GET", "/key"), ("PUT", "/key"), ("GET", "/key"), ("HEAD", "/key")]
    assert asked[4] == ("DELETE", "/key?a=b")
    assert way.requests[3].headers["if-match"] == "it"
    assert way.connections == 1


@pytest.mark.parametrize(
    ("rule", "faulted"),
    [
        (Rule(faults.answered(500), nth=2), {2}),
        (Rule(faults.answered(500)), {0, 1, 2, 3, 4, 5}),
        (Rule(faults.answered(500), method="PUT"), {0, 3}),
        (Rule(faults.answered(500), method="PUT", nth=1), {3}),
        (Rule(faults.answered(500), key="/b$"), {3, 4, 5}),
        (Rule(faults.answered(500), nth=6), set()),
    ],
)
def test_a_rule_is_for_some_requests(
    rule: Rule, faulted: set[int], way: Proxy, client: HTTPConnection
) -> None:
    way.follow(rule)
    asked = [(method, path) for path in ("/a", "/b") for method in ("PUT", "GET", "DELETE")]
    answers = [ask(client, *each) for each in asked]
    assert {n for n, answer in enumerate(answers) if answer.startswith(b"500 ")} == faulted


def test_the_first_rule_that_is_for_a_request_decides(way: Proxy, client: HTTPConnection) -> None:
    way.follow(Rule(faults.answered(500), nth=0), Rule(faults.answered(501)))
    assert [ask(client, "GET")[:3] for _ in range(2)] == [b"500", b"501"]


def test_every_request_of_a_run_in_turn(shelf: Shelf, way: Proxy) -> None:
    """As tests of a client do: how many there are is counted first."""

    def run() -> int:
        client = HTTPConnection(HOST, way.port, timeout=5)
        done = 0
        for method in ("PUT", "GET", "DELETE"):
            try:
                done += ask(client, method).startswith(b"2")
            except (OSError, HTTPException):
                client.close()
        client.close()
        return done

    way.follow()
    assert run() == 3
    assert len(way.requests) == 3
    for n in range(3):
        way.follow(Rule(faults.reset, nth=n))
        assert run() == (1 if n == 0 else 2)
        assert len(way.requests) == 3


def test_delayed(way: Proxy, client: HTTPConnection) -> None:
    way.follow(Rule(faults.delayed(0.5), nth=0))
    began = time.monotonic()
    assert ask(client, "PUT") == b"200 "
    assert 0.5 <= time.monotonic() - began < 4
    began = time.monotonic()
    ask(client, "PUT")
    assert time.monotonic() - began < 0.5


def test_cut_upload(shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    way.follow(Rule(faults.cut_upload(5000), nth=0))
    with pytest.raises((ConnectionError, RemoteDisconnected)):
        ask(client, "PUT", data=BODY)
    wait_until(lambda: shelf.got == 5000)
    assert shelf.kept == {}
    client.close()
    assert ask(client, "PUT", data=BODY) == b"200 "


@pytest.mark.parametrize("after", [0, 1, len(BODY) - 1])
def test_cut_download(after: int, shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    shelf.kept["/key"] = BODY
    way.follow(Rule(faults.cut_download(after)))
    with pytest.raises(IncompleteRead) as caught:
        ask(client, "GET")
    assert caught.value.partial == BODY[:after]


def test_reset(shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    way.follow(Rule(faults.reset))
    with pytest.raises(ConnectionResetError):
        ask(client, "PUT")
    assert shelf.kept == {}


def test_swallowed(shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    way.follow(Rule(faults.swallowed))
    with pytest.raises(RemoteDisconnected):
        ask(client, "PUT", data=BODY)
    assert shelf.kept == {"/key": BODY}


@pytest.mark.parametrize(
    ("make", "kept"),
    [(faults.answered, {}), (faults.done_but_answered, {"/key": BODY})],
    ids=["not-done", "done"],
)
@pytest.mark.parametrize("status", [500, 503, 412])
def test_answered(
    make: Callable[..., Action],
    kept: dict[str, bytes],
    status: int,
    shelf: Shelf,
    way: Proxy,
    client: HTTPConnection,
) -> None:
    way.follow(Rule(make(status, "SlowDown", Retry_After="7"), nth=0))
    client.request("PUT", "/key", BODY)
    answer = client.getresponse()
    assert (answer.status, answer.headers["Retry-After"]) == (status, "7")
    assert b"<Code>SlowDown</Code>" in answer.read()
    assert shelf.kept == kept
    assert ask(client, "PUT", data=BODY) == b"200 "
    assert way.connections == 1


@pytest.mark.parametrize("by", [-1, 1])
def test_of_wrong_length(by: int, shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    shelf.kept["/key"] = BODY
    way.follow(Rule(faults.of_wrong_length(by)))
    client.request("GET", "/key")
    answer = client.getresponse()
    assert answer.headers["Content-Length"] == str(len(BODY) + by)
    if by > 0:
        with pytest.raises(IncompleteRead):
            answer.read()
    else:
        assert answer.read() == BODY[:by]


def test_flipped(shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    shelf.kept["/key"] = BODY
    way.follow(Rule(faults.flipped(1000), nth=0))
    wrong = ask(client, "GET")[4:]
    assert [at for at, byte in enumerate(wrong) if byte != BODY[at]] == [1000]
    assert len(wrong) == len(BODY)
    assert ask(client, "GET")[4:] == BODY


def test_stale(shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    way.follow(Rule(faults.stale, method="GET", nth=2))
    for body in (b"old", b"new", b"newer"):
        shelf.kept["/key"] = body
        seen = ask(client, "GET")
    assert seen == b"200 old"
    assert ask(client, "GET") == b"200 newer"


def test_stale_without_anything_older_is_no_fault_of_a_client(shelf: Shelf) -> None:
    way = Proxy(shelf.server_port)
    way.follow(Rule(faults.stale))
    way.listen()
    client = HTTPConnection(HOST, way.port, timeout=5)
    with pytest.raises(RemoteDisconnected):
        ask(client, "GET")
    client.close()
    with pytest.raises(ExceptionGroup) as caught:
        way.stop()
    assert [type(each) for each in caught.value.exceptions] == [KeyError]


@pytest.mark.parametrize("after", [None, 0, 1000])
def test_stalled(after: int | None, shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    shelf.kept["/key"] = BODY
    client.timeout = 0.5
    way.follow(Rule(faults.stalled(after)))
    with pytest.raises(TimeoutError):
        ask(client, "GET")


def test_stalled_before_the_body(shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    """A client that sends more than the sockets hold cannot even do that."""
    client.timeout = 0.5
    way.follow(Rule(faults.stalled()))
    with pytest.raises(TimeoutError):
        client.request("PUT", "/key", bytes(32 << 20))
    assert shelf.got == 0


def test_gone(shelf: Shelf, way: Proxy, client: HTTPConnection) -> None:
    other = HTTPConnection(HOST, way.port, timeout=5)
    ask(other, "GET")
    way.follow(Rule(faults.gone, method="PUT"))
    with pytest.raises(ConnectionError):
        ask(client, "PUT")
    with pytest.raises(ConnectionError):
        ask(other, "GET")
    for _ in range(2):
        client.close()
        with pytest.raises(ConnectionRefusedError):
            ask(client, "GET")
    assert shelf.kept == {}
    way.listen()
    client.close()
    assert ask(client, "GET") == b"404 "
    other.close()


@pytest.mark.parametrize("action", [passed, faults.swallowed])
def test_a_server_that_is_gone_is_gone_to_the_client(action: Action) -> None:
    with Shelf() as server:
        port = server.server_port
    with Proxy(port) as way:
        way.follow(Rule(action))
        client = HTTPConnection(HOST, way.port, timeout=5)
        with pytest.raises((ConnectionError, RemoteDisconnected)):
            ask(client, "GET")
        client.close()


def test_tls(shelf: Shelf, authority: Authority, tmp_path: Path) -> None:
    def connected(way: Proxy) -> HTTPSConnection:
        context = ssl.create_default_context(cadata=authority.pem)
        return HTTPSConnection(HOST, way.port, context=context, timeout=5)

    with Proxy(shelf.server_port, authority.sign(tmp_path / "good")) as way:
        client = connected(way)
        assert ask(client, "PUT", data=BODY) == b"200 "
        assert way.url("p") == f"s3+https://127.0.0.1:{way.port}/images/p"
        way.follow(Rule(faults.cut_download(10)), Rule(faults.reset))
        with pytest.raises(IncompleteRead):
            ask(client, "GET")
        client.close()
    expired = authority.sign(tmp_path / "expired", begins=-2, ends=-1)
    with Proxy(shelf.server_port, expired) as way:
        client = connected(way)
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            ask(client, "GET")
        client.close()
        assert way.requests == []


def test_it_ends_while_clients_wait(shelf: Shelf) -> None:
    before = threading.active_count()
    with Proxy(shelf.server_port) as way:
        way.follow(Rule(faults.stalled()))
        clients = [HTTPConnection(HOST, way.port, timeout=5) for _ in range(3)]
        clients[0].connect()
        clients[1].request("GET", "/key")
        clients[2].request("PUT", "/key", headers={"Content-Length": "10"})
        wait_until(lambda: len(way.requests) == 2)
    wait_until(lambda: threading.active_count() == before, "the end of the server's threads", 5)
    for client in clients:
        client.close()
