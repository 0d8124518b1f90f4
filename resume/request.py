"""What this boot asks for: where an image may be, and how long to wait for it."""

from errors import Attempt, ConfigurationError, ForbiddenError, TorporError
from linux import cmdline, efivar, kmsg
from resume.report import Report
from state.location import Location, named_location, read_location

TIMEOUT = 10.0
"""Seconds to wait for a device."""

LONG_TIMEOUT = 300.0
"""Seconds with `resumewait`: long enough for a slow disk, and still an end."""

MAX_DELAY = 300.0
MAX_TIMEOUT = 3600.0


class Place:
    """Where an image may be."""

    def __init__(self, device: str, page: int, *, is_ours: bool) -> None:
        self.device = device
        """As `resume=` names it."""
        self.page = page
        self.is_ours = is_ours
        """Whether what is there is this installation's, whoever has made it."""


class Request:
    """What the kernel command line says of a resume, and what others say where it is silent."""

    def __init__(
        self, text: str, kept: Location | None = None, firmware: Place | None = None
    ) -> None:
        """`text` is the command line, `kept` is what torpor enable kept."""
        parameters = cmdline.parse(text)
        self.complaints: list[str] = []
        """What cannot be understood, and what is done about it."""
        named = self._named(parameters)
        self.is_named = named is not None
        """Whether the command line names the device, and so no other one is meant."""
        first = named or kept or Location("")
        self.places = [Place(first.resume, first.offset, is_ours=True)] if first.resume else []
        """Where to look first, in this order: the firmware's is what nobody else names."""
        if firmware:
            self.places.append(firmware)
        self.forbidden_by = cmdline.forbids_resume(parameters)
        """The parameter that forbids a resume, or ""."""
        self.delay = min(self._seconds(parameters, "resumedelay", 0), MAX_DELAY)
        """Seconds to let pass first."""
        usual = LONG_TIMEOUT if "resumewait" in parameters else TIMEOUT
        self.timeout = min(self._seconds(parameters, "torpor.timeout", usual), MAX_TIMEOUT)
        """Seconds to wait for the device then."""
        self.machine_id = kept.machine_id if kept else ""
        """Of this installation, as torpor enable kept it, or ""."""

    def refuse_forbidden(self) -> None:
        """Raise ForbiddenError if the command line forbids a resume."""
        if self.forbidden_by:
            raise ForbiddenError(f"{self.forbidden_by} on the kernel command line")

    def complain(self, report: Report) -> None:
        """Say what cannot be understood."""
        for complaint in self.complaints:
            report(kmsg.WARNING, complaint)

    def _named(self, parameters: dict[str, str]) -> Location | None:
        try:
            return named_location(parameters)
        except ConfigurationError as error:
            self.complaints.append(f"{error}: looking in page 0")
            return Location(parameters["resume"])

    def _seconds(self, parameters: dict[str, str], name: str, otherwise: float) -> float:
        text = parameters.get(name)
        if text is None:
            return otherwise
        found = cmdline.seconds(text) if name == "resumedelay" else cmdline.decimal(text)
        if found is None:
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
    complaint = ""
    try:
        firmware = _named_by_firmware()
    except TorporError as error:
        firmware, complaint = None, f"{error}: ignored"
    request = Request(cmdline.read() if text is None else text, read_location(), firmware)
    request.complaints += [complaint] if complaint else []
    return request


def _named_by_firmware() -> Place | None:
    """Return what the firmware names for the running kernel. Raises StateError, UnreadableError."""
    with Attempt("read", "the EFI variable HibernateLocation"):
        if efivar.read(efivar.HIBERNATE_LOCATION) is None:
            return None
    from store.efi_location import read_efi_location  # json and dataclasses, for few boots

    found = read_efi_location()
    return Place(found.spec, found.page, is_ours=False) if found else None
