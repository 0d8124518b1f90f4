"""Images that 0.1.0 wrote: they are read, every byte checked, and not restored."""

import hashlib
import json
from pathlib import Path

import pytest

from errors import UnsupportedError
from tests.tools import ROOT
from tests.unit.booting import Boot
from tests.unit.conftest import Torpor
from tests.unit.marked import mark_of

FOLDER = ROOT / "tests/vectors/version1"
STREAMS = json.loads((FOLDER / "streams.json").read_text())
"""SHA-256 of the stream of each, as 0.1.0's own vectors had it."""


def image(name: str) -> Path:
    return FOLDER / f"{name}.img"


def test_every_file_has_its_stream() -> None:
    assert sorted(STREAMS) == sorted(path.stem for path in FOLDER.glob("*.img"))


@pytest.mark.parametrize("name", STREAMS)
def test_an_old_image_is_read(name: str, torpor: Torpor, tmp_path: Path) -> None:
    assert "every byte checked" in torpor("verify", image(name)).out
    assert torpor("unpack", image(name), tmp_path / "stream").code == 0
    stream = (tmp_path / "stream").read_bytes()
    assert hashlib.sha256(stream).hexdigest() == STREAMS[name]
    assert torpor("inspect", image(name)).code == 0


def test_no_byte_of_an_old_image_changes_unseen(torpor: Torpor, tmp_path: Path) -> None:
    data = image("with-tables").read_bytes()
    damaged = tmp_path / "damaged"
    for at in [*range(0, 4096, 131), *range(4096, len(data), 37)]:
        damaged.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert torpor("verify", damaged).code in (3, 4, 5), at


@pytest.mark.parametrize("size", [4096, 4127, 4140, 5000, -1])
def test_an_old_image_that_is_cut_off(size: int, torpor: Torpor, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(image("three-chunks").read_bytes()[:size])
    assert torpor("verify", cut).code == 4


def test_an_old_image_is_not_restored(boot: Boot) -> None:
    path = boot.folder / "swap"
    path.write_bytes(image("swap-scattered").read_bytes())
    boot.names[str(path)] = str(path)
    outcome = boot.resume(f"resume={path}")
    assert isinstance(outcome.error, UnsupportedError), outcome.message
    assert "older version of the format" in outcome.message
    assert mark_of(path) is None, "discarded: nothing here restores it"
