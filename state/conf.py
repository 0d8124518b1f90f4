"""/etc/torpor.conf: the defaults of `torpor hibernate`; torpor.conf(5)."""

import re
from typing import NamedTuple, Self

from errors import ConfigurationError
from format import codec
from state.files import read_text

PATH = "/etc/torpor.conf"

_HINT = "correct the line: torpor.conf(5)"

MODES = ("platform", "shutdown", "reboot")

ON, NO_PATHS, OFF = WORKING_SETS = ("on", "no-paths", "off")
"""What is done for the working set."""

_MAX = 1 << 62
"""Bytes that no memory has: as much as the kernel allows."""

_QUOTED = r"(?P<quote>['\"])(?P<value>(?:(?!(?P=quote)).)*)(?P=quote)(\s+#.*)?"
_COMMENT = r"(?:^|\s+)#"


class Conf(NamedTuple):
    """What the file says; None where it says nothing."""

    store: str | None = None
    """As for --store."""
    image_size: int | None = None
    """Bytes, as parse_image_size gives them."""
    mode: str | None = None
    """One of MODES."""
    helpers: tuple[str, ...] = ()
    """Names of processes that file systems need to be synced; none where it says nothing."""
    codec: str | None = None
    """One of format.codec.NAMES."""
    working_set: str | None = None
    """One of WORKING_SETS."""
    unguarded: tuple[str, ...] = ()
    """Types of file systems that may be mounted writable though the guard sees a sample only."""
    stall_timeout: int | None = None
    """Seconds without progress after which a frozen machine goes on, or restarts."""

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Return what `text` says. Raises ConfigurationError with `name` and the line's number."""
        conf = cls()
        for number, line in enumerate(text.split("\n"), 1):
            words = line.strip()
            if not words or words.startswith("#"):
                continue
            try:
                conf = conf._with(words)
            except ValueError as error:
                raise ConfigurationError(f"{name}, line {number}: {error}", _HINT) from error
        return conf

    def _with(self, line: str) -> Self:
        key, equals, rest = line.partition("=")
        key, value = key.strip(), _value(rest.strip())
        if not equals or not value:
            raise ValueError(f"'{line}' is not KEY = VALUE")
        if key == "store":
            return self._replace(store=value)
        if key == "image-size":
            return self._replace(image_size=parse_image_size(value))
        if key == "helpers":
            return self._replace(helpers=tuple(value.split()))
        if key == "unguarded-file-systems":
            return self._replace(unguarded=tuple(value.split()))
        if key == "codec":
            return self._replace(codec=_one_of(codec.NAMES, key, value))
        if key == "mode":
            return self._replace(mode=_one_of(MODES, key, value))
        if key == "working-set":
            return self._replace(working_set=_one_of(WORKING_SETS, key, value))
        if key == "stall-timeout":
            return self._replace(stall_timeout=_seconds(key, value))
        known = (
            "store, image-size, mode, codec, working-set, stall-timeout, helpers or "
            "unguarded-file-systems"
        )
        raise ValueError(f"there is no '{key}': {known}")


def _value(text: str) -> str:
    """Return a value without the quotes around it and the comment behind it. Raises ValueError."""
    if quoted := re.fullmatch(_QUOTED, text):
        return quoted["value"]
    if text[:1] in ("'", '"'):
        raise ValueError(f"{text} is not one quoted value")
    return re.split(_COMMENT, text, maxsplit=1)[0]


def _one_of(known: tuple[str, ...], key: str, value: str) -> str:
    if value not in known:
        raise ValueError(f"{key} '{value}' is none of {', '.join(known)}")
    return value


def _seconds(key: str, value: str) -> int:
    if not (value.isdecimal() and value.isascii() and 10 <= int(value) <= 86400):
        raise ValueError(f"{key} '{value}' is not a number of seconds from 10 to 86400")
    return int(value)


def parse_size(text: str) -> int:
    """Return a number of bytes with an optional suffix K, M, G or T. Raises ValueError."""
    number, shift = text, 0
    shifts = {"K": 10, "M": 20, "G": 30, "T": 40}
    if text[-1:].upper() in shifts:
        number, shift = text[:-1], shifts[text[-1].upper()]
    if not number.isdecimal() or not number.isascii() or int(number) << shift >= 1 << 63:
        raise ValueError(f"'{text}' is not a number of bytes")
    return int(number) << shift


def parse_image_size(text: str) -> int:
    """Return the bytes that a snapshot should not exceed: of min, max, or a size. ValueError."""
    if text in ("min", "max"):
        return 0 if text == "min" else _MAX
    try:
        return parse_size(text)
    except ValueError:
        raise ValueError(f"'{text}' is neither min, max nor a number of bytes") from None


def read_conf(path: str | None = None) -> Conf:
    """Return the configuration; the defaults where there is no file.

    Raises ConfigurationError, UnreadableError.
    """
    path = path or PATH
    return Conf.parse(read_text(path) or "", path)
