"""The S3 server that tests talk to, and guests of theirs."""

import os
import ssl
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path

import pytest

from s3.client import Client
from s3.credentials import Credentials
from s3.url import ServerUrl
from vm.certificates import Authority
from vm.s3_server import BUCKET, HOST, S3Server, free_ports


def status_of(connection: HTTPConnection) -> int:
    """Return what a server says to who is nobody."""
    connection.request("GET", f"/{BUCKET}/object")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def sockets_of(server: S3Server) -> list[str]:
    return [each.name for each in Path("/tmp").glob(f"seaweedfs-s3-{server.port}.sock")]


def test_it_serves_nobody_else(s3_server: S3Server) -> None:
    assert s3_server.url() == f"s3+http://127.0.0.1:{s3_server.port}/{BUCKET}"
    assert s3_server.url("a/b").endswith(f"/{BUCKET}/a/b")
    assert status_of(HTTPConnection(HOST, s3_server.port, timeout=30)) == 403


def test_another_one_serves_by_tls_beside_it(
    s3_server: S3Server, tls_server: S3Server, authority: Authority
) -> None:
    assert tls_server.url(host="10.0.2.2").startswith("s3+https://10.0.2.2:")
    context = ssl.create_default_context(cadata=authority.pem)
    for name in ("localhost", HOST):
        assert status_of(HTTPSConnection(name, tls_server.port, context=context, timeout=30)) == 403
    with pytest.raises(ssl.SSLCertVerificationError):
        status_of(HTTPSConnection(HOST, tls_server.port, timeout=30))


def test_killed_it_leaves_nothing_and_comes_again(s3_server: S3Server) -> None:
    assert sockets_of(s3_server)
    keys = Credentials(s3_server.access_key, s3_server.secret_key)
    client = Client(ServerUrl.parse(s3_server.url("killed")), keys)
    with client.connection() as connection:
        connection.put("object", b"stored")
    s3_server.kill()
    try:
        assert not sockets_of(s3_server)
        with pytest.raises(ConnectionRefusedError):
            status_of(HTTPConnection(HOST, s3_server.port, timeout=30))
    finally:
        s3_server.start()
    assert status_of(HTTPConnection(HOST, s3_server.port, timeout=30)) == 403
    with client.connection() as connection:
        found = connection.get("object", 6)
        assert found is not None
        assert found.data == b"stored"
    with pytest.raises(ValueError, match="is on"):
        s3_server.start()


def test_paused_it_answers_nothing_until_it_goes_on(s3_server: S3Server) -> None:
    s3_server.pause()
    try:
        with pytest.raises(TimeoutError):
            status_of(HTTPConnection(HOST, s3_server.port, timeout=1))
    finally:
        s3_server.go_on()
    assert status_of(HTTPConnection(HOST, s3_server.port, timeout=30)) == 403


def test_its_secret_is_its_users_alone(s3_server: S3Server) -> None:
    holding = [path for path in s3_server.folder.rglob("*.json") if path.is_file()]
    assert [path.stat().st_mode & 0o777 for path in holding] == [0o600]
    assert s3_server.secret_key in holding[0].read_text()
    words = [
        path.read_bytes()
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if os.access(path, os.R_OK)
    ]
    assert any(str(s3_server.port).encode() in each for each in words)
    assert not any(s3_server.secret_key.encode() in each for each in words)


def test_ports_are_no_clients(tmp_path: Path) -> None:
    ports = free_ports(16)
    assert len(set(ports)) == 16
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) < first


@pytest.mark.parametrize(
    ("names", "begins", "ends", "reason"),
    [
        (("elsewhere.example",), -1, 1, "IP address mismatch"),
        (("127.0.0.2",), -1, 1, "IP address mismatch"),
        ((), -2, -1, "certificate has expired"),
        ((), 1, 2, "certificate is not yet valid"),
    ],
)
def test_what_a_certificate_says_is_checked(
    names: tuple[str, ...],
    begins: float,
    ends: float,
    reason: str,
    authority: Authority,
    tmp_path: Path,
) -> None:
    made = authority.sign(tmp_path / "certificate", *names, begins=begins, ends=ends)
    assert made.key.stat().st_mode & 0o777 == 0o600
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)
    client = ssl.create_default_context(cadata=made.authority)
    ends_of = [ssl.MemoryBIO() for _ in range(2)]
    us = client.wrap_bio(ends_of[0], ends_of[1], server_hostname=HOST)
    them = server.wrap_bio(ends_of[1], ends_of[0], server_side=True)
    for side in (us, them):
        with pytest.raises(ssl.SSLWantReadError):
            side.do_handshake()
    with pytest.raises(ssl.SSLCertVerificationError, match=reason):
        us.do_handshake()
