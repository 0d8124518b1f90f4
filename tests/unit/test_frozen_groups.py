"""The frozen resumer without what only some machines' boots need, and with it."""

import http.server
import py_compile
import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aeg.aegis256
import pytest

from package.frozen.__main__ import needs_of
from package.frozen.elf import needed_outside
from package.frozen.programs import PROGRAMS
from tests.initramfs.installed import BUILD
from tests.tools import ROOT, unavailable
from tests.unit.test_frozen import DYNLOAD, IMPORT_ALL, OURS

RESUMER = next(program for program in PROGRAMS if program.groups)
GROUPS = tuple(RESUMER.groups)
MESSAGE, HEAD = b"all of memory", b"a header"

ENCRYPT = f"""
import hashlib, hmac
from format import sodium

def main():
    room = bytearray({MESSAGE!r} + bytes(sodium.TAG_SIZE))
    sodium.encrypt(bytes(32), 7, {HEAD!r}, memoryview(room))
    print(room.hex(), hmac.digest(b"key", b"data", hashlib.sha256).hex())
"""

GET = """
import hashlib, http.client, socket, ssl

def main():
    context = ssl.create_default_context(cafile={ca!r})
    connection = http.client.HTTPSConnection("localhost", {port})
    found = socket.getaddrinfo(b"localhost", {port}, socket.AF_INET, socket.SOCK_STREAM)
    bare = socket.socket()
    bare.connect(found[0][4])
    connection.sock = context.wrap_socket(bare, server_hostname=b"localhost")
    connection.request("GET", "/")
    print(connection.getresponse().read().decode(), hashlib.sha256.__name__)
"""
"""As the resumer does it: names are bytes, for which no tables of other scripts are loaded."""


def listed(group: str = "") -> set[str]:
    """Return the names in the folder of the files of it that a list has."""
    path = needs_of(BUILD / RESUMER.name, group)
    if not path.exists():
        unavailable("the programs are not frozen: python3 build.py frozen")
    prefix = f"{RESUMER.installed}/"
    lines = path.read_text().splitlines()
    return {line.removeprefix(prefix) for line in lines if line.startswith(prefix)}


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """Return the folder with what any initramfs has of it."""
    folder = tmp_path / "frozen"
    add(folder, "")
    return folder


def add(frozen: Path, *groups: str) -> None:
    for name in {name for group in groups for name in listed(group)}:
        (frozen / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(BUILD / RESUMER.name / name, frozen / name)


def run(frozen: Path, main: str = "") -> subprocess.CompletedProcess[str]:
    """Run the resumer in the folder, with another main module if one is given."""
    if main:
        source = frozen / "main.py"
        source.write_text(main)
        py_compile.compile(str(source), str(frozen / "_internal/resume/__main__.pyc"), doraise=True)
    words = [str(frozen / RESUMER.name), "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def test_the_lists_are_apart_and_have_all() -> None:
    folder = BUILD / RESUMER.name
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert sorted(name for group in ("", *GROUPS) for name in listed(group)) == files


def test_what_is_in_them() -> None:
    stems = {
        group: {name.removeprefix("_internal/").partition(".")[0] for name in listed(group)}
        for group in GROUPS
    }
    assert stems["sealing"] >= {
        *("_cffi_backend", "hmac", "format/sodium", "nacl/__init__", "nacl/_sodium")
    }
    assert stems["server"] >= {
        *("ssl", "socket", "http/client", "email/parser", "libssl", "libcrypto")
    }
    extensions = {name for name in listed("server") if name.startswith(f"_internal/{DYNLOAD}/")}
    assert {Path(name).name.partition(".")[0] for name in extensions} >= {"_ssl", "_hashlib"}


def test_each_boot_knows_what_a_server_is_and_no_more() -> None:
    places = ("_internal/s3/", "_internal/store/server/", "_internal/resume/server")
    known = {name for name in listed() | listed("sealing") if name.startswith(places)}
    assert known <= {"_internal/s3/__init__.pyc", "_internal/s3/scheme.pyc"}


def test_of_nacl_there_is_the_extension_module_alone() -> None:
    names = {path.name for path in (BUILD / RESUMER.name / "_internal/nacl").iterdir()}
    assert names == {"__init__.pyc", "_sodium.abi3.so"}


@pytest.mark.parametrize("group", GROUPS)
def test_they_need_nothing_more_of_the_system(frozen: Path, group: str) -> None:
    """So that the list has nothing that a package would have to put right."""
    before = needed_outside(frozen)
    add(frozen, group)
    assert needed_outside(frozen) == before


@pytest.mark.parametrize("groups", [(), ("sealing",)])
def test_nothing_else_imports_what_only_they_need(frozen: Path, groups: tuple[str, ...]) -> None:
    """Nor does sealing what servers need; these may need what sealing does."""
    add(frozen, *groups)
    inside = frozen / "_internal"
    ours = [package for package in OURS if (inside / package).is_dir()]
    bootstrap = ROOT / "package/frozen/bootstrap.py"
    subprocess.run(
        [sys.executable, "-ISc", IMPORT_ALL, inside, inside / DYNLOAD, bootstrap, *ours], check=True
    )
    done = run(frozen)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: torpor-resume")


def test_sealing_is_libsodiums(frozen: Path) -> None:
    """The vectors are of another library, and of HMAC by OpenSSL, which is not in it."""
    missing = run(frozen, ENCRYPT)
    assert "No module named" in missing.stderr
    add(frozen, "sealing")
    done = run(frozen, ENCRYPT)
    assert done.returncode == 0, done.stderr
    encrypted, code = done.stdout.split()
    nonce = (7).to_bytes(32, "little")
    vector: bytes = aeg.aegis256.encrypt(bytes(32), nonce, MESSAGE, HEAD, maclen=32)
    assert encrypted == vector.hex()
    assert code == "5031fe3d989c6d1537a013fa6e739da23463fdaec3b70137d828e36ace221bd0"


class _Hello(http.server.BaseHTTPRequestHandler):
    """Answers each GET with a word."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002
        """Say nothing."""


@contextmanager
def secure_server(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield the certificate and the port of one on the loopback, of that name."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*words, *names, *files], capture_output=True, check=True)
    server = http.server.HTTPServer(("127.0.0.1", 0), _Hello)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield str(certificate), server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_is_spoken_to_by_openssl(frozen: Path, tmp_path: Path) -> None:
    if not shutil.which("openssl"):
        unavailable("openssl is missing")
    with secure_server(tmp_path) as (certificate, port):
        script = GET.format(ca=certificate, port=port)
        assert "No module named" in run(frozen, script).stderr
        add(frozen, "server")
        done = run(frozen, script)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "hello openssl_sha256\n"
