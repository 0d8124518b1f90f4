"""Where the store is: as `torpor enable` keeps it for the boot, or as resume= names it.

/var/lib/torpor/location has a copy in the initramfs, by the hooks; its words are those of the
kernel command line. Beside it the hooks put machine-id(5), enabled or not: without it a boot does
not know whose image it finds. Every boot reads both, so this imports little.
"""

from errors import ConfigurationError, StoreRefusedError, command
from linux import cmdline, installation
from linux.installation import parse_machine_id
from state.files import read_text, values_in

PATH = "/var/lib/torpor/location"
MACHINE_ID = "/var/lib/torpor/machine-id"
"""In an initramfs only: machine-id(5) of the system that it was made for."""

_ANSWERS = {"yes": True, "no": False}
_HEAD = "# Written by torpor enable; the initramfs holds a copy.\n"


class Location:
    """A store as a boot finds it."""

    def __init__(
        self,
        resume: str,
        offset: int = 0,
        machine_id: str = "",
        store: str = "",
        is_external: bool | None = None,
    ) -> None:
        self.resume = resume
        """The device, as resume= names it."""
        self.offset = offset
        """Page on the device where the store begins: not 0 if the store is a file."""
        self.machine_id = machine_id
        """What tells this installation from others: 32 hex digits of machine-id(5), or ""."""
        self.store = store
        """The store as `torpor hibernate --store` names it, if not by `resume`: a file's path."""
        self.is_external = is_external
        """Whether anybody may plug such a device in; None where that is not said."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Location) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def parse(cls, text: str, name: str) -> "Location":
        """Return the location in `text`. Raises ConfigurationError with `name`."""
        values = values_in(text)
        offset = values.get("resume_offset", "0")
        page = cmdline.page_number(offset)
        machine_id = values.get("machine_id", "")
        if not values.get("resume") or page is None or not offset.isdecimal():
            raise _wrong(f"{name} does not say where the store is", name)
        if machine_id and machine_id != parse_machine_id(machine_id):
            raise _wrong(f"{name} has no machine id: '{machine_id}'", name)
        is_external = _ANSWERS.get(values.get("external", ""))
        return cls(values["resume"], page, machine_id, values.get("store", ""), is_external)

    def build(self) -> str:
        """Return the file's text, a line for each. Raises StoreRefusedError for one of several."""
        for name in (self.resume, self.store):
            if "\n" in name:
                raise StoreRefusedError(
                    f"no boot can be told of '{name}': there is a newline in it", "rename it"
                )
        offset = f"resume_offset={self.offset}\n" if self.offset else ""
        machine = f"machine_id={self.machine_id}\n" if self.machine_id else ""
        store = f"store={self.store}\n" if self.store else ""
        answer = next((word for word, said in _ANSWERS.items() if said is self.is_external), "")
        external = f"external={answer}\n" if answer else ""
        return f"{_HEAD}resume={self.resume}\n{offset}{machine}{store}{external}"

    @property
    def parameters(self) -> str:
        """The words for a kernel command line."""
        return f"resume={self.resume}" + (f" resume_offset={self.offset}" if self.offset else "")


def _wrong(message: str, name: str) -> ConfigurationError:
    return ConfigurationError(message, f"write it again: {command('rm', name)}; torpor enable")


def read_location(path: str | None = None) -> Location | None:
    """Return the location, None where none is kept. Raises ConfigurationError, UnreadableError."""
    path = path or PATH
    text = read_text(path)
    return None if text is None else Location.parse(text, path)


def read_machine_id(kept: Location | None) -> str:
    """Return what tells this installation from others in an initramfs, "" if nothing does.

    /etc/machine-id comes last: systemd makes up one for an initramfs without. Raises
    UnreadableError.
    """
    return (
        parse_machine_id(read_text(MACHINE_ID) or "")
        or (kept.machine_id if kept else "")
        or parse_machine_id(read_text(installation.PATH) or "")
    )


def named_location(parameters: dict[str, str]) -> Location | None:
    """Return where resume= and resume_offset= of a kernel command line say, None without resume=.

    Raises ConfigurationError where resume_offset= says no number: the kernel would look in page 0.
    """
    resume = parameters.get("resume", "")
    offset = parameters.get("resume_offset")
    if not resume or offset is None:
        return Location(resume) if resume else None
    page = cmdline.page_number(offset)
    if page is None:
        raise ConfigurationError(
            f"resume_offset={offset} on the kernel command line is no number of a page",
            "take resume= and resume_offset= off the boot loader's configuration, boot again, and "
            "run: torpor enable",
        )
    return Location(resume, page)
