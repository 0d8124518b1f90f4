"""Who we are to a server, and whom we take for it: a text of lines, and certificates below them.

    access_key=…
    secret_key=…
    session_token=…
    region=us-east-1
    -----BEGIN CERTIFICATE-----

The last three may be missing. A line that begins with # says nothing.
"""

import re
from typing import NamedTuple, Self

from errors import ConfigurationError

_BEGIN = "-----BEGIN CERTIFICATE-----"
_VALUES = {
    "access_key": r"[!-+.0-~-]+",  # neither "," nor "/", which mean something where it is sent
    "secret_key": r"[!-~]+",
    "session_token": r"[!-~]*",
    "region": r"[A-Za-z0-9_-]+",
}
"""Names, and what may be their values: printable ASCII, since they become headers."""
_HINT = (
    "it has a line access_key=… and a line secret_key=…, and may have session_token=… or region=…"
)


class Credentials(NamedTuple):
    """A key that requests are signed with, and the certificates of who signed the server's."""

    access_key: str
    secret_key: str
    session_token: str = ""
    region: str = "us-east-1"
    ca: str = ""
    """In PEM; "" for those that the system trusts."""

    def __repr__(self) -> str:
        return f"Credentials(access_key={self.access_key!r}, region={self.region!r})"

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Return what a file says. Raises ConfigurationError with `name`, and with no value."""
        lines, begin, certificates = text.partition(_BEGIN)
        values = {"ca": f"{begin}{certificates}"}
        for number, line in enumerate(lines.splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            key, _, value = map(str.strip, line.partition("="))
            if key not in _VALUES or key in values or not re.fullmatch(_VALUES[key], value):
                raise ConfigurationError(f"{name}: line {number} is not understood", _HINT)
            values[key] = value
        if not certificates.isascii():
            raise ConfigurationError(f"{name}: a certificate is no PEM", _HINT)
        if missing := {"access_key", "secret_key"} - {*values}:
            raise ConfigurationError(f"{name} has no {min(missing)}", _HINT)
        return cls(**values)

    def build(self) -> str:
        """Return the text for a file that its owner alone may read."""
        token = f"session_token={self.session_token}\n" if self.session_token else ""
        keys = f"access_key={self.access_key}\nsecret_key={self.secret_key}\n"
        return f"{keys}{token}region={self.region}\n{self.ca}"

    def struck_out(self, text: bytes) -> bytes:
        """Return what a server says without the one secret that it is sent, which it may repeat."""
        token = self.session_token.encode()
        return text.replace(token, b"...") if token else text
