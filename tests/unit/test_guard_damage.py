"""What is corrupt is not this file system, or has some fingerprint: no error, and an end."""

import random
import time
from pathlib import Path

import pytest

from format.tables import Method
from guard import clusters
from guard.kinds import KINDS, OF_TYPE
from tests.unit.fake_volumes import Memory, make_image, xfs_image

ROUNDS = 300
MOST_READ = 8 << 20
VALUES = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)
WHERE = {
    "ext4": [(1024, 1024)],
    "btrfs": [(64 << 10, 4096)],
    "vfat": [(0, 512), (512 * 32, 4096)],
    "exfat": [(64, 64), (0, 512)],
}
"""Ranges of each, offset and size, whose bytes are changed."""


def survives(method: Method, data: bytearray) -> bool:
    """Read a damaged one; return whether it is still taken for a file system."""
    device = Memory(data)
    begun = time.process_time()
    identity = KINDS[method].identify(device.read)
    assert identity is None or len(identity) == 16
    assert len(KINDS[method].fingerprint(device.read, len(data))) == 32
    assert device.bytes_read < MOST_READ
    assert time.process_time() - begun < 5
    return identity is not None


def damage(data: bytearray, rng: random.Random, where: list[tuple[int, int]]) -> None:
    start, size = rng.choice(where)
    at = start + rng.randrange(size)
    for nth in range(rng.choice((1, 1, 2, 4, 8))):
        data[at + nth] = rng.choice(VALUES) if rng.random() < 0.7 else rng.randrange(256)


@pytest.mark.parametrize("fs_type", WHERE)
def test_damage(fs_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "MAX_DIRECTORIES", 1 << 20)
    monkeypatch.setattr(clusters, "MAX_TABLE", 1 << 20)
    sound, _ = make_image(tmp_path, fs_type)
    sound = sound[: 2 << 20]
    rng = random.Random(fs_type)
    survived = 0
    for _ in range(ROUNDS):
        data = bytearray(sound)
        for _ in range(rng.choice((1, 2, 5))):
            damage(data, rng, WHERE[fs_type])
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)) :]
        survived += survives(OF_TYPE[fs_type], data)
    assert ROUNDS / 20 < survived < ROUNDS, "the damage is too great, or none"


def test_damaged_xfs() -> None:
    """The numbers of its geometry, and the cycles of its log."""
    rng = random.Random("xfs")
    survived = 0
    for _ in range(ROUNDS):
        data = xfs_image(rng.randrange(1025), rng.randrange(1, 1 << 32))
        for _ in range(rng.choice((1, 2, 5))):
            damage(data, rng, [(0, 8), (48, 8), (84, 4), (96, 4), (124, 1), ((1016 * 4096), 4096)])
        survived += survives(Method.XFS, data)
    assert ROUNDS / 20 < survived < ROUNDS


@pytest.mark.parametrize("fs_type", WHERE)
def test_a_device_that_ends(fs_type: str, tmp_path: Path) -> None:
    sound, _ = make_image(tmp_path, fs_type)
    for size in (0, 1, 511, 512, 513, 1500, 4096, 66_000, 70_000, 1 << 20):
        survives(OF_TYPE[fs_type], bytearray(sound[:size]))
