"""What the benchmark of a server rests on, and the memory that a save and a load take."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from bench.measure import Run
from bench.server import CURL, LOAD, SAVE, Curl, Programs, Store, figures_of
from s3.client import Client
from s3.credentials import Credentials
from s3.url import ServerUrl
from store.server import parts
from vm.host import BUILD
from vm.s3_server import S3Server

MOST = 96
"""MiB of memory for a save or a load, on two processors."""
STREAM_MIB = 96
"""More than all buffers hold."""


@pytest.mark.parametrize("name", ["s3_server", "tls_server"])
def test_memory(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Of the frozen programs; a save has all of it locked, from before the machine is frozen."""
    if os.geteuid() != 0 or not (BUILD / "torpor/torpor").exists():
        pytest.skip("takes root, to lock memory, and the frozen programs")
    stream = tmp_path / "stream"
    stream.write_bytes(os.urandom(STREAM_MIB << 20))
    store = Store(request.getfixturevalue(name), Programs.in_folder(tmp_path), tmp_path)
    save, load = store.save(stream), store.load()
    buffers = (parts.CONNECTIONS + 1) * parts.SIZE >> 20
    assert buffers < save.rss_mib <= MOST
    assert buffers < load.rss_mib <= MOST
    files = store.copy_parts(tmp_path / "parts")
    assert len(files) > STREAM_MIB << 20 >> 23
    assert sum(file.stat().st_size for file in files) > STREAM_MIB << 20


def test_curl_moves_all_files(s3_server: S3Server, tmp_path: Path) -> None:
    files = [tmp_path / f"{number:05}" for number in range(6)]
    for file in files:
        file.write_bytes(os.urandom(100_000))
    curl = Curl(s3_server, files, tmp_path)
    curl.upload()
    curl.download()
    assert (tmp_path / "curl").stat().st_mode & 0o777 == 0o600
    credentials = Credentials(s3_server.access_key, s3_server.secret_key)
    client = Client(ServerUrl.parse(s3_server.url("curl")), credentials)
    with closing(client.connection()) as connection:
        for file in files:
            found = connection.get(file.name, 1 << 20)
            assert found
            assert found.data == file.read_bytes()


def test_what_curl_does_is_1() -> None:
    ours, theirs = Run(2, 0, 80, 0), Run(1, 0, 10, 0)
    rounds = {SAVE: [ours] * 3, CURL + SAVE: [theirs] * 3, LOAD: [theirs], CURL + LOAD: [ours]}
    rows = [figure.row() for figure in figures_of("real", rounds, 1.8)]
    assert [row[3] for row in rows] == ["0.9", "0.5", "80 MiB", "3.6", "2", "10 MiB"]
    assert [row[-1] for row in rows] == ["yes", "NO", "yes", "yes", "yes", "yes"]
