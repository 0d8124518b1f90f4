"""Stands between a client and a server of HTTP, and does to chosen requests what networks do."""

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import BinaryIO, Self

from vm.certificates import Certificate
from vm.s3_server import HOST, free_ports, store_url

KEPT = 1 << 16
"""The longest answer that is remembered, to be given once more as a stale one."""
HANDSHAKE_SECONDS = 10
_FRAMING = {"content-length", "transfer-encoding", "connection"}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for; `path` has the query, the names of `headers` are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    head: bytes
    """All of it but the body, as it came."""

    @property
    def length(self) -> int:
        """Of the body."""
        return int(self.headers.get("content-length", 0))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client is told; the framing, Content-Length and the like, is no part of `headers`."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    length: int
    """As it is said: of the body, but after HEAD."""


class Exchange:
    """One request of a client: what an action works with."""

    def __init__(self, proxy: "Proxy", client: "_Client", request: Request) -> None:
        self.proxy = proxy
        self.client = client
        self.request = request

    def body(self, most: int | None = None) -> bytes:
        """Take the request's body from the client, or so much of it."""
        return self.client.file.read(self.request.length if most is None else most)

    def ask(self) -> Answer:
        """Have the server do it; return what it says."""
        self.client.server.sendall(self.request.head + self.body())
        response = HTTPResponse(self.client.server, method=self.request.method)
        response.begin()
        with response:
            body = response.read()
            said = int(response.headers.get("content-length", len(body)))
            headers = [each for each in response.headers.items() if each[0].lower() not in _FRAMING]
        answer = Answer(response.status, headers, body, max(said, len(body)))
        self.proxy.remember(self.request, answer)
        return answer

    def tell(self, answer: Answer, most: int | None = None) -> None:
        """Answer the client, or give it only so many bytes of the body."""
        empty = answer.length == 0 and answer.status in {204, 304}
        headers = [*answer.headers, *([] if empty else [("Content-Length", str(answer.length))])]
        lines = [f"HTTP/1.1 {answer.status} -", *(": ".join(each) for each in headers), "", ""]
        head = "\r\n".join(lines).encode("latin-1")
        self.client.socket.sendall(head + answer.body[:most])

    def reset(self) -> None:
        """End the client's connection as a crash does."""
        linger = struct.pack("ii", 1, 0)
        self.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.client.end()


Action = Callable[[Exchange], None]
"""Does a request, or does not. The client's connection goes on unless it ends that."""


@dataclass(slots=True)
class Rule:
    """Does something to the requests that it is for: of those with this method, whose path has the
    pattern, number `nth`, from 0 on, or all of them.
    """

    action: Action
    nth: int | None = None
    method: str = ""
    key: str = ""
    seen: int = 0

    def is_for(self, request: Request) -> bool:
        """Whether it is for this request, which counts."""
        if self.method not in {"", request.method} or not re.search(self.key, request.path):
            return False
        self.seen += 1
        return self.nth in {None, self.seen - 1}


def passed(exchange: Exchange) -> None:
    """Do it: what no rule is for."""
    exchange.tell(exchange.ask())


class _Client:
    """A client's connection, and the one to the server that is its alone."""

    def __init__(self, connection: socket.socket, server: socket.socket) -> None:
        self.socket = connection
        self.server = server
        self.file: BinaryIO = connection.makefile("rb")
        self.is_on = True

    def request(self) -> Request | None:
        """Wait for the next one; None: there is none any more."""
        lines = [self.file.readline()]
        while lines[-1] not in {b"", b"\r\n"}:
            lines.append(self.file.readline())
        if not lines[-1]:
            return None
        method, path, _ = lines[0].decode("latin-1").split(" ", 2)
        pairs = [line.decode("latin-1").partition(":") for line in lines[1:-1]]
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        return Request(method, path, headers, b"".join(lines))

    def end(self) -> None:
        """Close both connections."""
        self.is_on = False
        for each in (self.file, self.socket, self.server):
            with contextlib.suppress(OSError):
                each.close()

    def cut(self) -> None:
        """End both for whoever waits for them; another thread may call this."""
        for each in (self.socket, self.server):
            with contextlib.suppress(OSError):
                # Not by the TLS of `socket`, which is the other thread's.
                socket.socket.shutdown(each, socket.SHUT_RDWR)


class Proxy:
    """Passes on requests to a port of this machine, all but those that a rule is for.

    With a certificate it speaks TLS to its clients. What went wrong in it is raised by `stop`, so
    that no test takes it for the fault that it asked for.
    """

    def __init__(self, port: int, certificate: Certificate | None = None) -> None:
        (self.port,) = free_ports(1)
        self.requests: list[Request] = []
        """All since the last `follow`, in the order in which they came."""
        self.connections = 0
        """That were accepted since then."""
        self._to = port
        self._context = _context(certificate) if certificate else None
        self._rules: list[Rule] = []
        self._answers: dict[tuple[str, ...], Answer] = {}
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._clients: list[_Client] = []
        self._failures: list[Exception] = []

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def url(self, prefix: str = "") -> str:
        """Return the URL of a store on the server, by this way."""
        return store_url(self.port, prefix, is_secure=self._context is not None)

    def follow(self, *rules: Rule) -> None:
        """From now on have these rules, the first one that is for a request; count anew."""
        with self._lock:
            self._rules = [*rules]
            self.requests = []
            self.connections = 0

    def listen(self) -> None:
        """Accept connections; nothing if it does."""
        with self._lock:
            if self._listener is None:
                self._listener = socket.create_server((HOST, self.port), backlog=64)
                self._begin(self._accept, self._listener)

    def refuse(self) -> None:
        """Cut all connections and accept no more until `listen`."""
        with self._lock:
            if self._listener is not None:
                with contextlib.suppress(OSError):
                    self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
            for client in self._clients:
                client.cut()

    def stop(self) -> None:
        """End all; raises what failed in it."""
        self._ended.set()
        self.refuse()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise ExceptionGroup("the proxy failed", self._failures)

    def wait(self, seconds: float | None = None) -> None:
        """Wait, for as long as the proxy is there."""
        self._ended.wait(seconds)

    def remember(self, request: Request, answer: Answer) -> None:
        """Keep the first answer to a request, to be given again as a stale one."""
        if len(answer.body) <= KEPT:
            with self._lock:
                self._answers.setdefault(_question(request), answer)

    def oldest(self, request: Request) -> Answer:
        """Return the first answer to the same request; KeyError, if there was none."""
        return self._answers[_question(request)]

    def _begin(self, target: Callable[..., None], *words: object) -> None:
        thread = threading.Thread(target=target, args=words)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with self._lock:
                    self.connections += 1
                    self._begin(self._serve, connection, listener)

    def _serve(self, connection: socket.socket, listener: socket.socket) -> None:
        try:
            self._exchange(connection, listener)
        except (OSError, HTTPException):
            pass  # One of the two is gone; so is the other one's connection.
        except Exception as error:  # noqa: BLE001 - `stop` raises it
            self._failures.append(error)
        finally:
            connection.close()

    def _exchange(self, connection: socket.socket, listener: socket.socket) -> None:
        if self._context is not None:
            connection.settimeout(HANDSHAKE_SECONDS)
            connection = self._context.wrap_socket(connection, server_side=True)
            connection.settimeout(None)
        client = _Client(connection, socket.create_connection((HOST, self._to)))
        with self._lock:
            self._clients.append(client)
            if self._listener is not listener:
                client.cut()
        try:
            while client.is_on and (request := client.request()) is not None:
                self._act_on(request)(Exchange(self, client, request))
        finally:
            client.end()
            with self._lock:
                self._clients.remove(client)

    def _act_on(self, request: Request) -> Action:
        with self._lock:
            self.requests.append(request)
            return next((rule.action for rule in self._rules if rule.is_for(request)), passed)


def _context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


def _question(request: Request) -> tuple[str, ...]:
    return (request.method, request.path, request.headers.get("range", ""))
