"""The lines of crypttab(5): how encrypted devices are opened."""

from dataclasses import dataclass

PATH = "/etc/crypttab"
RANDOM_KEYS = ("/dev/urandom", "/dev/random", "/dev/hwrng")


@dataclass(frozen=True, slots=True)
class Line:
    """How one device is opened."""

    key: str
    """The key file, "none" for a passphrase."""
    options: str


def parse(text: str) -> dict[str, Line]:
    """Return the lines by the names under which they open devices."""
    lines = (line.split() for line in text.splitlines() if not line.lstrip().startswith("#"))
    padded = ([*words, "none", ""] for words in lines if len(words) > 1)
    return {words[0]: Line(words[2], words[3]) for words in padded}
