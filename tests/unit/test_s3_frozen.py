"""What a client does while the machine is frozen: it imports, opens and resolves nothing.

Nor does it take memory for what it sends or receives.
"""

import ssl

import pytest

from tests.tools import python
from tests.unit import fake_s3
from tests.unit.fake_s3 import Act, FakeS3, answering, cut, lost, page, refusal
from vm.certificates import Authority, Certificate

SIZE = 8 << 20
REQUESTS, TRIES = 6, 2
"""How many `everything` makes, and how often each is tried."""

WHILE_FROZEN = """
import sys
from contextlib import suppress
from errors import TorporError
from s3 import client, wire
from s3.client import ABSENT, Client, Patience
from s3.credentials import Credentials
from s3.url import ServerUrl

url, ca, rounds = sys.argv[1:]
made = Client(ServerUrl.parse(url), Credentials("AKID", "SECRET", ca=ca), Patience(2))
made.resolve()
room = memoryview(bytearray(1000))
calls = (
    lambda connection: connection.put("one", bytes(1000), ABSENT),
    lambda connection: connection.put("one", bytes(1000)),
    lambda connection: connection.get("one", 1000),
    lambda connection: connection.read("one", 0, room),
    lambda connection: [*connection.list()],
    lambda connection: connection.delete("one"),
)
failed = []

def everything():
    with made.connection() as connection:
        for call in calls:
            try:
                call(connection)
            except TorporError as error:
                failed.append(str(error))

everything()
print(len(failed))
client._SHORTEST, wire.SECONDS = 0.001, 0.3
modules, heard = {*sys.modules}, []
FORBIDDEN = "import", "open", "socket.get", "subprocess", "os.", "ctypes", "_thread", "compile"
sys.addaudithook(lambda event, words: event.startswith(FORBIDDEN) and heard.append((event, words)))
for _ in range(int(rounds)):
    everything()
made.addresses = [made.addresses[0]._replace(where=("127.0.0.1", 1))]
everything()
is_heard = len(heard)
open("/dev/null").close()
print(*sorted({*sys.modules} - modules), heard[:is_heard], len(heard) - is_heard, len(failed))
"""

PEAKS = """
import sys, tracemalloc
from s3.client import Client
from s3.credentials import Credentials
from s3.url import ServerUrl

url, ca, size = sys.argv[1:]
data, room = memoryview(b"\\1" * int(size)), memoryview(bytearray(int(size)))
with Client(ServerUrl.parse(url), Credentials("AKID", "SECRET", ca=ca)).connection() as connection:
    connection.put("small", b"1")
    for call in (lambda: connection.put("one", data), lambda: connection.read("one", 0, room)):
        tracemalloc.start()
        call()
        print(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
assert room == data
"""

FAULTS: tuple[Act, ...] = (
    *(fake_s3.reset, fake_s3.hang_up, fake_s3.stall, fake_s3.rubbish, lost, cut(0), cut(100)),
    *(refusal(status, "It") for status in (301, 400, 404, 409, 412, 429, 500, 507)),
    *(refusal(403, "AccessDenied"), refusal(403, "RequestTimeTooSkewed", Date="x")),
    refusal(403, "RequestTimeTooSkewed", Date="Sun, 06 Nov 2044 08:49:37 GMT"),
    refusal(503, "SlowDown", Retry_After="0"),
    *(answering(200, b"", ETag=""), answering(206, bytes(10)), answering(200, b"<a>&#xfffffff;")),
    answering(200, page("one").replace(b"<Size>", b"<Size>x")),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Authority().sign(tmp_path_factory.mktemp("certificate"))


def serving(is_secure: bool, made: Certificate) -> FakeS3:
    if not is_secure:
        return FakeS3()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    return FakeS3(context)


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
def test_nothing_is_loaded_opened_or_resolved(is_secure: bool, made: Certificate) -> None:
    """After a request of each kind that went well, whatever the server does."""
    with serving(is_secure, made) as server:
        server.script = [fake_s3.obey] * 4 + [answering(200, page("one")), fake_s3.obey]
        for fault in FAULTS:
            server.script += [fault] * REQUESTS * TRIES
        rounds = len(FAULTS) * TRIES
        url = server.url(host="localhost")
        well, told = python(WHILE_FROZEN, url, made.authority, str(rounds)).splitlines()
        assert server.script == []
    failed = int(told.rpartition(" ")[2])
    assert (well, told) == ("0", f"[] 1 {failed}")
    assert failed > len(FAULTS) * REQUESTS


@pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])
def test_bytes_are_sent_and_received_in_place(is_secure: bool, made: Certificate) -> None:
    with serving(is_secure, made) as server:
        peaks = python(PEAKS, server.url(), made.authority, str(SIZE)).split()
        assert server.objects["/bucket/one"] == b"\1" * SIZE
    assert len(peaks) == 2
    assert all(0 < int(peak) < SIZE // 16 for peak in peaks), peaks
