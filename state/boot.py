"""Why this boot did not resume: written in the initramfs to /run, which the boot carries over.

A resume that works leaves nothing here, since the memory that held it is replaced.
"""

from errors import StateError
from linux.line import one_line
from state.files import read_text, write_text

PATH = "/run/torpor/resume"

MAX_TIME = 1 << 37
"""Seconds: no clock says the year 6325."""


class BootRecord:
    """Why this boot did not resume, in the resumer's words."""

    def __init__(self, when: float, exit_code: int, message: str, *kept: tuple[str, int]) -> None:
        self.when = when
        """Seconds since 1970, UTC."""
        self.exit_code = exit_code
        self.message = message
        self.kept = list(kept)
        """Images that another boot may still restore: device, and page where the store begins."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BootRecord) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def save(self, path: str | None = None) -> None:
        """Keep it for this boot. Raises UnreadableError."""
        words = {"when": self.when, "exit_code": self.exit_code, "message": self.message}
        lines = [f"{name}={one_line(str(value))}" for name, value in words.items()]
        lines += [f"kept={page} {device}" for device, page in self.kept]
        text = "".join(f"{line}\n" for line in lines)
        write_text(path or PATH, text)

    @classmethod
    def read(cls, path: str | None = None) -> "BootRecord | None":
        """Return it, None if the resumer did not run. Raises StateError, UnreadableError."""
        path = path or PATH
        text = read_text(path)
        if text is None:
            return None
        lines = [line.partition("=")[::2] for line in text.split("\n")]
        words, kept = dict(lines), [value.partition(" ") for name, value in lines if name == "kept"]
        try:
            images = [(device, int(page)) for page, _, device in kept]
            when = float(words["when"])
            if not 0 <= when < MAX_TIME:
                raise ValueError(when)
            return cls(when, int(words["exit_code"]), words["message"], *images)
        except (KeyError, ValueError) as error:
            raise StateError(f"{path} is not what torpor writes") from error
