"""torpor enable with a store on a server: credentials, and the store that is made there."""

import io
import os
import stat
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from errors import (
    ConfigurationError,
    DamagedError,
    ServerError,
    SetupError,
    UnreachableError,
    UsageError,
)
from s3.credentials import Credentials
from state import server
from state.server import PATH
from store.server.head import KEY
from tests.unit.on_server import OnServer
from tests.unit.sealing import trusted
from torpor.credentials import credentials_of
from torpor.enable.server import keep, make_ready
from torpor.enable.system import System

OURS = Credentials("AKIA", "secret", region="eu-1", ca="-----BEGIN CERTIFICATE-----\n")


@pytest.fixture(name="system")
def _system(tmp_path: Path) -> System:
    return System(str(tmp_path / "root"))


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_credentials_are_roots_alone(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    path = system.path(PATH)
    with ExitStack() as undo:
        keep(system, OURS, undo)
        undo.pop_all()
    assert mode_of(path) == 0o600
    monkeypatch.setenv(server.VARIABLE, path)
    assert server.read_credentials() == OURS
    before = Path(path).read_bytes()
    with ExitStack() as undo:
        keep(system, OURS._replace(secret_key="another"), undo)
        assert Path(path).read_bytes() != before
    assert Path(path).read_bytes() == before
    assert mode_of(path) == 0o600


def test_credentials_are_gone_after_an_undo(system: System) -> None:
    with ExitStack() as undo:
        keep(system, OURS, undo)
        assert system.exists(PATH)
    assert not system.exists(PATH)


def test_a_file_that_is_not_ours_stays(system: System) -> None:
    path = Path(system.path(PATH))
    path.parent.mkdir(parents=True)
    path.write_text("access_key=theirs\n")
    with ExitStack() as undo, pytest.raises(SetupError, match="torpor enable did not write it"):
        keep(system, OURS, undo)
    assert path.read_text() == "access_key=theirs\n"


def test_where_credentials_come_from(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    file.write_text(OURS.build())
    assert credentials_of(str(file), system) == OURS
    with pytest.raises(ConfigurationError, match="is not there"):
        credentials_of(str(tmp_path / "other"), system)
    types(monkeypatch, "AKIA\nsecret\n")
    assert credentials_of(None, system) == Credentials("AKIA", "secret")
    types(monkeypatch, "AKIA\n")
    with pytest.raises(UsageError, match="no new secret key on the standard input"):
        credentials_of(None, system)
    types(monkeypatch, "A KIA\nsecret\n")
    with pytest.raises(ConfigurationError, match="line 1"):
        credentials_of(None, system)
    with ExitStack() as undo:
        keep(system, OURS, undo)
        assert credentials_of(None, system) is None


def types(monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))


def test_the_store_is_made_once(on_server: OnServer) -> None:
    on_server.hibernate()
    make_ready(on_server.url)
    assert on_server.head().holds_image()
    make_ready(f"{on_server.url}/deeper")
    assert on_server.keys().count(KEY) == 1


def test_what_lies_in_its_place_stays(on_server: OnServer) -> None:
    with on_server.client().connection() as connection:
        connection.put(KEY, b"something else")
    with pytest.raises(DamagedError):
        make_ready(on_server.url)


def test_a_server_that_refuses_us(on_server: OnServer) -> None:
    trusted()
    Path(server.PATH).write_text(Credentials("nobody", "nothing").build())
    with pytest.raises(ServerError, match="403"):
        make_ready(on_server.url)


def test_a_server_that_is_not_there(on_server: OnServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s3.client._SHORTEST", 0.001)
    with pytest.raises(UnreachableError, match="connection refused"):
        make_ready("s3+http://127.0.0.1:1/bucket")
