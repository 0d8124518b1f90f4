"""What the kernel command line asks the resumer for."""

from dataclasses import dataclass
from typing import Self

from kernel import cmdline

TIMEOUT = 10.0
"""Seconds to wait for the device."""

LONG_TIMEOUT = 300.0
"""Seconds with `resumewait`: long enough for a slow disk, and still an end."""

MAX_DELAY = 300.0


@dataclass(frozen=True, slots=True)
class Request:
    """The parameters that concern a resume."""

    device: str
    """As `resume=` names it; "" if it is not given."""
    forbidden: bool
    """`noresume`."""
    delay: float
    """Seconds to let pass first, from `resumedelay=`."""
    timeout: float
    """Seconds to wait for the device then."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the request in a kernel command line. A delay that is no number counts as 0."""
        parameters = cmdline.parse(text)
        return cls(
            parameters.get("resume", ""),
            "noresume" in parameters,
            _seconds(parameters.get("resumedelay", "")),
            LONG_TIMEOUT if "resumewait" in parameters else TIMEOUT,
        )


def _seconds(text: str) -> float:
    return min(float(text), MAX_DELAY) if text.isdecimal() else 0.0
