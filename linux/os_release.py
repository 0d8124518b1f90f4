"""os-release(5), which names the system."""

import shlex
from contextlib import suppress

from linux import proc
from linux.root import HOST, Root

_PATHS = ("/etc/os-release", "/usr/lib/os-release")
"""The first that is there counts."""


def os_release(root: Root = HOST) -> dict[str, str]:
    """Return what the system says of itself, nothing where it says nothing. Raises OSError."""
    texts = (root.text(path) for path in _PATHS)
    found = {}
    for line in proc.lines(next((text for text in texts if text is not None), "")):
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            with suppress(ValueError):  # an open quote
                found[name] = "".join(shlex.split(value))
    return found
