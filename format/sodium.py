"""The cryptography of sealed images, all of it libsodium's: only who seals or opens one imports it.

By PyNaCl's extension module, since its Python functions copy what they are given. A call runs
outside Python's lock.
"""

from nacl._sodium import ffi, lib

from format.checksum import Buffer

KEY_SIZE = 32
"""Of every key here: AEGIS-256, ChaCha20-Poly1305, X25519, Ed25519's seed and public key."""
TAG_SIZE: int = lib.crypto_aead_aegis256_abytes()
WRAP_SIZE: int = lib.crypto_aead_chacha20poly1305_ietf_abytes()
"""Bytes by which a wrapped secret is longer."""
SIGNATURE_SIZE: int = lib.crypto_sign_bytes()
SALT_SIZE = 16

_NO_NONCE = bytes(lib.crypto_aead_chacha20poly1305_ietf_npubbytes())
"""Each key wraps one secret only."""

if lib.sodium_init() < 0:
    raise OSError("libsodium finds no random numbers")


def encrypt(key: Buffer, number: int, header: Buffer, room: memoryview) -> None:
    """Encrypt `room` in place by AEGIS-256, all but its last TAG_SIZE bytes, which get the tag.

    The nonce is the `number`; `header` is authenticated, too.
    """
    pointer = ffi.from_buffer("unsigned char[]", room, require_writable=True)
    size, nonce = len(room) - TAG_SIZE, number.to_bytes(32, "little")
    head, none = ffi.from_buffer(header), ffi.NULL
    by = ffi.from_buffer(key)
    lib.crypto_aead_aegis256_encrypt(
        pointer, none, pointer, size, head, len(header), none, nonce, by
    )


def decrypt(key: Buffer, number: int, header: Buffer, room: memoryview) -> bool:
    """Undo `encrypt`; return False, with nothing of it left in `room`, if it is not its work."""
    pointer = ffi.from_buffer("unsigned char[]", room, require_writable=True)
    nonce, by, none = number.to_bytes(32, "little"), ffi.from_buffer(key), ffi.NULL
    head = ffi.from_buffer(header)
    failed: int = lib.crypto_aead_aegis256_decrypt(
        pointer, none, none, pointer, len(room), head, len(header), nonce, by
    )
    return failed == 0


def wrap(key: Buffer, secret: Buffer) -> bytes:
    """Return the secret encrypted by ChaCha20-Poly1305 with a key that is used only this once."""
    wrapped = ffi.new("unsigned char[]", len(secret) + WRAP_SIZE)
    lib.crypto_aead_chacha20poly1305_ietf_encrypt(
        wrapped,
        ffi.NULL,
        ffi.from_buffer(secret),
        len(secret),
        *(ffi.NULL, 0, ffi.NULL),
        _NO_NONCE,
        ffi.from_buffer(key),
    )
    return bytes(ffi.buffer(wrapped))


def unwrap(key: Buffer, wrapped: Buffer) -> bytearray | None:
    """Return the secret that `wrap` encrypted with this key, None if it did not.

    There is no other copy of it in memory: see `forget`.
    """
    if len(wrapped) < WRAP_SIZE:
        return None
    secret = bytearray(len(wrapped) - WRAP_SIZE)
    failed = lib.crypto_aead_chacha20poly1305_ietf_decrypt(
        ffi.from_buffer("unsigned char[]", secret, require_writable=True),
        *(ffi.NULL, ffi.NULL),
        ffi.from_buffer(wrapped),
        len(wrapped),
        *(ffi.NULL, 0),
        _NO_NONCE,
        ffi.from_buffer(key),
    )
    return None if failed else secret


def public_of(private: Buffer) -> bytes:
    """Return the public key of a private one of X25519."""
    public = ffi.new("unsigned char[]", KEY_SIZE)
    lib.crypto_scalarmult_base(public, ffi.from_buffer(private))
    return bytes(ffi.buffer(public))


def shared(private: Buffer, public: Buffer) -> bytes | None:
    """Return the secret that X25519 makes of the keys of two, None for a public key that is bad."""
    secret = ffi.new("unsigned char[]", KEY_SIZE)
    failed = lib.crypto_scalarmult(secret, ffi.from_buffer(private), ffi.from_buffer(public))
    return None if failed else bytes(ffi.buffer(secret))


def signer_of(seed: Buffer) -> bytes:
    """Return the public key of Ed25519 whose private one is made of the seed."""
    return _pair(seed)[0]


def _pair(seed: Buffer) -> tuple[bytes, bytes]:
    public = ffi.new("unsigned char[]", KEY_SIZE)
    private = ffi.new("unsigned char[]", lib.crypto_sign_secretkeybytes())
    lib.crypto_sign_seed_keypair(public, private, ffi.from_buffer(seed))
    return bytes(ffi.buffer(public)), bytes(ffi.buffer(private))


def sign(seed: Buffer, data: Buffer) -> bytes:
    """Return the signature of Ed25519, of SIGNATURE_SIZE bytes."""
    _, private = _pair(seed)
    signed = ffi.new("unsigned char[]", SIGNATURE_SIZE + len(data))
    lib.crypto_sign(signed, ffi.NULL, ffi.from_buffer(data), len(data), private)
    return bytes(ffi.buffer(signed, SIGNATURE_SIZE))


def is_signed(public: Buffer, data: Buffer, signature: Buffer) -> bool:
    """Return whether the signature is of the data and the private key of `public`."""
    signed = bytes(signature) + bytes(data)
    opened, size = ffi.new("unsigned char[]", len(signed)), ffi.new("unsigned long long *")
    failed: int = lib.crypto_sign_open(opened, size, signed, len(signed), ffi.from_buffer(public))
    return failed == 0


def stretch(passphrase: Buffer, salt: Buffer, passes: int, memory: int) -> bytes | None:
    """Return a key made by Argon2id of the passphrase, one lane, with `memory` in bytes.

    None if there is not so much memory.
    """
    key = ffi.new("unsigned char[]", KEY_SIZE)
    failed = lib.crypto_pwhash(
        *(key, KEY_SIZE),
        ffi.from_buffer("char[]", passphrase),
        len(passphrase),
        ffi.from_buffer(salt),
        *(passes, memory, lib.crypto_pwhash_alg_argon2id13()),
    )
    return None if failed else bytes(ffi.buffer(key))


def lock(secret: bytearray) -> None:
    """Keep the secret in memory, and out of swap, if the limits allow it."""
    lib.sodium_mlock(ffi.from_buffer(secret), len(secret))


def forget(secret: bytes | bytearray) -> None:
    """Overwrite the secret, which nobody else may have: bytes, too."""
    lib.sodium_memzero(ffi.from_buffer(secret), len(secret))
