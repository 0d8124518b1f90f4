"""One HTTP/1.1 connection, which is kept alive: a request goes out, its whole answer comes in."""

import re
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from typing import NamedTuple

from s3.wire import Wire

_MOST_OF_ERROR = 64 << 10
"""Bytes that are read of an answer that is no success."""
_SUCCESS = range(200, 300)
PARTIAL = 206
_ETAG = re.compile(r"[!-~]{1,256}")


class Request(NamedTuple):
    """What is asked for."""

    method: str
    target: str
    headers: dict[str, str]
    """All that are sent, `Host` among them, but for the length."""
    body: bytes | memoryview
    most: int
    """Bytes of a body that are read; one byte more of a longer one."""
    room: memoryview | None
    """Where the body of 206 belongs, if it has exactly that length."""


class Answer(NamedTuple):
    """What the server says."""

    status: int
    headers: dict[str, str]
    """By their names in lower case."""
    body: bytes
    """Empty if it went into the room."""

    @property
    def etag(self) -> str:
        """What tells this state of an object from others, "" without one that can be sent back."""
        etag = self.headers.get("etag", "")
        return etag if _ETAG.fullmatch(etag) else ""


class HttpConnection:
    """A connection for one thread. After an exception it is of no use but to be closed."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._http = HTTPConnection("-")
        self._http.auto_open = 0  # it would resolve that name
        self._http.sock = wire

    def close(self) -> None:
        """Close it."""
        self._http.close()

    def is_open(self) -> bool:
        """Return whether another request may follow."""
        return self._http.sock is not None

    def ask(self, request: Request, deadline: float) -> Answer:
        """Return the answer, which has all of its body. Raises OSError and HTTPException."""
        self._wire.deadline = deadline
        self._http.putrequest(request.method, request.target, skip_host=True)
        for name, value in request.headers.items():
            self._http.putheader(name, value)
        if request.body or request.method == "PUT":
            self._http.putheader("Content-Length", str(len(request.body)))
        self._http.endheaders()
        refused = self._send(request.body)
        try:
            with self._http.getresponse() as response:
                answer = _read(response, request)
                whole = response.isclosed()
        except OSError as error:
            raise refused or error from error
        if refused or not whole:
            self.close()
        if refused and answer.status in _SUCCESS:  # of something that it does not have
            raise refused
        return answer

    def _send(self, body: bytes | memoryview) -> OSError | None:
        """Send it. A server that refuses may say why and hang up before it has taken all."""
        try:
            self._http.send(body)
        except ConnectionError as error:
            return error
        return None


def _read(response: HTTPResponse, request: Request) -> Answer:
    headers = {name.lower(): value for name, value in response.getheaders()}
    is_success = response.status in _SUCCESS
    if is_success and response.length is None and not response.chunked:
        raise HTTPException("the answer has no length")  # so nobody can tell where it is cut off
    room = request.room
    if room is not None and response.status == PARTIAL and response.length == len(room):
        expected, body = len(room), b""
        got = response.readinto(room)
    else:
        most = request.most if is_success else _MOST_OF_ERROR
        expected = min(response.length or 0, most + 1)
        body = _body(response, most + 1)
        got = len(body)
    if got < expected:  # http.client takes a server that dies for the end of the body
        raise IncompleteRead(b"", expected - got)
    return Answer(response.status, headers, body)


def _body(response: HTTPResponse, most: int) -> bytes:
    try:
        return response.read(most)
    except ValueError as error:  # http.client lets a chunk be shorter than nothing
        raise HTTPException("a chunk of the answer has no length") from error
