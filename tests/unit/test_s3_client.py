"""What a client asks of a server, and what it makes of the answers; faults are in other files."""

from collections.abc import Iterator

import pytest

from errors import (
    ConflictError,
    DamagedError,
    IncompleteError,
    NoObjectError,
    NoSpaceError,
    ServerError,
)
from s3.client import ABSENT, Client, Connection, Patience
from s3.credentials import Credentials
from s3.listing import Listed
from s3.url import ServerUrl
from tests.unit.fake_s3 import Act, FakeS3, answering, chunked, etag_of, obey, page, refusal

CREDENTIALS = Credentials("AKID", "not to be told", session_token="neither")
ONCE = Patience(1, 5)


@pytest.fixture
def server() -> Iterator[FakeS3]:
    with FakeS3() as made:
        yield made


@pytest.fixture
def connection(server: FakeS3) -> Iterator[Connection]:
    with Client(ServerUrl.parse(server.url("a/b")), CREDENTIALS, ONCE).connection() as made:
        yield made


def test_what_is_written_is_read(server: FakeS3, connection: Connection) -> None:
    assert connection.put("one", b"content") == etag_of(b"content")
    assert server.objects == {"/bucket/a/b/one": b"content"}
    assert connection.get("one", 7) == (b"content", etag_of(b"content"))
    room = bytearray(3)
    connection.read("one", 2, memoryview(room))
    assert room == b"nte"
    connection.delete("one")
    assert connection.get("one", 7) is None
    connection.delete("one")
    assert server.connections == 1


def test_an_empty_object_is_one(server: FakeS3, connection: Connection) -> None:
    assert connection.put("empty", b"") == etag_of(b"")
    assert server.requests[0][2]["Content-Length"] == "0"
    assert connection.get("empty", 0) == (b"", etag_of(b""))


def test_keys_are_encoded(server: FakeS3, connection: Connection) -> None:
    key = "x y/ü+%&=?#"
    connection.put(key, b"1")
    assert server.requests[0][1] == "/bucket/a/b/x%20y/%C3%BC%2B%25%26%3D%3F%23"
    assert connection.get(key, 1) == (b"1", etag_of(b"1"))


def test_conditions(server: FakeS3, connection: Connection) -> None:
    etag = connection.put("one", b"1", ABSENT)
    with pytest.raises(ConflictError, match=r"cannot write .*/a/b/one: 412 PreconditionFailed"):
        connection.put("one", b"2", ABSENT)
    with pytest.raises(ConflictError):
        connection.put("one", b"2", '"other"')
    with pytest.raises(ConflictError):
        connection.put("absent", b"2", '"other"')
    with pytest.raises(ConflictError):
        connection.delete("one", '"other"')
    assert server.objects == {"/bucket/a/b/one": b"1"}
    other = connection.put("one", b"3", etag)
    connection.delete("one", other)
    assert server.objects == {}


def test_a_conflict_has_other_numbers_too(server: FakeS3, connection: Connection) -> None:
    server.script = [refusal(409, "ConditionalRequestConflict"), refusal(404, "NoSuchKey")]
    for only in (ABSENT, '"seen"'):
        with pytest.raises(ConflictError):
            connection.put("one", b"1", only)
    server.script = [refusal(404, "NoSuchKey")] * 2
    connection.delete("one", '"seen"')
    with pytest.raises(NoObjectError):
        connection.put("one", b"1")


@pytest.mark.parametrize("status", [201, 202, 203, 204, 205, 206, 207])
def test_only_one_success_is_meant(status: int, server: FakeS3, connection: Connection) -> None:
    """Networks that ask for a password answer 204, or anything."""
    length = "" if status == 204 else "0"
    server.script = [answering(status, b"", ETag='"1"', Content_Length=length)] * 2
    for call in (lambda: connection.put("one", b""), lambda: connection.get("one", 1)):
        with pytest.raises(ServerError, match=f"{status}$"):
            call()


def test_a_longer_object_is_not_taken(server: FakeS3, connection: Connection) -> None:
    connection.put("one", bytes(1000))
    with pytest.raises(DamagedError, match="/a/b/one has more than 999 bytes"):
        connection.get("one", 999)
    server.script = [chunked(bytes(500), bytes(600), b"")]
    with pytest.raises(DamagedError, match="more than 1000 bytes"):
        connection.get("one", 1000)
    assert connection.get("one", 1000) == (bytes(1000), etag_of(bytes(1000)))


def test_an_answer_in_chunks(server: FakeS3, connection: Connection) -> None:
    server.script = [chunked(b"con", b"tent", b"")]
    assert connection.get("one", 7) == (b"content", '"1"')
    assert connection.get("one", 7) is None
    assert server.connections == 1


def test_a_part_is_read_or_nothing(server: FakeS3, connection: Connection) -> None:
    with pytest.raises(NoObjectError, match=r"cannot read .*/a/b/one: 404 NoSuchKey: It is so$"):
        connection.read("one", 0, memoryview(bytearray(1)))
    connection.put("one", b"content")
    for offset, size in ((0, 8), (6, 2), (7, 1), (100, 1)):
        with pytest.raises(IncompleteError, match=f"it has 7 bytes, {offset + size} were expected"):
            connection.read("one", offset, memoryview(bytearray(size)))
    server.script = [refusal(416, "InvalidRange")]
    with pytest.raises(IncompleteError, match="it has no byte 7, 9 were expected"):
        connection.read("one", 7, memoryview(bytearray(2)))
    room = bytearray(7)
    connection.read("one", 0, memoryview(room))
    assert room == b"content"


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (answering(200, b"content"), "the server ignores ranges"),
        (answering(206, b"nte"), "not what was asked for: 3 bytes, ''"),
        (answering(206, b"nt", Content_Range="bytes 2-3/7"), "2 bytes, 'bytes 2-3/7'"),
        (answering(206, b"nte", Content_Range="bytes 1-3/7"), "3 bytes, 'bytes 1-3/7'"),
    ],
)
def test_another_part_is_refused(
    act: Act, why: str, server: FakeS3, connection: Connection
) -> None:
    server.script = [act]
    with pytest.raises(ServerError, match=why):
        connection.read("one", 2, memoryview(bytearray(3)))
    connection.put("one", b"content")
    assert connection.get("one", 7) == (b"content", etag_of(b"content"))


@pytest.mark.parametrize("etag", ["", "a b", "a\r\n b", "\u00e4", '"' + 300 * "1"])
def test_an_etag_is_needed(etag: str, server: FakeS3, connection: Connection) -> None:
    """One that a later request can be sent with."""
    server.script = [answering(200, b"", ETag=etag), answering(200, b"", ETag=etag)]
    for call in (lambda: connection.put("one", b"1"), lambda: connection.get("one", 1)):
        with pytest.raises(ServerError, match="the answer has no ETag"):
            call()


def test_a_list_of_several_pages(server: FakeS3, connection: Connection) -> None:
    pages = (
        page("a/b/m/1", "a/b/m/&lt;&#x41;&amp;&#66;", more="t+/=&amp;"),
        page(folders=("a/b/m/u/",)),
    )
    server.script = [answering(200, body) for body in pages]
    listed = [*connection.list("m/", "/")]
    assert listed == [Listed("m/1", 12, 1767323045), Listed("m/<A&B", 12, 1767323045), "m/u/"]
    first, second = (path for _, path, _ in server.requests)
    assert first == "/bucket?delimiter=%2F&list-type=2&prefix=a%2Fb%2Fm%2F"
    assert second == (
        "/bucket?continuation-token=t%2B%2F%3D%26&delimiter=%2F&list-type=2&prefix=a%2Fb%2Fm%2F"
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Sign in to the network</html>",
        page("a/b/1").replace(b"<Size>12", b"<Size>-1"),
        page("a/b/1").replace(b"03:04", b"3:4"),
        page("a/b/1", more="x").replace(b"true", b"false"),
        page("a/b/1").replace(b"false", b"true"),
    ],
)
def test_what_is_no_list(body: bytes, server: FakeS3, connection: Connection) -> None:
    server.script = [answering(200, body)]
    with pytest.raises(ServerError, match=r"cannot list .*/a/b/m/: the list "):
        [*connection.list("m/")]


def test_a_list_that_begins_again_ends(server: FakeS3, connection: Connection) -> None:
    server.script = [answering(200, page("a/b/1", more="x")) for _ in range(3)]
    with pytest.raises(ServerError, match="the list does not go on"):
        [*connection.list()]
    assert len(server.requests) == 2


def test_entities_expand_to_nothing_else(server: FakeS3, connection: Connection) -> None:
    """Neither those that the server declares, nor what stands for a tag."""
    bomb = b"<!DOCTYPE x [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><Error><Code>&b;</Code>"
    server.script = [answering(403, bomb + b"<Message>&lt;Code&gt; &#1114112;</Message></Error>")]
    with pytest.raises(ServerError, match=r"403 &b;: <Code> &#1114112;$"):
        connection.get("one", 1)


@pytest.mark.parametrize(
    ("act", "why", "hint"),
    [
        (refusal(403, "AccessDenied"), "403 AccessDenied: It is so", "policy"),
        (refusal(403, "SignatureDoesNotMatch"), "403 Sig", "secret_key is not that of access_key"),
        (refusal(404, "NoSuchBucket"), "404 NoSuchBucket", "make the bucket"),
        (
            refusal(301, "PermanentRedirect", x_amz_bucket_region="eu-west-3"),
            "301 PermanentRedirect",
            "region=eu-west-3",
        ),
        (refusal(501, "NotImplemented"), "501 NotImplemented", ""),
        (answering(403, b""), "403$", ""),
        (answering(403, b"<html>\n no </html>"), "403$", ""),
        (refusal(400, "A" * 5000, "B\n" * 5000), r"400 A{200}: (B ){99}B$", ""),
    ],
)
def test_refusals_are_told(
    act: Act, why: str, hint: str, server: FakeS3, connection: Connection
) -> None:
    server.script = [act]
    with pytest.raises(ServerError, match=why) as raised:
        connection.get("one", 1)
    assert hint in raised.value.hint
    assert bool(hint) == bool(raised.value.hint)


@pytest.mark.parametrize(
    "act", [refusal(507, "InsufficientStorage"), refusal(403, "QuotaExceeded")]
)
def test_no_room(act: Act, server: FakeS3, connection: Connection) -> None:
    server.script = [act]
    with pytest.raises(NoSpaceError, match="cannot write"):
        connection.put("one", b"1")


def test_no_secret_is_told(server: FakeS3, connection: Connection) -> None:
    """Not even by a server that repeats what it was sent."""
    assert "not to be told" not in repr(CREDENTIALS) + str(CREDENTIALS)
    assert "neither" not in repr(CREDENTIALS)
    server.script = [refusal(403, "InvalidToken", "it was: neither"), obey]
    with pytest.raises(ServerError) as raised:
        connection.get("one", 1)
    assert "it was: " in str(raised.value)
    assert "neither" not in str(raised.value)
    assert server.requests[0][2]["x-amz-security-token"] == "neither"
