"""Certificates of TLS for servers on this machine, by an authority made for them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = ("localhost", "127.0.0.1", "10.0.2.2")
"""How this machine is called: by itself, and by its guests."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Two files that a server shows and keeps, and the text by which a client knows who signed."""

    certificate: Path
    key: Path
    authority: str
    """PEM."""


class Authority:
    """Signs certificates. Nobody knows it unless told: each one is another."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("Authority of the tests")
        builder = _builder(self._name, self._name, self._key, -365, 365)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        usage = _usage(is_authority=True)
        signed = builder.add_extension(usage, True).sign(self._key, hashes.SHA256())
        self.pem = signed.public_bytes(serialization.Encoding.PEM).decode()

    def sign(self, folder: Path, *names: str, begins: float = -1, ends: float = 30) -> Certificate:
        """Make a key and a certificate in a folder, for HERE unless names are given.

        It holds between two points of time, in days from now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named("server"), self._name, key, begins, ends)
        builder = builder.add_extension(_alternatives(names or HERE), False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_usage(is_authority=False), True)
        signed = builder.sign(self._key, hashes.SHA256())
        folder.mkdir(parents=True, exist_ok=True)
        made = Certificate(folder / "certificate.pem", folder / "key.pem", self.pem)
        made.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        made.key.touch(0o600)
        made.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return made


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begins: float,
    ends: float,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now + timedelta(days=begins))
    return builder.not_valid_after(now + timedelta(days=ends))


def _alternatives(names: tuple[str, ...]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [
            x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
            for name in names
        ]
    )


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
