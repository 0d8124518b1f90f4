"""machine-id(5), which tells the installations of systems apart. A boot reads one."""

from linux.root import HOST, Root

PATH = "/etc/machine-id"

_SIZE = 32
_DIGITS = "0123456789abcdef"


def parse_machine_id(text: str) -> str:
    """Return the id, 32 hex digits; "" for a text that is none, such as "uninitialized".

    In small letters, as systemd has it whatever the file says (src/libsystemd/sd-id128).
    """
    found = text.rstrip().lower()
    return found if len(found) == _SIZE and not found.strip(_DIGITS) else ""


def machine_id(root: Root = HOST) -> str:
    """Return the installation's id, "" where it has none yet."""
    try:
        return parse_machine_id(root.line(PATH))
    except OSError:
        return ""
