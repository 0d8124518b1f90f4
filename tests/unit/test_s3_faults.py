"""What a client does about a server that fails: what it tries again, how long, and what it says."""

import re
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import ConfigurationError, ConflictError, ServerError, UnreachableError
from s3 import client, wire
from s3.client import ABSENT, Client, Connection, Patience
from s3.credentials import Credentials
from s3.failures import duration
from s3.url import ServerUrl
from s3.wire import Address
from tests.unit import fake_s3
from tests.unit.fake_s3 import Act, FakeS3, answering, cut, etag_of, lost, obey, refusal
from vm.certificates import Authority

CREDENTIALS = Credentials("AKID", "SECRET")
DATA = b"content" * 100_000


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_SHORTEST", 0.01)
    monkeypatch.setattr(wire, "SECONDS", 1.5)


@pytest.fixture
def server() -> Iterator[FakeS3]:
    with FakeS3() as made:
        made.objects["/bucket/one"] = DATA
        yield made


def reaching(url: str, tries: int = 3, seconds: float = 20, ca: str = "") -> Connection:
    """Return a connection to the server at a URL."""
    credentials = CREDENTIALS._replace(ca=ca)
    return Client(ServerUrl.parse(url), credentials, Patience(tries, seconds)).connection()


def read_one(connection: Connection) -> None:
    room = bytearray(len(DATA) - 2)
    connection.read("one", 1, memoryview(room))
    assert room == DATA[1:-1]


PASSING: dict[str, tuple[Act, str]] = {
    "reset": (fake_s3.reset, "connection reset by peer|remote end closed connection"),
    "hang-up": (fake_s3.hang_up, "remote end closed connection without response"),
    "lost": (lost, "remote end closed connection without response"),
    "stall": (fake_s3.stall, "timed out"),
    "rubbish": (fake_s3.rubbish, "no answer by HTTP: 220 mail.example esmtp"),
    "cut": (cut(1000), "the answer was cut off"),
    "nothing": (cut(0), "the answer was cut off"),
    "no length": (answering(206, DATA, Content_Length=""), "the answer has no length"),
    "no part": (fake_s3.sending(DATA, Content_Range="bytes 0-1/9999999"), "not what was asked for"),
    "too short": (fake_s3.sending(DATA, Content_Length="5"), "not what was asked for"),
    "too long": (
        fake_s3.sending(DATA, Content_Length="9999999"),
        "not what was asked for",
    ),
    "408": (refusal(408, "RequestTimeout"), "408 RequestTimeout: It is so$"),
    "429": (refusal(429, "TooManyRequests"), "429 TooManyRequests"),
    "500": (refusal(500, "InternalError"), "500 InternalError"),
    "502": (answering(502, b"<html>bad gateway</html>"), "502$"),
    "503": (refusal(503, "SlowDown", Retry_After="0"), "503 SlowDown"),
    "504": (answering(504, b""), "504$"),
    "digest": (refusal(400, "XAmzContentSHA256Mismatch"), "400 XAmzContentSHA256Mismatch"),
}
"""What may pass, and how it is told if it does not."""
ANSWERED_WRONG = {"no part", "too short", "too long", "digest"}
"""Of the others a boot waits for what the server and the network do next."""


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_tried_again(name: str, server: FakeS3) -> None:
    act, _ = PASSING[name]
    with reaching(server.url()) as connection:
        for _ in range(2):
            server.script = [act, act]
            read_one(connection)
    assert len(server.requests) == 6


@pytest.mark.parametrize("name", PASSING)
def test_what_stays_is_told(name: str, server: FakeS3) -> None:
    act, why = PASSING[name]
    server.script = [act] * 3
    with (
        reaching(server.url("")) as connection,
        pytest.raises(
            ServerError, match=f"^cannot read {re.escape(server.url())}/one: .*({why})"
        ) as raised,
    ):
        read_one(connection)
    assert type(raised.value) is (ServerError if name in ANSWERED_WRONG else UnreachableError)
    assert len(server.requests) == 3
    read_one(connection)
    connection.close()


@pytest.mark.parametrize(
    ("act", "status"),
    [(refusal(status, "No"), status) for status in (400, 401, 403, 405, 411, 413, 501, 505)],
)
def test_what_is_refused_is_not_tried_again(act: Act, status: int, server: FakeS3) -> None:
    server.script = [act]
    with reaching(server.url()) as connection, pytest.raises(ServerError, match=f"{status} No"):
        read_one(connection)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body", [b"3\r\none", b"-5\r\none\r\n0\r\n\r\n", b"one", b"5\r\none\r\n0\r\n\r\n", b""]
)
def test_chunks_that_are_cut_or_wrong(body: bytes, server: FakeS3) -> None:
    def act(handler: fake_s3.Handler) -> None:
        handler.say(200, body, Content_Length="", Transfer_Encoding="chunked")
        handler.hang_up()

    server.script = [act]
    with reaching(server.url()) as connection:
        assert connection.get("one", len(DATA)) == (DATA, etag_of(DATA))
    assert len(server.requests) == 2


def test_a_lost_answer_is_a_conflict(server: FakeS3) -> None:
    """Who asked looks, and finds what it has written."""
    server.script = [lost]
    with reaching(server.url()) as connection:
        with pytest.raises(ConflictError):
            connection.put("head", b"ours", ABSENT)
        assert connection.get("head", 4) == (b"ours", etag_of(b"ours"))
        server.script = [lost]
        with pytest.raises(ConflictError):
            connection.put("head", b"next", etag_of(b"ours"))
        server.script = [lost]
        assert connection.put("head", b"other") == etag_of(b"other")
        server.script = [lost]
        connection.delete("head")
    assert "/bucket/head" not in server.objects


def test_it_waits_as_the_server_asks_and_no_longer_than_patience(server: FakeS3) -> None:
    server.script = [refusal(503, "SlowDown", Retry_After="1")]
    start = time.monotonic()
    with reaching(server.url()) as connection:
        read_one(connection)
        assert 1 <= time.monotonic() - start < 10
        server.script = [refusal(503, "SlowDown", Retry_After="3600")]
        with pytest.raises(ServerError, match="503 SlowDown"):
            read_one(connection)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("act", [fake_s3.stall, fake_s3.drip, refusal(503, "SlowDown")])
def test_it_ends_in_time(act: Act, server: FakeS3) -> None:
    """Whatever the server does, and also if there always is a next byte."""
    server.script = [act] * 1000
    start = time.monotonic()
    with (
        reaching(server.url(), tries=1000, seconds=2) as connection,
        pytest.raises(ServerError),
    ):
        read_one(connection)
    assert 0.5 < time.monotonic() - start < 10


def test_a_body_that_nobody_takes(server: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server has the connection, and never reads from it."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"s3+http://127.0.0.1:{deaf.getsockname()[1]}/bucket"
        with (
            reaching(url, tries=2) as connection,
            pytest.raises(ServerError, match=r"cannot write .*/one: timed out"),
        ):
            connection.put("one", bytes(32 << 20))


def test_a_refusal_before_the_body_is_taken_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may answer, and hang up, while the body still comes."""
    monkeypatch.setattr(FakeS3, "process_request", refuse_at_once)
    with (
        FakeS3() as server,
        reaching(server.url()) as connection,
        pytest.raises(ServerError, match="403 AccessDenied"),
    ):
        connection.put("one", bytes(32 << 20))


def refuse_at_once(_server: FakeS3, request: socket.socket, _address: object) -> None:
    body = b"<Error><Code>AccessDenied</Code></Error>"
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\n\r\n"
    request.settimeout(20)
    request.recv(1)
    request.sendall(head.encode() + body)
    request.close()


def test_refused(server: FakeS3) -> None:
    with fake_s3.unreachable() as port:
        url = f"s3+http://127.0.0.1:{port}/bucket"
        with (
            reaching(url) as connection,
            pytest.raises(
                ServerError, match=f"cannot read {re.escape(url)}/one: connection refused"
            ),
        ):
            read_one(connection)


def test_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Client(ServerUrl.parse("s3+http://192.0.2.1/bucket"), CREDENTIALS, Patience(2, 5))
    made.addresses = [Address(socket.AF_INET, ("255.255.255.255", 80))]
    with (
        made.connection() as connection,
        pytest.raises(ServerError, match=r"unreachable|permission denied|no route to host"),
    ):
        read_one(connection)


def test_the_address_that_answers_is_taken(server: FakeS3) -> None:
    with fake_s3.unreachable() as port:
        made = Client(ServerUrl.parse(server.url()), CREDENTIALS, Patience(1, 5))
        made.resolve()
        here = made.addresses[0]
        made.addresses.insert(0, Address(socket.AF_INET, ("127.0.0.1", port)))
        with made.connection() as connection:
            read_one(connection)
        assert made.addresses[0] == here
        assert len(made.addresses) == 2


def test_a_name_that_does_not_resolve() -> None:
    made = Client(ServerUrl.parse("s3+https://torpor.invalid/bucket"), CREDENTIALS)
    with pytest.raises(ServerError, match=r"^torpor\.invalid does not resolve: ") as raised:
        made.connection()
    assert raised.value.hint == "is the network there?"


def test_a_name_is_resolved_once(server: FakeS3, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Client(ServerUrl.parse(server.url(host="localhost")), CREDENTIALS)
    made.resolve()
    monkeypatch.delattr(socket, "getaddrinfo")
    for _ in range(2):
        with made.connection() as connection:
            read_one(connection)
    assert server.connections == 2
    assert server.requests[0][2]["host"] == f"localhost:{server.port}"


@pytest.mark.parametrize("ahead", [86400, -7200])
def test_a_wrong_clock(ahead: float, server: FakeS3) -> None:
    """The server's time is taken once it refuses; another refusal then means what it says."""
    server.ahead = ahead
    server.script = [refusal(403, "RequestTimeTooSkewed")]
    made = Client(ServerUrl.parse(server.url()), CREDENTIALS, Patience(2, 5))
    with made.connection() as connection:
        read_one(connection)
        assert abs(made.ahead - ahead) < 60
        first, second = (headers["x-amz-date"] for *_, headers in server.requests)
        assert first != second
        server.script = [refusal(403, "AccessDenied")]
        with pytest.raises(ServerError, match="403 AccessDenied"):
            read_one(connection)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(59, "1 minute"), (300, "5 minutes"), (3590, "1 hour"), (86390, "1 day"), (9e7, "1042 days")],
)
def test_how_far_a_clock_is_off(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_clock_that_cannot_be_set_right(server: FakeS3) -> None:
    server.ahead = 86400
    server.script = [refusal(403, "RequestTimeTooSkewed")]
    off = r"the clock is off by 1 day: 403 RequestTimeTooSkewed$"
    with reaching(server.url(), tries=1) as connection, pytest.raises(ServerError, match=off):
        read_one(connection)
    server.script = [refusal(403, "No", Date="x"), refusal(403, "No", Date="Mon, 99 Jan 99999999")]
    for _ in range(2):
        with reaching(server.url()) as connection, pytest.raises(ServerError, match="403 No"):
            read_one(connection)


@pytest.mark.parametrize(
    ("names", "begins", "ends", "why", "hint"),
    [
        (("elsewhere.example",), -1, 1, "ip address mismatch, certificate is not valid for", ""),
        ((), -2, -1, "certificate has expired", "the clock of this machine"),
        ((), 1, 2, "certificate is not yet valid", "the clock of this machine"),
    ],
)
def test_a_certificate_that_does_not_hold(
    names: tuple[str, ...], begins: float, ends: float, why: str, hint: str, tmp_path: Path
) -> None:
    made = Authority().sign(tmp_path, *names, begins=begins, ends=ends)
    with (
        FakeS3(context_of(made.certificate, made.key)) as server,
        reaching(server.url(), ca=made.authority) as connection,
        pytest.raises(ServerError, match=f"cannot read .*/one: TLS: {why}") as raised,
    ):
        read_one(connection)
    assert server.connections == 1
    assert hint in raised.value.hint


def context_of(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize("given", [True, False], ids=["given", "of the system"])
def test_who_signed_is_not_known(
    given: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Authority().sign(tmp_path / "ours")
    others = Authority().sign(tmp_path / "theirs")
    monkeypatch.setattr(wire, "_BUNDLES", ("/nonexistent", str(others.certificate)))
    with (
        FakeS3(context_of(made.certificate, made.key)) as server,
        reaching(server.url(), ca=others.authority if given else "") as connection,
        pytest.raises(ServerError, match=r"TLS: .*(signature failure|issuer)") as raised,
    ):
        read_one(connection)
    assert raised.value.hint == "say whose certificates to trust, in the credentials"


def test_faults_below_tls(tmp_path: Path) -> None:
    made = Authority().sign(tmp_path)
    with (
        FakeS3(context_of(made.certificate, made.key)) as server,
        reaching(server.url(), ca=made.authority) as connection,
    ):
        server.objects["/bucket/one"] = DATA
        for act in (fake_s3.reset, fake_s3.hang_up, fake_s3.stall, cut(100_000), obey):
            server.script = [act]
            read_one(connection)
        connection.put("two", DATA)
    assert server.objects["/bucket/two"] == DATA


def test_tls_where_none_is(server: FakeS3) -> None:
    url = server.url().replace("http", "https")
    with (
        reaching(url, ca=Authority().pem) as connection,
        pytest.raises(ServerError, match="TLS: "),
    ):
        read_one(connection)


def test_nobody_is_trusted_without_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    url = ServerUrl.parse("s3+https://127.0.0.1/bucket")
    monkeypatch.setattr(wire, "_BUNDLES", ("/nonexistent",))
    for ca in ("", "-----BEGIN CERTIFICATE-----\n"):
        with pytest.raises(ConfigurationError, match="whose certificates to trust"):
            Client(url, CREDENTIALS._replace(ca=ca))
