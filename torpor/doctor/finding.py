"""What a check has to say."""

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from initramfs.generators.generator import Fault


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    ENABLE = "enable"
    """Not so yet: `torpor enable` will see to it."""
    WARNING = "warning"
    """Hibernation works, but not always, not as expected, or slowly."""
    PROBLEM = "problem"
    """Hibernation will not work, or it cannot be told whether it will."""


class Finding(NamedTuple):
    """One line, and what the reader can do about it."""

    level: Level
    message: str
    remedy: str = ""
    enabling: str = ""
    """What `torpor enable` will do about it, where it has not been run: put ..., make ..."""
    is_certain: bool = False
    """Whether the next boot loses the image for it: `torpor hibernate` refuses."""

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


def of_fault(fault: "Fault", again: str) -> Finding:
    """Return the finding that a boot has a fault; `again` is how the initramfs is rebuilt."""
    remedy = fault.remedy
    if fault.in_initramfs:
        end = "" if remedy.endswith(";") else ","
        remedy = f"{remedy}{end} and {again}" if remedy else again
    level = Level.WARNING if fault.is_lesser else Level.PROBLEM
    return Finding(level, fault.message, remedy, fault.enabling)
