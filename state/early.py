"""What a boot without an image needs of the state, with no more imports than that takes.

Most boots are such: where the store is, and that there was no image. state/location.py and
state/record.py do the same for all others.
"""

import time

from state.files import read_text, write_text

LOCATION_PATH = "/var/lib/torpor/location"
BOOT_PATH = "/run/torpor/resume.json"


def location_words(path: str | None = None) -> dict[str, str]:
    """Return what `torpor enable` kept, as it is written; {} if nothing. Raises UnreadableError."""
    lines = (read_text(path or LOCATION_PATH) or "").splitlines()
    words = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value for name, equals, value in words if equals}


def save_refusal(exit_code: int, message: str, path: str | None = None) -> None:
    """Keep what BootRecord(…, exit_code, message).save() does. Raises UnreadableError."""
    fields = f'"when": {time.time()}, "exit_code": {exit_code}, "message": {_quoted(message)}'
    write_text(path or BOOT_PATH, f'{{{fields}, "kept": []}}\n')


def _quoted(text: str) -> str:
    """Return the text as JSON has it (RFC 8259, section 7)."""
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char.isprintable() and char not in '"\\':
        return char
    return f"\\u{ord(char):04x}" if char < "\U00010000" else "?"
