"""Makes the test vectors: `python -m tests.vectors.build` writes them and expected.json anew.

Each one is sound or breaks one rule of docs/FORMAT.md, the one it names. `torpor verify` ends with
`exit_code` and a message that holds `message`; what a sound one holds has the SHA-256 `stream`.
One with `keyless` is about sealed images: all that is so with `--identity identity.txt`, and
without it the exit code is `keyless`.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.vectors import devices, images, sealed, sealed_devices, sealed_parts

FOLDER = Path(__file__).parent
EXPECTED = FOLDER / "expected.json"
UNSUPPORTED = ("R3", "R4", "R5", "R16", "R24", "R28", "R30", "R42", "R44")
EXIT_CODES = {"R1": 3, "R26": 3} | dict.fromkeys(UNSUPPORTED, 5)
EXIT_CODES |= {sealed.LOCKED: 23, sealed.FOREIGN: 24}
"""Of each rule: that of images which are damaged, 4, but for these."""
IDENTITY = FOLDER / "identity.txt"


@dataclass(frozen=True, slots=True)
class Vector:
    """One file, and what a reader has to make of it."""

    name: str
    rule: str
    """R1, R2 and so on, or that it is not for the identity; empty for a sound one."""
    exit_code: int
    message: str
    data: bytes
    stream: str
    keyless: int | None = None
    """Exit code without the identity, of one that is about sealed images."""

    def expectation(self) -> dict[str, str | int]:
        facts = asdict(self) | {"sha256": hashlib.sha256(self.data).hexdigest()}
        names = ("rule", "exit_code", "message", "sha256", "stream", "keyless")
        return {name: facts[name] for name in names if facts[name] is not None}


def all_vectors() -> Iterator[Vector]:
    """Yield every vector, the same bytes each time."""
    for name, (data, stream) in (images.sound() | devices.sound()).items():
        yield Vector(name, "", 0, "sound", data, _digest(stream))
    broken = images.broken() | devices.broken()
    for name, (rule, message, data) in broken.items():
        yield Vector(name, rule, EXIT_CODES.get(rule, 4), message, data, "")
    yield from _sealed()


def _sealed() -> Iterator[Vector]:
    for name, (data, stream) in (sealed.sound() | sealed_devices.sound()).items():
        yield Vector(name, "", 0, "sound", data, _digest(stream), sealed.OPEN)
    broken = sealed.broken() | sealed_parts.broken() | sealed_devices.broken()
    for name, (rule, message, keyless, data) in broken.items():
        yield Vector(name, rule, EXIT_CODES.get(rule, 4), message, data, "", keyless)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def expected_json() -> str:
    table = {vector.name: vector.expectation() for vector in all_vectors()}
    return json.dumps(table, indent=1) + "\n"


def main() -> None:
    """Write the files, remove those that are no vectors any more."""
    for old in FOLDER.glob("*.img"):
        old.unlink()
    for vector in all_vectors():
        (FOLDER / f"{vector.name}.img").write_bytes(vector.data)
    EXPECTED.write_text(expected_json())


if __name__ == "__main__":
    main()
