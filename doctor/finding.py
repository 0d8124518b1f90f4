"""What a check has to say."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
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


def ok(message: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Level.OK, message)


def warning(message: str, remedy: str) -> Finding:
    """Return a finding that does not stop hibernation."""
    return Finding(Level.WARNING, message, remedy)


def problem(message: str, remedy: str) -> Finding:
    """Return a finding that does."""
    return Finding(Level.PROBLEM, message, remedy)


def stock_first(image_path: str, remedy: str) -> Finding:
    """Return a finding that the initramfs resumes by the kernel's own means before it does by us.

    The kernel declines our signature, so that the image is not lost.
    """
    return warning(
        f"{image_path} runs the stock resume before Torpor's, which then waits in vain for a "
        "device that does not come",
        remedy,
    )
