"""What a check has to say."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    ENABLE = "enable"
    """Not so yet: `torpor enable` will see to it."""
    WARNING = "warning"
    """Hibernation works, but not always, not as expected, or slowly."""
    PROBLEM = "problem"
    """Hibernation will not work, or it cannot be told whether it will."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line, and what the reader can do about it."""

    level: Level
    message: str
    remedy: str = ""
    enabling: str = ""
    """What `torpor enable` will do about it, where it has not been run: put ..., make ..."""

    def before_enable(self) -> "Finding":
        """Return what this is as long as `torpor enable` has not been run."""
        if not self.enabling:
            return self
        return Finding(Level.ENABLE, f"torpor enable will {self.enabling}")


def ok(message: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, message)


def warning(message: str, remedy: str, enabling: str = "") -> Finding:
    """Return a finding that does not stop hibernation."""
    return Finding(Level.WARNING, message, remedy, enabling)


def problem(message: str, remedy: str, enabling: str = "") -> Finding:
    """Return a finding that does."""
    return Finding(Level.PROBLEM, message, remedy, enabling)


def stock_first(image_path: str, remedy: str) -> Finding:
    """Return a finding that the initramfs resumes by the kernel's own means before it does by us.

    The kernel declines our signature, so that the image is not lost.
    """
    return warning(
        f"{image_path} runs the stock resume before Torpor's, which then waits in vain for a "
        "device that does not come",
        remedy,
    )
