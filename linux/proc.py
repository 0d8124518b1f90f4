r"""Text files of the kernel, in /proc and /sys.

A line ends in \n and nothing else, and names are bytes: what any user may name so has carriage
returns in it, line separators of Unicode, or what is no UTF-8. All of that comes as os.fsdecode has
it. Every boot imports this: no `re`.
"""

import os

from linux.open_file import OpenFile

_OCTAL = b"01234567"


def read(path: str) -> str:
    """Return the contents of a file. Raises OSError."""
    with open(path, "rb") as file:
        return os.fsdecode(file.read())


def write(path: str, text: str) -> None:
    """Write to a file that is there, in one piece. Raises OSError."""
    with OpenFile(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)) as file:
        os.write(file.fd, text.encode("ascii"))


def lines(text: str) -> list[str]:
    """Return the lines of a file's contents, but for empty ones."""
    return [line for line in text.split("\n") if line]


def unescaped(name: str) -> str:
    r"""Return a name with its \ooo as the bytes that they stand for (fs/seq_file.c, mangle_path).

    A backslash that begins no such byte stands for itself.
    """
    if "\\" not in name:
        return name
    first, *others = os.fsencode(name).split(b"\\")
    return os.fsdecode(first + b"".join(map(_unescaped, others)))


def _unescaped(part: bytes) -> bytes:
    digits = part[:3]
    if len(digits) < 3 or digits.strip(_OCTAL) or digits > b"377":
        return b"\\" + part
    return bytes([int(digits, 8)]) + part[3:]
