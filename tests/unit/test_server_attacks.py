"""Who owns the server, or the way to it, has what lies there: what comes of what he does to it.

Bytes that he changes are in tests/unit/test_server_store.py and test_server_troubles.py.
"""

from collections.abc import Mapping

import pytest

from errors import DamagedError, ForeignError, SpentError, TorporError
from format.first_page import MARK_OFFSET
from format.layout import MARK_SIZE
from seal import opening
from seal.sender import Sender
from seal.slots import Keys, new_tpm_slot
from seal.tpm import Tpm
from store.server.head import KEY
from tests.unit.booting import Boot
from tests.unit.conftest import STREAM
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.unit.marked import INSTALLATION
from tests.unit.on_server import OnServer
from tests.unit.sealing import SEED, passphrase_slot, sender, trusted
from tests.unit.soft_tpm import SoftTpm

OTHER = "0123456789abcdef0123456789abcdef"
MOST = 1 << 26
Objects = Mapping[str, bytes]


def kept(machine: OnServer) -> dict[str, bytes]:
    """Return all that lies there."""
    names = machine.keys()
    with machine.client().connection() as connection:
        found = {key: connection.get(key, MOST) for key in names}
    return {key: each.data for key, each in found.items() if each}


def put_back(machine: OnServer, objects: Objects) -> None:
    with machine.client().connection() as connection:
        for key, data in objects.items():
            connection.put(key, data)


def resumes(machine: OnServer, boot: Boot, device: FakeSnapshot) -> None:
    device.loaded.clear()
    device.complete = False
    with pytest.raises(Restored):
        boot.resume(f"resume={machine.url}")
    assert device.loaded == STREAM


def refuses(
    machine: OnServer, boot: Boot, device: FakeSnapshot, kind: type[TorporError], words: str
) -> None:
    device.loaded.clear()
    device.complete = False
    outcome = boot.resume(f"resume={machine.url}")
    assert type(outcome.error) is kind, outcome.message
    assert words in outcome.message
    assert not device.complete


def test_he_puts_a_copy_back(
    on_server: OnServer,
    boot: Boot,
    device: FakeSnapshot,
    soft: SoftTpm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The TPM has counted."""
    monkeypatch.setattr(opening, "Tpm", lambda: Tpm(soft.tcti))
    tpm = Tpm(soft.tcti)
    keys = Keys({"tpm2": new_tpm_slot(tpm)}, tpm.new_counter())
    on_server.seals = Sender(SEED, keys, tpm)
    on_server.hibernate()
    soft.reboot()
    copy = kept(on_server)
    resumes(on_server, boot, device)
    soft.reboot()
    put_back(on_server, copy)
    refuses(on_server, boot, device, SpentError, "by the counter of the TPM it is a copy")


def test_without_a_tpm_only_the_guard_tells_a_copy(
    on_server: OnServer, boot: Boot, device: FakeSnapshot
) -> None:
    """Which is content here: docs/NETWORK.md says so."""
    on_server.hibernate()
    copy = kept(on_server)
    for _ in range(2):
        resumes(on_server, boot, device)
        put_back(on_server, copy)


def test_he_sets_the_mark_back(on_server: OnServer, boot: Boot, device: FakeSnapshot) -> None:
    """But not what the key is wrapped in."""
    on_server.hibernate()
    before = kept(on_server)[KEY]
    resumes(on_server, boot, device)
    head = bytearray(kept(on_server)[KEY])
    mark = slice(MARK_OFFSET, MARK_OFFSET + MARK_SIZE)
    assert head[mark] != before[mark]
    head[mark] = before[mark]
    put_back(on_server, {KEY: bytes(head)})
    refuses(on_server, boot, device, ForeignError, "is discarded")


def test_he_serves_parts_of_an_older_image(
    on_server: OnServer, boot: Boot, device: FakeSnapshot
) -> None:
    on_server.hibernate()
    older = {key: data for key, data in kept(on_server).items() if key != KEY}
    on_server.hibernate()
    names = [key for key in kept(on_server) if key != KEY]
    put_back(on_server, dict(zip(names, older.values(), strict=True)))
    refuses(on_server, boot, device, DamagedError, "is discarded")


def test_he_serves_the_image_of_another_machine(
    on_server: OnServer, boot: Boot, device: FakeSnapshot
) -> None:
    """Each takes what its own sender has signed; clones that share him have the guard alone."""
    seed = bytes(32)
    on_server.seals = sender(passphrase_slot(), seed=seed)
    on_server.hibernate()
    boot.machine_id = OTHER
    on_server.url += f"/{INSTALLATION}"
    refuses(on_server, boot, device, ForeignError, "is kept")
    trusted(seed)
    resumes(on_server, boot, device)
