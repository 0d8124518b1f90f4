"""A store on a server: its head, an image in parts, and who gets it."""

import hashlib
import threading
from collections.abc import Callable
from contextlib import closing
from uuid import UUID, uuid4

import pytest

from errors import ConflictError, DamagedError, DeviceNotFoundError, ForeignError, StoreRefusedError
from format.mark import Mark, MarkState
from format.pipeline import CHUNK_SIZE, PageBuffer
from format.reader import ImageReader
from format.records import GUARD, Superblock
from format.writer import ImageWriter, new_encoders
from s3.client import Client, Connection
from s3.credentials import Credentials
from s3.url import ServerUrl
from seal.opening import Opening
from store.server import parts, source
from store.server.head import KEY, Head, new_head, read_head
from store.server.sink import PartSink
from store.server.source import PIECE
from store.server.store import ServerStore
from tests.forge import CREATED_NS, PAGE, UUID_A
from tests.sources import IDENTITY
from tests.unit.sealing import PASSPHRASE, Typist, passphrase_slot, sender
from vm.s3_server import S3Server

NewClient = Callable[[], Client]


@pytest.fixture(name="new_client")
def _new_client(s3_server: S3Server) -> NewClient:
    """Return what leads to a place on the server where nothing is, another one each time."""

    def new_client() -> Client:
        url = ServerUrl.parse(s3_server.url(str(uuid4())))
        return Client(url, Credentials(s3_server.access_key, s3_server.secret_key))

    return new_client


@pytest.fixture(name="client")
def _client(new_client: NewClient) -> Client:
    """Lead to a store that is empty."""
    client = new_client()
    new_head(client)
    return client


def stream_of(size: int) -> bytes:
    """Return so many bytes that no codec makes shorter."""
    blocks = range(-(-size // 64))
    return b"".join(hashlib.sha512(nth.to_bytes(8)).digest() for nth in blocks)[:size]


def write(client: Client, stream: bytes, table: bytes = b"what is mounted") -> Mark:
    """Write a sealed image of this stream and make it visible."""
    with ServerStore(client, "the server") as store, closing(store.sink()) as sink:
        image_uuid = UUID(bytes=hashlib.sha256(stream).digest()[:16])
        superblock = Superblock(image_uuid, CREATED_NS, CHUNK_SIZE, IDENTITY, platform=False)
        sealing = sender(passphrase_slot()).sealing(image_uuid)
        writer = ImageWriter(sink, superblock, new_encoders(CHUNK_SIZE), sealing)
        rest = memoryview(stream)

        def read(buffer: PageBuffer, at: int) -> int:
            nonlocal rest
            some = rest[: len(buffer.view) - at]
            buffer.view[at : at + len(some)] = some
            rest = rest[len(some) :]
            return len(some)

        writer.write_stream(read, lambda _: None)
        writer.write_table(GUARD, table)
        writer.finish()
        mark = sink.finish(image_uuid, writer.size, sealing.key)
        store.slot.key = sealing.key
        store.slot.set_mark(mark)
        return mark


def opened(client: Client) -> Head:
    """Return the head with the key of the image that it has."""
    head = read_head(client, "the server")
    mark = head.mark()
    assert mark
    opening = Opening(Typist(PASSPHRASE), lambda _: None, print)
    head.key = opening.key(Superblock.parse(head.superblock(mark)))
    return head


def keys(client: Client) -> set[str]:
    with client.connection() as connection:
        return {getattr(each, "key", "") for each in connection.list()}


@pytest.mark.parametrize(
    "size", [PAGE, PIECE - PAGE, parts.SIZE, 3 * parts.SIZE + 5 * PAGE], ids=str
)
def test_round_trip(client: Client, size: int) -> None:
    stream = stream_of(size)
    mark = write(client, stream)
    head = opened(client)
    image = ImageReader(head.image())
    assert b"".join(map(bytes, image.stream())) == stream
    assert image.table(GUARD) == b"what is mounted"
    names = {f"{mark.image_uuid}/{nth:05d}" for nth in range(parts.count_of(mark.image_size))}
    assert keys(client) == {KEY, *names}
    assert threading.active_count() == 1


def test_what_nobody_made_is_no_store(new_client: NewClient) -> None:
    with pytest.raises(DeviceNotFoundError, match="there is no store at there"):
        read_head(new_client(), "there")


@pytest.mark.parametrize("data", [b"", b"x" * 8192, b"x" * 8193])
def test_another_object_is_no_head(new_client: NewClient, data: bytes) -> None:
    client = new_client()
    with client.connection() as connection:
        connection.put(KEY, data)
    with pytest.raises(DamagedError):
        read_head(client, "there")


def test_there_is_one_head(client: Client) -> None:
    with pytest.raises(ConflictError):
        new_head(client)


def test_an_image_in_the_clear_is_not_sent(client: Client) -> None:
    superblock = Superblock(UUID_A, CREATED_NS, CHUNK_SIZE, IDENTITY, platform=False)
    with (
        closing(PartSink(client, read_head(client, "the server"))) as sink,
        pytest.raises(StoreRefusedError, match="in the clear is not given to the server"),
    ):
        ImageWriter(sink, superblock, new_encoders(CHUNK_SIZE))
    assert keys(client) == {KEY}


def test_of_two_that_claim_one_gets_it(client: Client) -> None:
    write(client, stream_of(PAGE))
    heads = [opened(client) for _ in range(2)]
    heads[1].begin_loading()
    with pytest.raises(ConflictError):
        heads[0].begin_loading()
    heads[1].claim()
    there = read_head(client, "the server")
    mark = there.mark()
    assert mark
    assert mark.state is MarkState.CLAIMED
    with pytest.raises(ConflictError):
        heads[0].claim()


def test_who_is_slow_claims_nothing_that_was_restored_and_removed(client: Client) -> None:
    """The winner has resumed, and its store is empty, before the other one gets to its claim."""
    write(client, stream_of(PAGE))
    slow = opened(client)
    quick = opened(client)
    quick.begin_loading()
    quick.claim()
    restored = read_head(client, "the server")
    restored.discard()
    restored.tidy()
    assert keys(client) == {KEY}
    for step in (slow.begin_loading, slow.claim):
        with pytest.raises(ConflictError):
            step()
    assert not read_head(client, "the server").holds_image()


def test_a_claim_leaves_no_key(client: Client) -> None:
    write(client, stream_of(PAGE))
    head = opened(client)
    head.begin_loading()
    head.claim()
    there = read_head(client, "the server")
    mark = there.mark()
    assert mark
    superblock = Superblock.parse(there.superblock(mark))
    assert superblock.seal
    assert not any(superblock.seal.recipients)


def test_a_boot_that_discards_what_it_finds_claimed_comes_too_late(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However soon: a claim has no second write that it could keep from being done."""
    write(client, stream_of(PAGE))
    head = opened(client)
    head.begin_loading()
    really = Connection.put
    met: list[Head] = []

    def put(self: Connection, key: str, data: memoryview, only: str | None = None) -> str:
        etag = really(self, key, data, only)
        if not met:
            met.append(read_head(client, "the server"))
            met[0].discard()
        return etag

    monkeypatch.setattr(Connection, "put", put)
    head.claim()
    assert met


def test_what_the_kernel_refused_may_be_tried_again(client: Client) -> None:
    stream = stream_of(PAGE)
    write(client, stream)
    head = opened(client)
    head.begin_loading()
    head.claim()
    assert head.put_back()
    again = opened(client)
    mark = again.mark()
    assert mark
    assert (mark.state, mark.attempts, mark.loads) == (MarkState.COMPLETE, 1, 0)
    assert b"".join(map(bytes, ImageReader(again.image()).stream())) == stream


def test_a_discarded_image_is_gone(client: Client) -> None:
    write(client, stream_of(PAGE))
    head = read_head(client, "the server")
    head.discard()
    head.tidy()
    assert keys(client) == {KEY}
    assert read_head(client, "the server").mark() is None


def test_a_head_without_a_seal_is_not_looked_into(client: Client) -> None:
    """Whoever may write to the server can put it there."""
    head = read_head(client, "the server")
    mark = Mark(MarkState.COMPLETE, UUID_A, 1 << 20, 0, 0, 0, header_page=1)
    plain = Superblock(UUID_A, CREATED_NS, CHUNK_SIZE, IDENTITY, platform=False)
    head.hold_superblock(plain.build())
    head.write_mark(mark.build())
    with pytest.raises(ForeignError):
        read_head(client, "the server").image()
    head.write_mark(mark._replace(header_page=0).build())
    with pytest.raises(ForeignError):
        read_head(client, "the server").image()


@pytest.mark.parametrize("nth", [0, 1])
def test_another_byte_on_the_server_is_noticed(client: Client, nth: int) -> None:
    mark = write(client, stream_of(parts.SIZE + PAGE))
    key = parts.key_of(mark.image_uuid, nth)
    with client.connection() as connection:
        found = connection.get(key, parts.SIZE)
        assert found
        data = bytearray(found.data)
        data[len(data) // 2] ^= 1
        connection.put(key, bytes(data))
    head = opened(client)
    with pytest.raises(DamagedError):
        _read_all(ImageReader(head.image()))


def test_a_part_that_is_gone_is_noticed(client: Client) -> None:
    mark = write(client, stream_of(2 * parts.SIZE))
    with client.connection() as connection:
        connection.delete(parts.key_of(mark.image_uuid, 1))
    head = opened(client)
    with pytest.raises(DamagedError):
        _read_all(ImageReader(head.image()))


@pytest.mark.parametrize("nth", [0, 3])
def test_many_readers_end_when_one_fails(
    client: Client, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that wait for what is not begun yet, since nobody takes what is before it."""
    mark = write(client, stream_of(4 * parts.SIZE))
    monkeypatch.setattr(source.PartSource, "threads", 12)
    monkeypatch.setattr(source, "PIECE", CHUNK_SIZE // 2)
    image = ImageReader(opened(client).image())
    with client.connection() as connection:
        connection.delete(parts.key_of(mark.image_uuid, nth))
    with pytest.raises(DamagedError):
        for _ in image.stream():
            pass
    assert threading.active_count() == 1


def test_a_load_asks_for_each_part_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server counts and bills requests."""
    mark = write(client, stream_of(5 * parts.SIZE))
    image = ImageReader(opened(client).image())
    asked: list[str] = []
    really = Connection.read

    def read(connection: Connection, key: str, offset: int, room: memoryview) -> None:
        asked.append(key)
        really(connection, key, offset, room)

    monkeypatch.setattr(Connection, "read", read)
    for _ in image.stream():
        pass
    assert sorted(asked) == [parts.key_of(mark.image_uuid, nth) for nth in range(6)]


def test_no_part_waits_for_an_older_one(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one is on its way until the last one that is whole has come."""
    monkeypatch.setattr(parts, "SIZE", 16 * PAGE)
    later, came, last = threading.Event(), [], 2 * parts.CONNECTIONS
    really = Connection.put

    def put(connection: Connection, key: str, data: memoryview, only: str | None = None) -> str:
        if key.endswith(f"/{0:05d}"):
            came.append(later.wait(30))
        if key.endswith(f"/{last:05d}"):
            later.set()
        return really(connection, key, data, only)

    monkeypatch.setattr(Connection, "put", put)
    write(client, stream_of(last * parts.SIZE))
    assert came == [True]
    assert len(keys(client)) == last + 2


def _read_all(image: ImageReader) -> None:
    for _ in image.stream():
        pass
    image.table(GUARD)
