"""Where a store on a server is: s3+https://HOST[:PORT]/BUCKET[/PREFIX], or s3+http:// in the clear.

Names are written as they are, nothing is percent-encoded: such a URL stands on kernel command lines
and in files of shell words.
"""

import re
from typing import NamedTuple, Self

from errors import ConfigurationError
from s3.scheme import PLAIN, SECURE

_PORTS = {True: 443, False: 80}
_LONGEST = 512
"""Characters. A key may have 1,024, and below the prefix there is more."""
_SYNTAX = re.compile(
    r"s3\+http(?P<secure>s?)://(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:(?P<port>[0-9]{1,5}))?"
    r"/(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{1,62})(?P<prefix>(/[A-Za-z0-9._~-]+)*)/?",
    re.ASCII,
)
_HINT = (
    f"write {SECURE}HOST[:PORT]/BUCKET[/PREFIX], of ASCII letters, digits, dots and hyphens; "
    f"{PLAIN} sends in the clear what is not sealed"
)


class ServerUrl(NamedTuple):
    """A bucket on a server, and what the keys of all objects there begin with."""

    is_secure: bool
    """Whether TLS is spoken."""
    host: str
    """A name or an address, an IPv6 one without brackets."""
    port: int
    bucket: str
    prefix: str
    """Without a slash at either end, or ""."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what the URL says. Raises ConfigurationError, which repeats nothing secret."""
        if "@" in text or "?" in text:  # a password or a signature: the message has none of it
            raise ConfigurationError("a server's URL has neither credentials nor a query", _HINT)
        found = _SYNTAX.fullmatch(text)
        prefix = found["prefix"].strip("/") if found else ""
        if found is None or len(text) > _LONGEST or {".", ".."} & {*prefix.split("/")}:
            raise ConfigurationError(f"'{text}' is no URL of a store on a server", _HINT)
        is_secure = bool(found["secure"])
        port = int(found["port"] or _PORTS[is_secure])
        if not 0 < port < 1 << 16:
            raise ConfigurationError(f"there is no port {port}: '{text}'", _HINT)
        return cls(is_secure, found["host"].strip("[]"), port, found["bucket"], prefix)

    def __str__(self) -> str:
        """Return the URL, without a port that is usual and a slash at its end."""
        scheme = SECURE if self.is_secure else PLAIN
        prefix = f"/{self.prefix}" if self.prefix else ""
        return f"{scheme}{self.authority}/{self.bucket}{prefix}"

    @property
    def authority(self) -> str:
        """Host and port as HTTP has them in `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.is_secure] else f"{host}:{self.port}"

    def path(self, key: str) -> str:
        """Return what a request for an object names, before anything is encoded."""
        return f"/{self.bucket}/{self.whole_key(key)}"

    def whole_key(self, key: str) -> str:
        """Return an object's key in the bucket: keys are given without the prefix."""
        return f"{self.prefix}/{key}" if self.prefix else key
