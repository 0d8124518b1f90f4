r"""Text files of the kernel, in /proc and /sys.

A line ends in \n and nothing else, and names are bytes: what any user may name so has carriage
returns in it, line separators of Unicode, or what is no UTF-8. All of that comes as os.fsdecode has
it. Every boot imports this: no `re`.
"""

import errno
import os

from linux.open_file import OpenFile

_OCTAL = b"01234567"
_HEX = b"0123456789abcdefABCDEF"


def read(path: str) -> str:
    """Return the contents of a file. Raises OSError."""
    with open(path, "rb") as file:
        return os.fsdecode(file.read())


def mangled(path: str) -> OSError:
    """Return the error for a file that does not hold what the kernel writes there."""
    return OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)


def write(path: str, text: str) -> None:
    """Write to a file that is there, in one piece. Raises OSError."""
    with OpenFile(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)) as file:
        os.write(file.fd, text.encode("ascii"))


def lines(text: str) -> list[str]:
    """Return the lines of a file's contents, but for empty ones."""
    return [line for line in text.split("\n") if line]


def unescaped(name: str, mark: str = "\\", base: int = 8) -> str:
    r"""Return a name with each mark and the digits behind it as the byte that they stand for.

    \ooo is the kernel's (fs/seq_file.c, mangle_path); with the mark \x and base 16 it is \xNN, as
    udev and libdm write (libdm-common.c, mangle_string). A mark that begins no such byte stands for
    itself.
    """
    if mark not in name:
        return name
    size, known = (3, _OCTAL) if base == 8 else (2, _HEX)
    data, *others = os.fsencode(name).split(mark.encode())
    for part in others:
        digits, rest = part[:size], part[size:]
        is_byte = len(digits) == size and not digits.strip(known) and int(digits, base) < 256
        data += bytes([int(digits, base)]) + rest if is_byte else mark.encode() + part
    return os.fsdecode(data)
