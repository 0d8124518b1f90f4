"""A machine that seals its images, and the keys that a boot has for them.

A TPM's counter is one more disk: it keeps each number as soon as it has counted.
"""

import os
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from errors import DamagedError, LockedError, SealedError
from format import sodium
from format.mark import Mark, MarkState
from format.records import Superblock
from format.sealing import Sealing
from hibernate.plan import Plan
from resume import unsealing
from seal import opening
from seal.sender import Sender
from seal.slots import KeyFileSlot, Keys, PassphraseSlot, Slot, TpmSlot
from seal.tpm import Sealed, Tpm
from tests.forge import PAGE
from tests.unit.booting import Boot
from tests.unit.crash.machine import COLD, Machine
from tests.unit.crash.stores import PAGES, Kind
from tests.unit.crash.trace import Disks, Expect, Flush
from tests.unit.sealing import PASSPHRASE, SEED, Typist, trusted

_COUNTER = 0x01850000
_SIZE = 8
_PRIVATE = bytes(reversed(range(32)))
_KEY_DEVICE, _KEY_PAGE = "UUID=root", 7


class CountingTpm(Tpm):
    """Keeps what is sealed as it is, and counts on a disk; a boot goes cold from then on."""

    def __init__(self, machine: "SealedMachine") -> None:
        super().__init__()
        self._machine = machine

    def seal(self, secret: bytes, _pcrs: tuple[int, ...] = ()) -> Sealed:
        return Sealed(b"", b"", secret)

    def unseal(self, sealed: Sealed, _pcrs: tuple[int, ...] = ()) -> bytes:
        return sealed.private

    def read_counter(self, _index: int) -> int:
        return self._machine.count()

    def increment(self, _index: int) -> int:
        number = self._machine.count() + 1
        self._machine.keep_count(number)
        return number


class WatchedSender(Sender):
    """Keeps what it wraps the key of an image in."""

    wrapped: dict[UUID, bytes]

    def sealing(self, image_uuid: UUID) -> Sealing:
        sealing = super().sealing(image_uuid)
        self.wrapped[image_uuid] = sealing.seal.recipients[-sodium.KEY_SIZE :]
        return sealing


class SealedMachine(Machine):
    """Seals for this slot; what is random is the same each time."""

    sound = SealedError.exit_code

    def __init__(
        self, slot: Slot, kind: Kind, folder: Path, boot: Boot, patch: pytest.MonkeyPatch
    ) -> None:
        self._slot = slot
        self.memory = (bytes(_SIZE),) if isinstance(slot, TpmSlot) else ()
        super().__init__(kind, folder, boot, patch)
        self._tpm = CountingTpm(self)
        self._chance = Random()
        self._wrapped: dict[UUID, bytes] = {}
        key_disk = folder / "key"
        page = b"TORPKEYF" + _PRIVATE
        key_disk.write_bytes(bytes(_KEY_PAGE * PAGE) + page.ljust(PAGE, b"\0"))
        boot.names[_KEY_DEVICE] = str(key_disk)
        trusted()
        patch.setattr(opening, "Tpm", lambda: self._tpm)
        patch.setattr(unsealing, "Asking", lambda: Typist(PASSPHRASE))
        patch.setattr(os, "urandom", self._random)
        patch.setattr(KeyFileSlot, "ready", lambda slot, _tpm: slot)

    def _random(self, size: int) -> bytes:
        return self._chance.randbytes(size)

    def count(self) -> int:
        """Return the number that the TPM has."""
        return int.from_bytes(os.pread(self._fds[-1], _SIZE, 0))

    def keep_count(self, number: int) -> None:
        """Have the TPM keep another number: a boot restores no image then that was there."""
        self.expect(COLD, *self.expected)
        try:
            os.pwritev(self._fds[-1], [memoryview(number.to_bytes(_SIZE))], 0)
            os.fsync(self._fds[-1])
        except OSError as error:
            self.recorder.note(Flush(len(self.paths) - 1))  # what it has counted, it keeps
            raise LockedError("the TPM does not answer") from error
        self.expect(COLD)

    def ready(self, plan: Plan) -> Plan:
        """See Machine: the TPM counts the image before anything is frozen."""
        self._chance = Random(plan.image_uuid.int)
        keys = Keys({"it": self._slot}, _COUNTER if self.memory else 0)
        sender = WatchedSender(SEED, keys, self._tpm)
        sender.wrapped = self._wrapped
        return plan._replace(sender=sender)

    def is_spent(self, disks: Disks, mark: Mark) -> bool:
        """See Machine: also one whose key is overwritten, or that the TPM has gone on from."""
        if super().is_spent(disks, mark) or self.is_torn(disks[0], mark):
            return True
        seal = self._superblock(disks[0], mark).seal
        assert seal
        has_gone_on = seal.counter + mark.attempts != int.from_bytes(disks[-1])
        return not seal.recipients or (bool(self.memory) and has_gone_on)

    @staticmethod
    def _superblock(disk: bytes, mark: Mark) -> Superblock:
        return Superblock.parse(disk[mark.header_page * PAGE : (mark.header_page + 1) * PAGE])

    def is_torn(self, disk: bytes, mark: Mark) -> bool:
        """See Machine."""
        try:
            self._superblock(disk, mark)
        except DamagedError:
            return True
        return False

    def check_claimed(self) -> None:
        """See Machine: nobody could have the key, whatever becomes of the power."""
        events = [one for one in self.recorder.events() if not isinstance(one, Expect)]
        assert isinstance(events[-1], Flush), "asked before all was flushed"
        disk = os.pread(self._fds[0], PAGES * PAGE, 0)
        mark = self.mark_if_visible(disk)
        assert mark
        self.check_wiped(disk, mark)

    def check_counted(self, disks: Disks, mark: Mark) -> None:
        """See Machine: else a copy of the disk from before the claim could be restored."""
        if self.memory and mark.state == MarkState.CLAIMED and not self.is_torn(disks[0], mark):
            seal = self._superblock(disks[0], mark).seal
            assert seal
            assert seal.counter + mark.attempts <= int.from_bytes(disks[-1]), "not counted"

    def check_wiped(self, disk: bytes, mark: Mark) -> None:
        """See Machine."""
        assert self._wrapped[mark.image_uuid] not in disk, "the key can be had"


def _passphrase_slot() -> PassphraseSlot:
    """Return one whose key is made at once."""
    salt, kibibytes = bytes(sodium.SALT_SIZE), 8
    key = sodium.stretch(PASSPHRASE, salt, 1, kibibytes << 10)
    assert key
    public = sodium.public_of(_PRIVATE)
    return PassphraseSlot(public, salt, 1, kibibytes, sodium.wrap(key, _PRIVATE))


SLOTS: dict[str, Slot] = {
    "key file": KeyFileSlot(sodium.public_of(_PRIVATE), "/key", _KEY_DEVICE, _KEY_PAGE),
    "passphrase": _passphrase_slot(),
    "tpm2": TpmSlot(b""),
}
