"""A socket of which every wait ends: after ten seconds without a byte, and at a deadline.

It is connected to an address, and no name is looked up: not even Python's codec for names of hosts
is used, which `bytes` instead of `str` avoid.
"""

import os
import socket
import ssl
import time
from typing import TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

SECONDS = 10.0
"""To connect, to shake hands, and for the next bytes to come or go."""
_PIECE = 256 << 10
"""Bytes that have to go in SECONDS: a slow line is slower than an object in that time."""

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
)
"""Whom the system trusts: of Debian and Arch, Fedora, openSUSE (Go's crypto/x509/root_linux.go)."""


class Address(NamedTuple):
    """Where a server listens, as getaddrinfo(3) has it."""

    family: int
    where: tuple[str | int | bytes, ...]


class Wire(socket.socket):
    """A socket in the clear."""

    deadline = 0.0
    """By time.monotonic: to send or receive later raises TimeoutError, as taking too long does."""

    def recv_into(
        self, buffer: "WriteableBuffer", nbytes: int | None = None, flags: int = 0
    ) -> int:
        """Receive what there is: what http.client reads goes through here."""
        self.settimeout(_left(self.deadline))
        return super().recv_into(buffer, nbytes or 0, flags)

    def sendall(self, data: "ReadableBuffer", flags: int = 0) -> None:
        """Send all of it."""
        view = memoryview(data).cast("B")
        for start in range(0, len(view), _PIECE):
            self.settimeout(_left(self.deadline))
            super().sendall(view[start : start + _PIECE], flags)


class TlsWire(Wire, ssl.SSLSocket):
    """A socket that speaks TLS; `tls_context` makes contexts for it."""


def tls_context(ca: str) -> ssl.SSLContext:
    """Return what trusts these certificates in PEM, the system's for "".

    They are read now: OpenSSL would look for one in the system's folder when it meets a server's.
    Raises OSError, of which ssl.SSLError is a kind.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.sslsocket_class = TlsWire
    if ca:
        context.load_verify_locations(cadata=ca)
    else:
        context.load_verify_locations(next(filter(os.path.exists, _BUNDLES), _BUNDLES[0]))
    return context


def connect(address: Address, host: str, context: ssl.SSLContext | None, deadline: float) -> Wire:
    """Return a connection, which is to `host` by a certificate if there is a context.

    Raises OSError, of which ssl.SSLError is a kind.
    """
    wire = Wire(address.family, socket.SOCK_STREAM)
    try:
        wire.settimeout(_left(deadline))
        wire.connect(address.where)
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            wire.settimeout(_left(deadline))
            wire = cast("TlsWire", context.wrap_socket(wire, server_hostname=host.encode()))
    except BaseException:
        wire.close()
        raise
    wire.deadline = deadline
    return wire


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return min(left, SECONDS)
