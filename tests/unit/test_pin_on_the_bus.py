"""What who listens on the way to the TPM can do with an answer to a PIN, at home.

Before 5.5 tpm2-tools answer in a session without a salt: its HMAC has no key but the password.
"""

import hashlib
import hmac
import struct
from itertools import product

from seal.tpm import Sealed, Tpm
from seal.tpm_tools import Talk
from tests.unit.soft_tpm import Listener, SoftTpm

SECRET, PIN = b"a secret of thirty-two bytes....", b"2468"
SALT = bytes(range(32))
UNSEAL, WITH_SESSIONS = 0x15E, 0x8002
STARTED = struct.pack(">HII", 0x8001, 48, 0)
"""How the TPM's answer to TPM2_StartAuthSession begins, with a nonce of 32 bytes."""


class Heard:
    """The last TPM2_Unseal that was heard, and the nonces of the TPM (TPM 2.0 Library, part 1)."""

    def __init__(self, heard: bytes, sealed: Sealed) -> None:
        at = heard.rindex(struct.pack(">I", UNSEAL)) - 6
        tag, size = struct.unpack_from(">HI", heard, at)
        assert tag == WITH_SESSIONS
        rest = heard[at + 18 : at + size]
        self.nonce, self.attributes, self.hmac = _first_session(rest)
        name = b"\0\x0b" + hashlib.sha256(sealed.public[2:]).digest()
        self._of_command = hashlib.sha256(struct.pack(">I", UNSEAL) + name).digest()
        starts = [at for at in range(len(heard)) if heard.startswith(STARTED, at)]
        self._nonces = [heard[at + 16 : at + 48] for at in starts]

    def is_answered_by(self, password: bytes) -> bool:
        """Return whether the session knew no more than this password."""
        for own, other in product(self._nonces, [*self._nonces, b""]):
            data = self._of_command + self.nonce + own + other + self.attributes
            if hmac.digest(password, data, hashlib.sha256) == self.hmac:
                return True
        return False


def _first_session(area: bytes) -> tuple[bytes, bytes, bytes]:
    """Return nonce, attributes and HMAC of the first session in an area of a command."""
    size = int.from_bytes(area[4:6])
    nonce, rest = area[6 : 6 + size], area[6 + size :]
    return nonce, rest[:1], rest[3 : 3 + int.from_bytes(rest[1:3])]


def password(pin: bytes, salt: bytes) -> bytes:
    return hmac.digest(salt, pin, hashlib.sha256).hex()[:32].encode()


def test_who_listens_tries_pins_only_with_the_salt(soft: SoftTpm, bus: Listener) -> None:
    """Which is in no image that is closed: test_sealed_by_tpm."""
    tpm = Tpm(bus.tcti)
    sealed = tpm.seal_with_pin(SECRET, PIN, SALT)
    assert tpm.unseal_with_pin(sealed, PIN, SALT) == SECRET
    heard = Heard(bus.heard, sealed)
    with Talk(soft.tcti, 5) as talk:
        is_salted = talk.takes_files_with_sessions()
    assert heard.is_answered_by(password(PIN, SALT)) is not is_salted
    assert not heard.is_answered_by(password(b"2469", SALT))
    for known in (b"", bytes(32), sealed.public, sealed.private, sealed.parent):
        assert not heard.is_answered_by(password(PIN, known))
    assert SALT not in bus.heard
