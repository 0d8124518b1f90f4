"""What operators do with the images of all machines on a server."""

import json
import time
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from errors import ConfigurationError, StoreRefusedError
from s3.client import ABSENT, Connection
from state import server
from store.server import machines, probe
from store.server.head import KEY, new_head
from tests.unit.conftest import Torpor
from tests.unit.marked import INSTALLATION
from tests.unit.on_server import OnServer, client_at
from vm.s3_server import S3Server

OTHER = "0123456789abcdef0123456789abcdef"


def test_machines_are_listed(on_server: OnServer, torpor: Torpor) -> None:
    on_server.hibernate()
    new_head(machines.client_below(on_server.above, OTHER))
    with on_server.above.connection() as connection:
        connection.put("not-a-machine/head", b"x")
        connection.put(f"{'f' * 32}/head", b"x")
    listed = json.loads(torpor("list", "--json", on_server.url).out)
    found = {each["machine_id"]: each for each in listed}
    assert {name: each["state"] for name, each in found.items()} == {
        INSTALLATION: "complete",
        OTHER: "empty",
        "f" * 32: "damaged",
    }
    ours = found[INSTALLATION]
    assert ours["sealed_for"] == ["passphrase"]
    assert abs(ours["created"] - time.time()) < 600
    assert ours["size"] > ours["parts"] > 0
    lines = torpor("list", on_server.url).out.splitlines()
    assert len(lines) == 3
    assert "sealed for passphrase" in next(line for line in lines if INSTALLATION in line)


def test_no_machine_is_listed(on_server: OnServer, torpor: Torpor) -> None:
    assert torpor("list", f"{on_server.url}/elsewhere").out.startswith("no machine has a store")


def test_another_file_has_the_credentials(
    on_server: OnServer, torpor: Torpor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = Path(server.PATH).read_text()
    Path(server.PATH).unlink()
    assert torpor("list", on_server.url).code == ConfigurationError.exit_code
    (tmp_path / "other").write_text(text)
    monkeypatch.setenv(server.VARIABLE, str(tmp_path / "other"))
    assert torpor("list", on_server.url).code == 0


def test_the_store_of_another_machine_is_named(on_server: OnServer, torpor: Torpor) -> None:
    on_server.hibernate()
    named = f"{on_server.url}/{INSTALLATION}"
    assert json.loads(torpor("inspect", "--json", named).out)["sealed"] is True


def test_old_images_are_removed(on_server: OnServer, torpor: Torpor) -> None:
    on_server.hibernate()
    new_head(machines.client_below(on_server.above, OTHER))
    kept = on_server.keys()
    assert "nothing is that old" in torpor("prune", "--older-than", "1d", on_server.url).out
    assert (
        "would be removed" in torpor("prune", "--older-than", "0m", "--dry-run", on_server.url).out
    )
    assert on_server.keys() == kept
    done = torpor("prune", "--older-than", "0m", on_server.url)
    assert done.code == 0
    (line,) = done.out.splitlines()
    assert line.startswith(f"{INSTALLATION}: complete, ")
    assert line.endswith(": removed")
    assert on_server.keys() == [KEY]


@pytest.mark.parametrize("age", ["30", "d", "-1d", "1w", "1.5h", ""])
def test_what_is_no_age(on_server: OnServer, torpor: Torpor, age: str) -> None:
    done = torpor("prune", f"--older-than={age}", on_server.url)
    assert done.code == 2
    assert "is not a number of days" in done.err


def test_the_server_keeps_what_is_asked_of_it(s3_server: S3Server) -> None:
    client = client_at(s3_server, str(uuid4()))
    probe.probe(client)
    with closing(client.connection()) as connection:
        assert not list(connection.list())


@pytest.mark.parametrize(
    ("ignored", "words"),
    [
        ({ABSENT}, "If-None-Match"),
        ({probe.NOBODYS}, "If-Match"),
        (None, "has changed its old ETag"),
    ],
)
def test_a_careless_server_is_refused(
    s3_server: S3Server, ignored: set[str] | None, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that does not look at some conditions, or gives all that it has the same ETag."""
    really = Connection.put

    def put(self: Connection, key: str, data: bytes | memoryview, only: str | None = None) -> str:
        if ignored is None:
            return really(self, key, data, only) and (only or "")
        return really(self, key, data, None if only in ignored else only)

    monkeypatch.setattr(Connection, "put", put)
    with pytest.raises(StoreRefusedError, match=words):
        probe.probe(client_at(s3_server, str(uuid4())))
