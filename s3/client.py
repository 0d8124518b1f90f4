"""A server for those who read and write objects: each request is tried again within bounds."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from typing import NamedTuple, Self

from errors import (
    ConfigurationError,
    ConflictError,
    DamagedError,
    NoObjectError,
    ServerError,
    UnreachableError,
)
from s3 import listing, ranged, signing
from s3.connection import Answer, HttpConnection, Request
from s3.credentials import Credentials
from s3.failures import Failure, of_answer, of_exception
from s3.listing import Listed
from s3.ranged import Range
from s3.url import ServerUrl
from s3.wire import Address, Wire, connect, tls_context

ABSENT = "*"
"""For `only`: no object of that name may be there."""
_SHORTEST, _LONGEST = 0.2, 5.0
"""Seconds between two tries, the first and the last."""


class Patience(NamedTuple):
    """How often a request is tried, and how long in all, whatever the server does."""

    tries: int = 5
    seconds: float = 60.0


PATIENCE = Patience()


class Object(NamedTuple):
    """An object, and what tells this state of it from others."""

    data: bytes
    etag: str


class Client:
    """A server. All threads may share one; each has a connection of its own."""

    def __init__(
        self, url: ServerUrl, credentials: Credentials, patience: Patience = PATIENCE
    ) -> None:
        """Make one that has not spoken to the server. Raises ConfigurationError."""
        self.url = url
        self.credentials = credentials
        self.patience = patience
        self.ahead = 0.0
        """Seconds that the server's clock is ahead of ours, 0 while it refuses nothing for that."""
        self.addresses: list[Address] = []
        """Where it is reached, the one that answered last first; `resolve` finds them."""
        try:
            self.context = tls_context(credentials.ca) if url.is_secure else None
        except OSError as error:
            raise ConfigurationError(
                f"whose certificates to trust for {url} cannot be read: {error.strerror}",
                "give certificates in PEM with the credentials",
            ) from error

    def resolve(self) -> None:
        """Look the name up, once and for all later connections. Raises ServerError."""
        host, port = self.url.host, self.url.port
        try:
            found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            what, hint = f"{host} does not resolve: {why}", "is the network there?"
            raise UnreachableError(what, hint) from error
        self.addresses = [Address(family, where) for family, _, _, _, where in found]

    def connection(self) -> "Connection":
        """Return one for a thread, which connects at its first request.

        Resolves before, unless that was done. Raises ServerError.
        """
        if not self.addresses:
            self.resolve()
        return Connection(self)

    def connect(self, deadline: float) -> Wire:
        """Return a connection to the first address that takes one. Raises OSError."""
        failed: OSError | None = None
        for address in self.addresses:
            try:
                wire = connect(address, self.url.host, self.context, deadline)
            except OSError as error:
                failed = error
            else:
                self.addresses = [address, *(one for one in self.addresses if one != address)]
                return wire
        raise failed or OSError("the name was not resolved")


class _Call(NamedTuple):
    """A request as it is before its signature, and which answer to it is good."""

    what: str
    """What cannot be done if it fails."""
    method: str
    target: str
    headers: dict[str, str]
    body: bytes | memoryview = b""
    digest: str = signing.EMPTY
    most: int = 0
    room: memoryview | None = None
    range: Range | None = None
    good: tuple[int, ...] = (200,)

    @property
    def is_conditional(self) -> bool:
        return not {"If-Match", "If-None-Match"}.isdisjoint(self.headers)


class Connection:
    """A connection for one thread at a time; a context manager that closes it.

    Each method blocks, for as long as the client's patience lasts at most, and raises ServerError:
    ConflictError where a condition does not hold, NoObjectError where there is no object,
    NoSpaceError where a quota is used up. A method that was given a condition may have done its
    work and raise ConflictError nevertheless: the answer was lost, and the second try found the
    work of the first one. Who asks has to look.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._http: HttpConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a later request connects again."""
        if self._http:
            self._http.close()
        self._http = None

    def get(self, key: str, most: int) -> Object | None:
        """Return a whole object, None where there is none. Raises DamagedError for a longer one."""
        call = self._call("GET", "read", key)
        try:
            answer = self._ask(call._replace(most=most))
        except NoObjectError:
            return None
        if len(answer.body) > most:
            raise DamagedError(f"{self._name(key)} has more than {most} bytes")
        return Object(answer.body, _etag(call, answer))

    def read(self, key: str, offset: int, room: memoryview) -> None:
        """Fill the room with bytes of an object from `offset` on.

        Raises IncompleteError if the object ends before. After an error the room may hold anything.
        """
        call = self._call("GET", "read", key)
        part = Range(offset, len(room))
        headers = call.headers | part.header
        self._ask(call._replace(headers=headers, room=room, range=part, good=ranged.GOOD))

    def put(self, key: str, data: bytes | memoryview, only: str | None = None) -> str:
        """Write a whole object, and return its ETag.

        `only` is None to write it in any case, ABSENT if there is none, else the ETag that it has:
        otherwise ConflictError is raised.
        """
        call = self._call("PUT", "write", key)
        headers = call.headers | _condition(only)
        body = memoryview(data).cast("B")
        digest = signing.digest(body)
        try:
            answer = self._ask(call._replace(headers=headers, body=body, digest=digest))
        except NoObjectError as error:
            if only is None:
                raise
            raise ConflictError(str(error)) from error  # AWS says so of If-Match
        return _etag(call, answer)

    def delete(self, key: str, etag: str = "") -> None:
        """Remove an object, if it is there and has the ETag; ConflictError if it has another.

        Nothing may rest on the ETag: Ceph takes no heed of it here. Some servers make a conflict of
        an ETag and no object.
        """
        call = self._call("DELETE", "delete", key)
        headers = call.headers | _condition(etag or None)
        with suppress(NoObjectError):
            self._ask(call._replace(headers=headers, good=(200, 204)))

    def list(self, prefix: str = "", delimiter: str = "") -> Iterator[Listed | str]:
        """Yield the objects whose keys begin so.

        Of those in whose keys a delimiter follows, their common beginning up to it comes instead,
        as str.
        """
        url, more = self._client.url, ""
        start = len(url.whole_key(""))
        what = f"cannot list {self._name(prefix)}"
        while True:
            query = listing.query(url.whole_key(prefix), delimiter, more)
            target = signing.target(f"/{url.bucket}", query)
            call = _Call(what, "GET", target, {"Host": url.authority}, most=listing.MOST)
            page = listing.parse(self._ask(call).body, what)
            yield from (one._replace(key=one.key[start:]) for one in page.objects)
            yield from (folder[start:] for folder in page.folders)
            if not page.more:
                return
            if page.more == more:
                raise ServerError(f"{what}: the list does not go on")
            more = page.more

    def _name(self, key: str) -> str:
        return f"{self._client.url}/{key}"

    def _call(self, method: str, verb: str, key: str) -> _Call:
        url = self._client.url
        target = signing.target(url.path(key), {})
        return _Call(f"cannot {verb} {self._name(key)}", method, target, {"Host": url.authority})

    def _ask(self, call: _Call) -> Answer:
        """Return a good answer, after some tries if need be."""
        patience = self._client.patience
        deadline = time.monotonic() + patience.seconds
        tried = 0
        while isinstance(answer := self._try(call, deadline), Failure):
            tried += 1
            pause = max(answer.least, 0.0 if answer.clock else _pause(tried))
            ends = tried >= patience.tries or time.monotonic() + pause >= deadline
            if answer.is_final or ends:
                raise answer.error
            if answer.clock:
                self._client.ahead = answer.clock - time.time()
            time.sleep(pause)
        return answer

    def _try(self, call: _Call, deadline: float) -> Answer | Failure:
        credentials = self._client.credentials
        now = time.time() + self._client.ahead
        headers = signing.signed(
            credentials, call.method, call.target, call.headers, call.digest, now
        )
        request = Request(call.method, call.target, headers, call.body, call.most, call.room)
        try:
            answer = self._connected(deadline).ask(request, deadline)
        except (OSError, HTTPException) as error:
            self.close()
            return of_exception(call.what, error)
        if answer.status in call.good:
            misfit = call.range.misfit(call.what, answer) if call.range else None
            return misfit or answer
        answer = answer._replace(body=credentials.struck_out(answer.body))
        return of_answer(call.what, answer, now, is_conditional=call.is_conditional)

    def _connected(self, deadline: float) -> HttpConnection:
        if self._http is None or not self._http.is_open():
            self._http = HttpConnection(self._client.connect(deadline))
        return self._http


def _condition(only: str | None) -> dict[str, str]:
    """Return what lets a request happen only if the object is so.

    An ETag goes without its quotes: with them Ceph finds no object to have it (RGWPutObj in
    src/rgw/rgw_op.cc compares the bytes), and all servers that we know take it without.
    """
    if only in (None, ABSENT):
        return {"If-None-Match": ABSENT} if only else {}
    return {"If-Match": only.strip('"')}


def _etag(call: _Call, answer: Answer) -> str:
    if not answer.etag:
        raise ServerError(f"{call.what}: the answer has no ETag", "is this a server of S3?")
    return answer.etag


def _pause(tried: int) -> float:
    """Return how long to wait after so many tries: each time twice as long, by chance less."""
    longest = min(_SHORTEST * 2.0 ** min(tried, 8), _LONGEST)
    return longest * (0.5 + os.urandom(1)[0] / 512)
