"""Where the store is, for the initramfs: written by `torpor enable`, copied by the hooks.

The words are those of the kernel command line, so that a shell can read them, too.
"""

import re
from dataclasses import dataclass
from typing import Self

from errors import ConfigurationError
from state import early
from state.files import read_text

PATH = early.LOCATION_PATH

_HEAD = "# Written by torpor enable; the initramfs holds a copy.\n"


@dataclass(frozen=True, slots=True)
class Location:
    """A store as a boot finds it."""

    resume: str
    """The device, as resume= names it."""
    offset: int = 0
    """Page on the device where the store begins: not 0 if the store is a file."""
    machine_id: str = ""
    """What tells this installation from others: 32 hex digits of machine-id(5), or ""."""
    store: str = ""
    """The store as `torpor hibernate --store` names it, if not by `resume`: a file's path."""

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Return the location in `text`. Raises ConfigurationError with `name`."""
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        offset = values.get("resume_offset", "0")
        machine_id = values.get("machine_id", "")
        if not values.get("resume") or not re.fullmatch("[0-9]{1,15}", offset):
            raise ConfigurationError(f"{name} does not say where the store is")
        if machine_id and not re.fullmatch("[0-9a-f]{32}", machine_id):
            raise ConfigurationError(f"{name} has no machine id: {machine_id!r}")
        return cls(values["resume"], int(offset), machine_id, values.get("store", ""))

    def build(self) -> str:
        """Return the file's text."""
        offset = f"resume_offset={self.offset}\n" if self.offset else ""
        machine = f"machine_id={self.machine_id}\n" if self.machine_id else ""
        store = f"store={self.store}\n" if self.store else ""
        return f"{_HEAD}resume={self.resume}\n{offset}{machine}{store}"

    @property
    def parameters(self) -> str:
        """The words for a kernel command line."""
        return f"resume={self.resume}" + (f" resume_offset={self.offset}" if self.offset else "")


def read_location(path: str | None = None) -> Location | None:
    """Return the location, None where none is kept. Raises ConfigurationError, UnreadableError."""
    path = path or PATH
    text = read_text(path)
    return None if text is None else Location.parse(text, path)
