"""What this boot asks the resumer for: the kernel command line, else what torpor enable kept.

Besides, the firmware may name a place, as systemd does for the kernel's own images.
"""

from dataclasses import dataclass, replace
from typing import Self

from linux import cmdline
from state.location import Location
from store.efi_location import EfiLocation

TIMEOUT = 10.0
"""Seconds to wait for the device."""

LONG_TIMEOUT = 300.0
"""Seconds with `resumewait`: long enough for a slow disk, and still an end."""

MAX_DELAY = 300.0
MOST_DIGITS = 15
MAX_TIMEOUT = 3600.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image may be."""

    device: str
    """As `resume=` names it."""
    page: int
    is_ours: bool
    """Whether what is there is this installation's, whoever has made it."""


@dataclass(frozen=True, slots=True)
class Request:
    """The parameters that concern a resume."""

    device: str
    """As `resume=` names it; "" if nothing does."""
    offset: int
    """Page of the device where the store begins."""
    by_command_line: bool
    """Whether the device is named there, and so no other one is meant."""
    forbidden: bool
    """`noresume`."""
    delay: float
    """Seconds to let pass first, from `resumedelay=`."""
    timeout: float
    """Seconds to wait for the device then."""
    machine_id: str
    """Of this installation, as torpor enable kept it, or ""."""
    waited: bool = False
    """Whether somebody has waited before, and there is no more waiting."""
    efi: EfiLocation | None = None
    """What the firmware names besides."""

    @classmethod
    def parse(cls, text: str, location: Location | None, efi: EfiLocation | None = None) -> Self:
        """Return the request in a kernel command line. What is no number counts as not given."""
        parameters = cmdline.parse(text)
        named = parameters.get("resume", "")
        offset = int(_number(parameters.get("resume_offset", ""), 0))
        kept = location or Location("")
        usual = LONG_TIMEOUT if "resumewait" in parameters else TIMEOUT
        return cls(
            named or kept.resume,
            offset if named else kept.offset,
            bool(named),
            "noresume" in parameters,
            min(_number(parameters.get("resumedelay", ""), 0), MAX_DELAY),
            min(_number(parameters.get("torpor.timeout", ""), usual), MAX_TIMEOUT),
            kept.machine_id,
            efi=efi,
        )

    @property
    def places(self) -> list[Place]:
        """Where to look first, in this order: only what nobody else names is the firmware's."""
        places = [Place(self.device, self.offset, is_ours=True)] if self.device else []
        if self.efi:
            places.append(Place(self.efi.spec, self.efi.page, is_ours=False))
        return places

    def at_once(self) -> Self:
        """Return the same request without any waiting: somebody has waited before."""
        return replace(self, waited=True)


def _number(text: str, otherwise: float) -> float:
    # As torpor-boot reads them; a page beyond that has no byte offset in 64 bits.
    usable = text.isdecimal() and text.isascii() and len(text) <= MOST_DIGITS
    return float(text) if usable else otherwise
