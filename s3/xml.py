"""The little that is needed of a server's XML: texts between tags. Nothing in it is expanded."""

import re
from collections.abc import Iterator

_ENTITY = re.compile(r"&(?:#(\d{1,7})|#x([0-9A-Fa-f]{1,6})|(amp|lt|gt|quot|apos));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_LAST = 0x10FFFF


def first(text: str, name: str) -> str:
    """Return what the first element of that name holds, "" where there is none."""
    return next(each(text, name), "")


def each(text: str, name: str) -> Iterator[str]:
    """Yield what each element of that name holds; it has no attributes, and none of its name in it.

    What holds elements is cut out as it is: characters are told by `plain`.
    """
    begin, end = f"<{name}>", f"</{name}>"
    at = text.find(begin)
    while at >= 0:
        at += len(begin)
        stop = text.find(end, at)
        if stop < 0:
            return
        yield text[at:stop]
        at = text.find(begin, stop)


def plain(text: str) -> str:
    """Return the characters that a text stands for."""
    return _ENTITY.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    decimal, hexadecimal, name = found.groups()
    if name:
        return _NAMED[name]
    number = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(number) if number <= _LAST else found[0]
