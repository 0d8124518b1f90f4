"""The kernel command line: one grammar, the kernel's, for all that asks for a parameter."""

_BLANKS = " \t\n\v\f\r"
_DIGITS = "0123456789"
_UNSIGNED = 1 << 32
_MOST_DIGITS = 15
"""Of a page's number: what is larger has no byte offset in 64 bits."""


def read() -> str:
    """Return the command line that this kernel was started with."""
    with open("/proc/cmdline", encoding="utf-8", errors="surrogateescape") as file:
        return file.read().strip()


def parameters(text: str) -> list[tuple[str, str]]:
    """Return name and value of each parameter, in order, as often as it is given; "" for no value.

    Double quotes hold blanks together (lib/cmdline.c, next_arg), and go: the kernel takes off those
    around a word or a value only, systemd all of them. In a name `-` is `_` (kernel/params.c,
    parameq). What follows a lone `--`, in quotes or not, belongs to init.
    """
    found = []
    for word in _split(text):
        plain = word.replace('"', "")
        if plain == "--":
            break
        name, _, value = plain.partition("=")
        found.append((name.replace("-", "_"), value))
    return found


def parse(text: str) -> dict[str, str]:
    """Return the parameters by name, the last one of a name; "" for one without a value."""
    return dict(parameters(text))


def decimal(text: str) -> int | None:
    """Return a decimal number of at most 15 digits, None for what is none."""
    is_number = text.isdecimal() and text.isascii() and len(text) <= _MOST_DIGITS
    return int(text) if is_number else None


def page_number(text: str) -> int | None:
    """Return the page that resume_offset= says: the number in front, None if there is none.

    As the kernel reads it, by sscanf with %llu (kernel/power/hibernate.c, resume_offset_setup).
    """
    return decimal(text[: len(text) - len(text.lstrip(_DIGITS))])


def seconds(text: str) -> int | None:
    """Return what resumedelay= says, None for what is no number.

    As the kernel reads it, by kstrtouint with base 0 (kernel/power/hibernate.c, resumedelay_setup):
    0x is hexadecimal, 0 octal, and nothing may follow.
    """
    base = 16 if text[:2].lower() == "0x" else 8 if text[:1] == "0" else 10
    try:
        number = int(text, base) if text.isalnum() and text.isascii() else _UNSIGNED
    except ValueError:
        return None
    return number if number < _UNSIGNED else None


def forbids_resume(given: dict[str, str]) -> str:
    """Return the parameter that forbids a resume, "" if none does.

    As the kernel has it (kernel/power/hibernate.c): noresume, nohibernate, and hibernate= with
    noresume or no in front; nocompress is something else.
    """
    for name in ("noresume", "nohibernate"):
        if name in given:
            return name
    value = given.get("hibernate", "")
    forbids = value.startswith("no") and not value.startswith("nocompress")
    return f"hibernate={value}" if forbids else ""


def _split(text: str) -> list[str]:
    """Return the words with their quotes. Without `re`, which most boots need for nothing else."""
    found, word, is_quoted = [], "", False
    for char in text:
        if char in _BLANKS and not is_quoted:
            found.append(word)
            word = ""
            continue
        word += char
        is_quoted ^= char == '"'
    return [word for word in [*found, word] if word]
