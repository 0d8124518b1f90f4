"""What a TPM 2.0 keeps for us: secrets sealed to a measured boot or a PIN, and a counter.

Nothing but the counter stays in the TPM. What is sealed lies with its owner, under the storage
primary key, which the TPM makes anew from its seed each time and TPM2_Clear ends. Who listens on
the way to the TPM learns no secret: sessions are salted with that key, whose name is compared
before, and encrypt both ways.
"""

import hashlib
import hmac
import os
import re
from typing import NamedTuple

from errors import LockedError, NoCounterError, OtherTpmError, TpmRefusedError, WrongPinError
from seal.tpm_tools import (
    AUTH_FAIL,
    BAD_AUTH,
    DEVICES,
    HANDLE,
    NV_DEFINED,
    NV_UNINITIALIZED,
    Memory,
    Talk,
)

PCRS = (0, 2, 4, 7, 8, 9, 12)
"""What tells our boot from another one, by the SHA-256 values of these registers.

/dev/snapshot needs a kernel without lockdown, so Secure Boot keeps nobody out, and PCR 7 alone
tells nothing. 0: firmware. 2: option ROMs, so what is plugged in and brings firmware must be the
same. 4: what the firmware, shim and boot loaders started: MBR, GRUB, a kernel with EFI stub, a
unified kernel image with all that is in it. 7: Secure Boot and its keys. 8: GRUB's commands, with
the kernel's command line. 9: the files that GRUB read, kernel and initramfs among them; initramfs
and command line by the EFI stub. 12: command line, credentials and add-ons by systemd's boot
loader and stub.

Left out is what differs between two boots nobody tampered with: 1, 3, 5 (settings, boot order,
partitions), 6 (what woke the machine), 10 (IMA), 11 (systemd extends it as the boot goes on; what
its stub measures there is in 4 as well), 14 (MOK, without Secure Boot no key) and 15 (systemd).
8 and 9 also differ after another choice in GRUB's menu, or where grubenv changes from boot to boot.
"""

LOADER, INITRAMFS, GRUB = 4, 9, 8
"""What the firmware measures of the boot loader, what tells initramfs and GRUB's files from others,
and what only GRUB extends."""
LAST_PCR = 13
"""Zero until `shut` extends it. Besides it only systemd's stub does, for system extensions."""
_EVENT = hashlib.sha256(b"torpor: the time to resume is over").digest()
_ZERO = bytes(32)
_SHUT = hashlib.sha256(_ZERO + _EVENT).digest()

_PRIMARY = (
    *("-C", "o", "-g", "sha256", "-G", "ecc256:aes128cfb"),
    *("-a", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt|noda"),
)
"""TCG's template of a storage key. Without noda, wrong PINs would lock what has no PIN as well."""
_SHA256_NAME = b"\0\x0b"
_FIRST_COUNTER = 0x01850000
"""The first of 65536, in what the TCG leaves to a machine's owner."""
_COUNTER_ATTRIBUTES = "nt=counter|ownerread|ownerwrite|no_da"
_TYPE_SHIFT, _TYPE_MASK, _COUNTER = 4, 0xF, 1
"""TPMA_NV. The words that the tools print beside it are no use: they call every type 0x1."""
_COUNTER_SIZE = 8
_TRIES = 8
_SECONDS = 30.0


class Sealed(NamedTuple):
    """A secret that only one TPM gives back; nothing in it is secret."""

    parent: bytes
    """Name of the TPM's storage primary key."""
    public: bytes
    private: bytes


class Tpm:
    """A TPM, by the `tpm2` program; each operation ends within `seconds`.

    One that took longer is asked for nothing any more: a boot would wait for it again and again.
    `tcti` is how tpm2-tools name the way to it, /dev/tpmrm0 or /dev/tpm0 unless given. Every
    method that raises, raises LockedError, and none tells a secret.
    """

    def __init__(self, tcti: str | None = None, seconds: float = _SECONDS) -> None:
        self._tcti, self._seconds = tcti, seconds
        self._last: Talk | None = None

    def is_there(self) -> bool:
        """Return whether there is a way to a TPM, of whatever version."""
        return self._tcti is not None or any(map(os.path.exists, DEVICES))

    def seal(self, secret: bytes, pcrs: tuple[int, ...] = PCRS) -> Sealed:
        """Seal up to 128 bytes to what this boot has measured, and to a boot that is not `shut`.

        Raises LockedError as well if PCR 13 would keep it from ever being unsealed.
        """
        with self._talk() as talk:
            values = _values(talk, (*pcrs, LAST_PCR))
            if values[LAST_PCR] not in {_ZERO, _SHUT}:
                raise LockedError(f"something else than Torpor is measured into PCR {LAST_PCR}")
            policy = talk.memory()
            wanted = talk.memory(b"".join((values | {LAST_PCR: _ZERO}).values()))
            trial = talk.session()
            talk.run("policypcr", "-Q", "-S", trial, "-l", _list(pcrs), "-f", wanted, "-L", policy)
            return _create(talk, secret, "fixedtpm|fixedparent|noda", "-L", policy)

    def seal_with_pin(self, secret: bytes, pin: bytes, salt: bytes) -> Sealed:
        """Seal up to 128 bytes to a PIN of any length; the TPM locks after too many wrong ones.

        Without the salt no PIN opens it, nor can one be tried.
        """
        with self._talk() as talk:
            password = f"file:{talk.memory(_password(pin, salt))}"
            return _create(talk, secret, "fixedtpm|fixedparent|userwithauth", "-p", password)

    def unseal(self, sealed: Sealed, pcrs: tuple[int, ...] = PCRS) -> bytes:
        """Return the secret, if this boot has measured the same and is not `shut`."""
        with self._talk() as talk:
            parent = _parent_of(talk, sealed)
            session = talk.session("--policy-session", "-c", parent)
            talk.run("policypcr", "-Q", "-S", session, "-l", _list(pcrs))
            return _unseal(talk, parent, sealed, "-p", f"session:{session}")

    def unseal_with_pin(self, sealed: Sealed, pin: bytes, salt: bytes) -> bytes:
        """Return the secret. Raises WrongPinError: asking again is no use after other errors.

        Before 5.5 tpm2-tools cannot take a password from a file for a salted session: who listens
        then learns no PIN, but who has the `salt` as well can try PINs on what was heard.
        """
        with self._talk() as talk:
            parent = _parent_of(talk, sealed)
            session = talk.session("--hmac-session", "-c", parent)
            password = f"file:{talk.memory(_password(pin, salt))}"
            words = ["-p", password, "-S", str(session)]
            if talk.takes_files_with_sessions():
                words = ["-p", f"session:{session}+{password}"]
            try:
                return _unseal(talk, parent, sealed, *words)
            except TpmRefusedError as error:
                if error.code not in {AUTH_FAIL, BAD_AUTH}:
                    raise
                raise WrongPinError("the PIN is wrong") from None

    def unmeasured(self, pcrs: tuple[int, ...] = PCRS) -> list[int]:
        """Return those of the registers into which nothing was measured."""
        with self._talk() as talk:
            values = _values(talk, pcrs)
        return [pcr for pcr, value in values.items() if value in {_ZERO, b"\xff" * len(_ZERO)}]

    def shut(self) -> None:
        """End the time to resume: until the next boot nothing that is sealed to a boot opens.

        Else it would open for whoever comes to a shell of an initramfs that nobody changed.
        """
        with self._talk() as talk:
            talk.run("pcrextend", f"{LAST_PCR}:sha256={_EVENT.hex()}")

    def new_counter(self) -> int:
        """Define a counter that never goes back, not even if removed; return its NV index."""
        with self._talk() as talk:
            index = _define(talk)
            talk.run("nvincrement", "-Q", "-C", "o", hex(index))
        return index

    def read_counter(self, index: int) -> int:
        """Return the value of a counter. Raises NoCounterError if the index is none."""
        with self._talk() as talk:
            _check_counter(talk, index)
            return _count(talk, index)

    def increment(self, index: int) -> int:
        """Add one to a counter; return the new value. Raises as read_counter."""
        with self._talk() as talk:
            _check_counter(talk, index)
            talk.run("nvincrement", "-Q", "-C", "o", hex(index))
            return _count(talk, index)

    def remove_counter(self, index: int) -> None:
        """Remove a counter, and nothing that is none."""
        with self._talk() as talk:
            _check_counter(talk, index)
            talk.run("nvundefine", "-Q", "-C", "o", hex(index))

    def _talk(self) -> Talk:
        if self._last and self._last.took_too_long:
            raise self._last.is_slow()
        tcti = self._tcti
        if tcti is None:
            device = next(filter(os.path.exists, DEVICES), None)
            if device is None:
                raise LockedError("there is no TPM")
            tcti = f"device:{device}"
        self._last = Talk(tcti, self._seconds)
        return self._last


def _primary(talk: Talk) -> tuple[Memory, bytes]:
    """Make the storage primary key; return its context and its name.

    The name is that of the public key to which sessions encrypt their salt, whoever gave it.
    """
    context, public = talk.memory(), talk.memory()
    talk.run("createprimary", "-Q", *_PRIMARY, "-c", context, "-f", "tss", "-o", public)
    return context, _SHA256_NAME + hashlib.sha256(public.contents()[2:]).digest()


def _parent_of(talk: Talk, sealed: Sealed) -> Memory:
    context, name = _primary(talk)
    if name != sealed.parent:
        raise OtherTpmError("the TPM was cleared, or is another one")
    return context


def _create(talk: Talk, secret: bytes, attributes: str, *words: object) -> Sealed:
    parent, name = _primary(talk)
    session = talk.session("--hmac-session", "-c", parent)
    public, private = talk.memory(), talk.memory()
    how = ("-Q", "-C", parent, "-P", f"session:{session}", "-a", attributes, *words)
    talk.run("create", *how, "-i", talk.memory(secret), "-u", public, "-r", private)
    return Sealed(name, public.contents(), private.contents())


def _unseal(talk: Talk, parent: Memory, sealed: Sealed, *words: str) -> bytes:
    context, secret = talk.memory(), talk.memory()
    files = ("-u", talk.memory(sealed.public), "-r", talk.memory(sealed.private))
    talk.run("load", "-Q", "-C", parent, *files, "-c", context)
    talk.run("unseal", "-Q", "-c", context, *words, "-o", secret)
    return secret.contents()


def _password(pin: bytes, salt: bytes) -> bytes:
    """Return what the tools take as it is: no prefix of theirs, no zero, and not too long."""
    return hmac.digest(salt, pin, hashlib.sha256).hex()[:32].encode()


def _list(pcrs: tuple[int, ...]) -> str:
    return f"sha256:{','.join(map(str, sorted({*pcrs, LAST_PCR})))}"


def _values(talk: Talk, pcrs: tuple[int, ...]) -> dict[int, bytes]:
    """Return the SHA-256 values of the registers, in their order."""
    output = talk.run("pcrread", f"sha256:{','.join(map(str, sorted({*pcrs})))}")
    found = re.findall(r"^ *(\d+) *: *0x([0-9A-Fa-f]{64})$", output, re.MULTILINE)
    values = {int(pcr): bytes.fromhex(value) for pcr, value in found}
    if values.keys() != {*pcrs}:
        raise LockedError("the TPM has no SHA-256 values of what was measured")
    return values


def _define(talk: Talk) -> int:
    for _ in range(_TRIES):
        index = _FIRST_COUNTER + int.from_bytes(os.urandom(2))
        words = ("-Q", "-C", "o", "-s", _COUNTER_SIZE, "-a", _COUNTER_ATTRIBUTES)
        try:
            talk.run("nvdefine", *words, hex(index))
        except TpmRefusedError as error:
            if error.code != NV_DEFINED:
                raise
        else:
            return index
    raise LockedError("the TPM has no free index for a counter")


def _check_counter(talk: Talk, index: int) -> None:
    try:
        output = talk.run("nvreadpublic", hex(index))
    except TpmRefusedError as error:
        if error.code == HANDLE:
            raise NoCounterError(
                f"the TPM has no counter 0x{index:08x}: it was cleared, is another one, or "
                "somebody removed the counter"
            ) from None
        raise
    found = re.search(r"attributes:\s+friendly:.*\s+value: 0x([0-9A-Fa-f]+)", output)
    if not found or int(found[1], 16) >> _TYPE_SHIFT & _TYPE_MASK != _COUNTER:
        raise NoCounterError(f"0x{index:08x} of the TPM is no counter")


def _count(talk: Talk, index: int) -> int:
    value = talk.memory()
    try:
        talk.run("nvread", "-C", "o", "-s", _COUNTER_SIZE, "-o", value, hex(index))
    except TpmRefusedError as error:
        if error.code == NV_UNINITIALIZED:
            raise LockedError(f"counter 0x{index:08x} of the TPM was never used") from None
        raise
    return int.from_bytes(value.contents())
