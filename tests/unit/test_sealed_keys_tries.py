"""What was tried against the keys of a machine that seals, and against who keeps them."""

import errno
import json
import os
import sys
from functools import partial
from pathlib import Path

import pytest

from errors import ConfigurationError, SetupError, StateError, UnreadableError
from format import sodium
from seal import slots
from state import sealing as trust
from tests.tools import failing
from tests.unit.test_sealing_enabled import NO_TPM, Sealing, sealing, soft
from torpor import keys, new_keys
from torpor.commands import enable
from torpor.enable.enable import disable
from torpor.enable.keys import change_keys, forget, sealed

__all__ = ["sealing", "soft"]


@pytest.fixture
def with_key_file(sealing: Sealing) -> Sealing:
    sealing.enable(f"keyfile={sealing.key_file}")
    return sealing


def rotate(sealing: Sealing) -> None:
    change = partial(keys.rotate, sealing.system, ["keyfile"], sealing.tpm)
    change_keys(sealing.system, change, sealing.machine.said.append, list)


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_disk_that_is_full_keeps_no_half_of_a_key_file(
    call: str, sealing: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be in the way of the next attempt, and its key on the disk."""
    monkeypatch.setattr(os, call, failing(OSError(28, "No space left on device")))
    with pytest.raises(UnreadableError, match="no space left"):
        slots.new_key_file(str(sealing.key_file))
    assert not sealing.key_file.exists()


def test_a_key_file_that_cannot_be_replaced_is_not_made_anew(
    with_key_file: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = with_key_file.machine.files()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", failing(OSError(errno.EPERM, "immutable")))
        with pytest.raises(UnreadableError, match=r"cannot write .*immutable"):
            rotate(with_key_file)
    assert with_key_file.machine.files() == before
    assert not with_key_file.sender().troubles


def test_a_key_file_comes_back_if_the_new_one_fails(
    with_key_file: Sealing, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = with_key_file.key_file.read_bytes()
    monkeypatch.setattr("torpor.enable.keys.write_keys", failing(UnreadableError("full")))
    with pytest.raises(UnreadableError, match="full"):
        rotate(with_key_file)
    assert with_key_file.key_file.read_bytes() == before
    assert with_key_file.key_file.stat().st_mode & 0o777 == 0o600
    assert not with_key_file.sender().troubles


@pytest.mark.parametrize("field", ["recipient", "salt", "locked"])
@pytest.mark.parametrize("size", [0, 15, 31, 4096])
def test_a_key_of_another_length_is_no_key(field: str, size: int, sealing: Sealing) -> None:
    """libsodium would read on behind it, and the image be sealed for nobody."""
    sealing.types("correct horse\n")
    sealing.enable("passphrase")
    path = Path(sealing.system.path(slots.SLOTS))
    found = json.loads(path.read_text())
    found["slots"]["passphrase"][field] = "5a" * size
    path.write_text(json.dumps(found))
    with pytest.raises(StateError, match=r"slots\.json is not what torpor writes"):
        sealing.sender()


@pytest.mark.parametrize("mounts", [[], ["/"]])
def test_the_passphrase_of_the_disk_is_offered(
    mounts: list[str],
    sealing: Sealing,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(new_keys, "encrypted", lambda: iter(mounts))
    monkeypatch.setattr(new_keys, "new_passphrase", lambda _what: b"correct horse")
    sealing.enable("passphrase")
    assert ("ask once for both" in capsys.readouterr().out) == bool(mounts)


@pytest.mark.parametrize("text", ["", "sender=\n", "\0" * 90], ids=["empty", "nobody", "zeros"])
@pytest.mark.parametrize("off", ["enable", "disable"])
def test_who_is_trusted_is_damaged(off: str, text: str, with_key_file: Sealing) -> None:
    """What the error says switches sealing off, and on again."""
    system = with_key_file.system
    Path(trust.PATH).write_text(text)
    with pytest.raises(ConfigurationError, match="does not say who seals") as caught:
        sealed(system)
    assert caught.value.hint.startswith("make new keys: torpor enable --seal off; ")
    if off == "enable":
        with_key_file.machine.enable(enable._sealing(system, ["off"]))
        enable._tell(system, ["off"])
    else:
        forget(system, NO_TPM)
        disable(system, with_key_file.machine.said.append, None)
    assert sealed(system) is None
    assert not with_key_file.key_file.exists()
    with_key_file.enable(f"keyfile={with_key_file.key_file}")
    assert not with_key_file.sender().troubles


def test_no_memory_for_a_passphrase(sealing: Sealing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sodium, "stretch", lambda *_: None)
    sealing.types("correct horse\n")
    with pytest.raises(SetupError, match="a passphrase takes 8 MiB of memory"):
        sealing.enable("passphrase")
    assert sealed(sealing.system) is None
