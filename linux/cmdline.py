"""The kernel command line."""


def read() -> str:
    """Return the command line that this kernel was started with."""
    with open("/proc/cmdline", encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def parse(text: str) -> dict[str, str]:
    """Return the parameters by name, the last one of a name; "" for one without a value."""
    return dict(parameters(text))


def parameters(text: str) -> list[tuple[str, str]]:
    """Return name and value of each parameter in order, as often as it is given.

    Double quotes hold blanks together, as in the kernel (lib/cmdline.c, next_arg); what follows
    a lone `--` belongs to init.
    """
    words = _words(text)
    if "--" in words:
        words = words[: words.index("--")]
    parts = (word.replace('"', "").partition("=") for word in words)
    return [(name, value) for name, _, value in parts]


def _words(text: str) -> list[str]:
    """Return the words with their quotes. Without `re`, which most boots need for nothing else."""
    words, word, is_quoted = [], "", False
    for char in text:
        if char.isspace() and not is_quoted:
            words.append(word)
            word = ""
            continue
        word += char
        is_quoted ^= char == '"'
    return [word for word in [*words, word] if word]
