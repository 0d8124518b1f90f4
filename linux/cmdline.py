"""The kernel command line."""


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
    for word in _words(text):
        if word == "--":
            break
        name, _, value = word.replace('"', "").partition("=")
        parameters[name] = value
    return parameters


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
