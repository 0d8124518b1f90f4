"""The kernel command line."""

import re

_WORD = re.compile(r'(?:"[^"]*"?|[^\s"])+')


def read() -> str:
    """Return the command line that this kernel was started with."""
    with open("/proc/cmdline", encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def parse(text: str) -> dict[str, str]:
    """Return the parameters by name, the last one of a name; "" for one without a value.

    Double quotes hold blanks together, as in the kernel (lib/cmdline.c, next_arg); what follows
    a lone `--` belongs to init.
    """
    parameters: dict[str, str] = {}
    for word in _WORD.findall(text):
        if word == "--":
            break
        name, _, value = word.replace('"', "").partition("=")
        parameters[name] = value
    return parameters
