"""What is left of an image's key: nothing on the disk, in no core dump, in no swap."""

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from format.sealing import ImageKey
from linux import tasks
from resume import unsealing
from seal import identity, recipients
from seal.sender import Sender
from tests.tools import ROOT, Result
from tests.unit.booting import Boot
from tests.unit.conftest import Torpor
from tests.unit.fake_snapshot import FakeSnapshot, Restored
from tests.unit.marked import Made
from tests.unit.sealing import PASSPHRASE, Typist, passphrase_slot, sender, trusted
from tests.unit.test_sealed_boots import KNOWN, seal
from torpor import hibernation
from torpor.commands import enable
from torpor.enable.system import System

_DUMPABLE = """
import ctypes
from resume import unsealing
from state import sealing
sealing.PATH = __import__("sys").argv[1]
unsealing.unsealing_here(lambda _name: None, print, asks=False)
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


@pytest.fixture(name="made")
def _made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ImageKey, list[bytes]]]:
    """All keys that are made, each with what it is at first."""
    made: list[tuple[ImageKey, list[bytes]]] = []
    original = ImageKey.__init__

    def keep(key: ImageKey, secret: bytes, image_uuid: UUID) -> None:
        original(key, secret, image_uuid)
        made.append((key, [bytes(each) for each in key._all()]))

    monkeypatch.setattr(ImageKey, "__init__", keep)
    monkeypatch.setattr(unsealing, "Asking", lambda: Typist(PASSPHRASE))
    return made


def test_nothing_is_left_when_the_kernel_is_asked(
    hibernated: Path, boot: Boot, device: FakeSnapshot, made: list[tuple[ImageKey, list[bytes]]]
) -> None:
    trusted()
    seal(hibernated, Made(sender=sender(passphrase_slot())))
    made.clear()
    left: list[bytes] = []
    buffers: list[bytes] = []

    def look() -> None:
        disk = hibernated.read_bytes()
        ((key, secrets),) = made
        left.extend(one for one in [*secrets, *KNOWN] if one in disk)
        buffers.extend(bytes(each) for each in key._all())

    device.before["atomic_restore"] = look
    with pytest.raises(Restored):
        boot.resume(f"resume={hibernated}")
    assert not left
    assert buffers == [bytes(32)] * 3


def test_keys_are_in_no_swap() -> None:
    """Their pages are locked, says the kernel."""
    key = ImageKey(os.urandom(32), UUID(int=1))
    for each in key._all():
        at = ctypes.addressof(ctypes.c_char.from_buffer(each))
        assert "lo" in flags_of(at)


def flags_of(address: int) -> set[str]:
    """Return the VmFlags of the mapping at an address."""
    found: set[str] = set()
    inside = False
    for line in Path("/proc/self/smaps").read_text("ascii", "replace").splitlines():
        if bounds := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(bounds[1], 16) <= address < int(bounds[2], 16)
        elif inside and line.startswith("VmFlags:"):
            found = set(line.split()[1:])
    return found


def test_a_resumer_that_opens_images_dumps_no_core(tmp_path: Path) -> None:
    trusted()
    kept = tmp_path / "kept/sealing"
    words = [sys.executable, "-c", _DUMPABLE, str(kept)]
    said = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    assert said.stdout == "0\n"


def test_a_hibernation_that_seals_dumps_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """From before the seed of the sender is read."""
    trusted()
    steps: list[str] = []
    monkeypatch.setattr(tasks, "forbid_core_dump", lambda: steps.append("no core"))
    monkeypatch.setattr(Sender, "here", lambda: steps.append("seed"))
    assert hibernation._sender() is None
    assert steps == ["no core", "seed"]


def test_commands_that_make_keys_dump_no_core(
    torpor: Torpor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps: list[str] = []

    def generate(_path: str) -> str:
        steps.append("key")
        return "age1"

    monkeypatch.setattr(tasks, "forbid_core_dump", lambda: steps.append("no core"))
    monkeypatch.setattr(identity, "generate", generate)
    assert torpor("key", "generate", tmp_path / "key") == Result(0, "age1\n", "")
    assert steps == ["no core", "key"]
    assert enable._sealing(System(str(tmp_path)), ["passphrase"])
    assert steps[2:] == ["no core"], "before anybody types"


_OPENS = """
import sys
from uuid import UUID
from format.records import Superblock
from format.sealing import Seal
from seal.opening import Opening
from tests.unit.sealing import PASSPHRASE, Typist
seal = Seal(bytes(32), 0, 0, bytes.fromhex(sys.argv[1]))
superblock = type("", (), {"seal": seal, "image_uuid": UUID(int=1)})
key = Opening(Typist(PASSPHRASE), lambda _name: None, print).key(superblock)
for secret in key._all():
    print(bytes(255 - byte for byte in secret).hex(), flush=True)
key.forget()
print("forgotten", flush=True)
sys.stdin.read()
"""
"""Tells the key by what it is not: the key itself is nowhere but where it is used."""


def test_nothing_of_the_key_is_in_memory_any_more() -> None:
    secret = os.urandom(32)
    recipients_of = recipients.build([passphrase_slot().wrap(secret)])
    words = [sys.executable, "-c", _OPENS, recipients_of.hex()]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout
        said = [child.stdout.readline().strip() for _ in range(4)]
        memory = memory_of(child.pid)
        child.communicate("")
    keys = [bytes(255 - byte for byte in bytes.fromhex(one)) for one in said[:3]]
    assert said[3] == "forgotten"
    assert keys[0] == secret
    assert recipients_of.hex().encode() in memory, "of what it was told"
    assert not [number for number, key in enumerate(keys) if key in memory]


def memory_of(pid: int) -> bytes:
    """Return what a process may write to."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    bounds = [line.split()[0].split("-") for line in lines if line.split()[1].startswith("rw")]
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        return b"".join(
            os.pread(memory.fileno(), int(end, 16) - int(start, 16), int(start, 16))
            for start, end in bounds
        )
