"""What this boot asks for: where an image may be, and how long to wait for it."""

from _collections_abc import Callable  # `collections` would cost each boot 3 ms

from errors import Attempt, ConfigurationError, ForbiddenError, TorporError
from linux import cmdline, efivar, kmsg
from resume.report import Report
from s3.scheme import is_server
from state.location import Location, named_location, read_location, read_machine_id

TIMEOUT = 10.0
"""Seconds to wait for a device."""

SERVER_TIMEOUT = 45.0
"""For a server: longer than a switch lets nothing pass (spanning tree, twice 15 s), and DHCP."""

LONG_TIMEOUT = 300.0
"""Seconds with `resumewait`: long enough for a slow disk, and still an end."""

MAX_DELAY = 300.0
MAX_TIMEOUT = 3600.0


class Request:
    """What the kernel command line says of a resume, and what others say where it is silent."""

    def __init__(
        self,
        text: str,
        kept: Location | None = None,
        firmware: Location | None = None,
        machine_id: str = "",
    ) -> None:
        """`text` is the command line, `kept` what torpor enable kept."""
        self._parameters = cmdline.parse(text)
        self.complaints: list[str] = []
        """What cannot be understood, and what is done about it."""
        named = self._named()
        self.is_named = named is not None
        """Whether the command line names the device, and so no other one is meant."""
        self.firmware = firmware
        """What the firmware names, which need not be this installation's."""
        self.is_located = bool(named or (kept and kept.resume))
        """Whether somebody who owns the machine said where an image is: then it is nowhere else."""
        self.places = [place for place in (named or kept, firmware) if place and place.resume]
        """Where to look first, in this order."""
        self.delay = min(self._seconds("resumedelay", cmdline.seconds, 0), MAX_DELAY)
        """Seconds to let pass first."""
        usual = SERVER_TIMEOUT if self._is_on_a_server() else TIMEOUT
        usual = LONG_TIMEOUT if "resumewait" in self._parameters else usual
        self.timeout = min(self._seconds("torpor.timeout", cmdline.decimal, usual), MAX_TIMEOUT)
        """Seconds to wait for the device or the server then."""
        self.is_external = kept.is_external if kept else None
        """Whether the store that torpor enable chose is on a device that anybody may plug in."""
        self.machine_id = machine_id
        """Of this installation, or ""."""

    def refuse_forbidden(self) -> None:
        """Raise ForbiddenError if the command line forbids a resume."""
        if word := cmdline.forbids_resume(self._parameters):
            raise ForbiddenError(f"{word} on the kernel command line")

    def complain(self, report: Report) -> None:
        """Say what cannot be understood."""
        for complaint in self.complaints:
            report(kmsg.WARNING, complaint)

    def _is_on_a_server(self) -> bool:
        return bool(self.places) and is_server(self.places[0].resume)

    def _named(self) -> Location | None:
        try:
            return named_location(self._parameters)
        except ConfigurationError as error:
            self.complaints.append(f"{error}: looking in page 0")
            return Location(self._parameters["resume"])

    def _seconds(self, name: str, read: Callable[[str], int | None], otherwise: float) -> float:
        text = self._parameters.get(name)
        found = None if text is None else read(text)
        if text is not None and found is None:
            self.complaints.append(
                f"{name}={text} on the kernel command line is no number of seconds: ignored"
            )
        return otherwise if found is None else float(found)


def read_request(text: str | None, *, changes_nothing: bool = False) -> Request:
    """Return what this boot asks for; `text` stands for the kernel command line.

    Raises ConfigurationError, UnreadableError.
    """
    if not changes_nothing:
        efivar.mount()
    firmware, complaints = None, []
    try:
        firmware = _named_by_firmware()
    except TorporError as error:
        complaints = [f"{error}: ignored"]
    kept, text = read_location(), cmdline.read() if text is None else text
    request = Request(text, kept, firmware, read_machine_id(kept))
    request.complaints += complaints
    return request


def _named_by_firmware() -> Location | None:
    """Return what the firmware names for the running kernel. Raises StateError, UnreadableError."""
    with Attempt("read", "the EFI variable HibernateLocation"):
        if efivar.read(efivar.HIBERNATE_LOCATION) is None:
            return None
    from store.efi_location import read_efi_location  # json and typing, for few boots

    found = read_efi_location()
    return Location(found.spec, found.page) if found else None
