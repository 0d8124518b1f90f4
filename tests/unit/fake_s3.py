"""A server that speaks S3 as far as s3/ does, and fails as it is told. It checks no signature."""

import contextlib
import hashlib
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Self
from urllib.parse import unquote

Act = Callable[["Handler"], None]
"""What a handler does with a request that was read, in place of what it should."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "FakeS3"
    body = b""
    most: int | None = None
    """Bytes of a body after which it hangs up; -1 to answer nothing at all."""

    def log_message(self, *_: object) -> None: ...

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate((timestamp or time.time()) + self.server.ahead, usegmt=True)

    def handle_any(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.server.lock:
            self.server.requests.append((self.command, self.path, dict(self.headers.items())))
            act = self.server.script.pop(0) if self.server.script else obey
        act(self)

    do_GET = do_PUT = do_DELETE = handle_any  # noqa: N815

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer; of a header, _ in its name is - and "" leaves it out."""
        if self.most == -1:
            return self.hang_up()
        given = {"Content-Length": str(len(body))}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.send_response(status)
        for name, value in given.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: self.most])
        return None if self.most is None else self.hang_up()

    def refuse(self, status: int, code: str, message: str = "It is so.", **headers: str) -> None:
        text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        self.say(status, text.encode(), **headers)

    def hang_up(self) -> None:
        """Let the other side see the end of the stream, and no more."""
        self.close_connection = True
        self.wfile.flush()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class FakeS3(ThreadingTCPServer):
    """It listens on the loopback from its making until the end of its `with` block."""

    allow_reuse_address = True
    daemon_threads = False

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = context
        self.port: int = self.server_address[1]
        self.lock = threading.Lock()
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.script: list[Act] = []
        """What is done with the next requests; `obey` with all after them."""
        self.released = threading.Event()
        self.ahead = 0.0
        """Seconds that its clock is ahead."""
        self.connections = 0
        self._sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.shutdown()
        self._thread.join()
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: object, client_address: object) -> None:
        assert isinstance(request, socket.socket)
        self.connections += 1
        self._sockets.append(request)
        super().process_request(request, client_address)

    def finish_request(self, request: object, client_address: object) -> None:
        """As the base does, in a thread of its own; here TLS begins."""
        assert isinstance(request, socket.socket)
        with contextlib.suppress(OSError):
            if self.context:
                request = self.context.wrap_socket(request, server_side=True)
                self._sockets.append(request)
            Handler(request, client_address, self)
        request.close()

    def shutdown_request(self, request: object) -> None:
        """Close it, with no more: after `reset` nothing but that is to be seen."""
        assert isinstance(request, socket.socket)
        self.close_request(request)

    def url(self, prefix: str = "", host: str = "127.0.0.1") -> str:
        scheme = "s3+https" if self.context else "s3+http"
        return f"{scheme}://{host}:{self.port}/bucket" + (f"/{prefix}" if prefix else "")


def etag_of(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def obey(handler: Handler) -> None:
    """Do what a server has to do, but for lists."""
    objects, name = handler.server.objects, unquote(handler.path)
    there = objects.get(name)
    etag = None if there is None else etag_of(there)
    wanted, absent = (handler.headers.get(each) for each in ("If-Match", "If-None-Match"))
    if (wanted and f'"{wanted}"' != etag) or (absent and etag):
        handler.refuse(412, "PreconditionFailed")
    elif handler.command == "PUT":
        objects[name] = handler.body
        handler.say(200, ETag=etag_of(handler.body))
    elif handler.command == "DELETE":
        objects.pop(name, None)
        handler.say(204, Content_Length="")
    elif there is None:
        handler.refuse(404, "NoSuchKey")
    else:
        send(handler, there)


def send(handler: Handler, data: bytes, **headers: str) -> None:
    """Answer with an object, or the part of it that is asked for."""
    headers = {"ETag": etag_of(data)} | headers
    asked = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers.get("Range", ""))
    if not asked:
        return handler.say(200, data, **headers)
    start, end = int(asked[1]), min(int(asked[2]) + 1, len(data))
    if start >= len(data):
        return handler.refuse(416, "InvalidRange", Content_Range=f"bytes */{len(data)}")
    told = f"bytes {start}-{end - 1}/{len(data)}"
    return handler.say(206, data[start:end], **({"Content_Range": told} | headers))


def refusal(status: int, code: str, message: str = "It is so.", **headers: str) -> Act:
    """Return what refuses."""
    return lambda handler: handler.refuse(status, code, message, **headers)


def cut(size: int) -> Act:
    """Return what does as it has to, and hangs up after so many bytes of the answer's body."""

    def act(handler: Handler) -> None:
        handler.most = size
        obey(handler)

    return act


lost = cut(-1)
"""Does it, and answers nothing."""


def reset(handler: Handler) -> None:
    """Break the connection as a crash does."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    """Answer nothing, in order."""
    handler.hang_up()


def stall(handler: Handler) -> None:
    """Answer nothing, and leave the connection open."""
    handler.server.released.wait(60)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Answer a byte now and then, for ever."""
    handler.close_connection = True
    with contextlib.suppress(OSError):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not handler.server.released.wait(0.05):
            handler.wfile.write(b"x")


def rubbish(handler: Handler) -> None:
    """Answer something else than HTTP."""
    handler.wfile.write(b"220 mail.example ESMTP\r\n")
    handler.hang_up()


def sending(data: bytes, **headers: str) -> Act:
    """Return what answers with other bytes, or other headers, than the object's."""
    return lambda handler: send(handler, data, **headers)


def answering(status: int, body: bytes, **headers: str) -> Act:
    """Return what answers just so."""
    return lambda handler: handler.say(status, body, **headers)


def chunked(*pieces: bytes) -> Act:
    """Return what answers in chunks; those of b"" end them."""

    def act(handler: Handler) -> None:
        chunks = [f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces]
        handler.say(
            200, b"".join(chunks), ETag='"1"', Content_Length="", Transfer_Encoding="chunked"
        )
        if pieces[-1]:
            handler.hang_up()

    return act


def page(*keys: str, folders: tuple[str, ...] = (), more: str = "") -> bytes:
    """Return a page of a list as AWS sends it."""
    objects = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        "<ETag>&quot;0&quot;</ETag><Size>12</Size></Contents>"
        for key in keys
    )
    common = "".join(f"<CommonPrefixes><Prefix>{f}</Prefix></CommonPrefixes>" for f in folders)
    token = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
    truncated = "true" if more else "false"
    return (
        "<?xml version='1.0'?><ListBucketResult><Prefix>a/b/</Prefix>"
        f"<IsTruncated>{truncated}</IsTruncated>{token}{objects}{common}</ListBucketResult>"
    ).encode()


@contextlib.contextmanager
def unreachable() -> Iterator[int]:
    """Yield a port of the loopback that nobody listens at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
