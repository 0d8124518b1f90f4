"""What a boot that does not resume says, and leaves to the system that it goes on to."""

import time

from errors import ForbiddenError, NoImageError, TorporError
from linux import efivar, kmsg
from resume.report import Report
from state.boot import BootRecord


class Outcome:
    """Why there was no resume, and what became of the images that were found."""

    def __init__(self, error: TorporError) -> None:
        self.error = error
        self.skipped: list[str] = []
        """Images that were not taken, with the reason."""
        self.kept: list[tuple[str, int]] = []
        """Images that another boot may still restore: device and page."""
        self.discarded: list[str] = []
        """Devices whose image is gone."""
        self.not_discarded: list[str] = []
        """Devices whose image could not be discarded, with the reason."""
        self.handed_on = ""
        """The device whose working set the booted system gets, "" for none."""

    @property
    def message(self) -> str:
        """All of it in a line."""
        said = [str(self.error)]
        said += [f"skipped: {', '.join(self.skipped)}"] if self.skipped else []
        said += [f"the image on {device} is kept" for device, _ in self.kept]
        said += [f"the image on {device} is discarded" for device in self.discarded]
        said += [f"the image on {words}" for words in self.not_discarded]
        said += [f"the working set on {self.handed_on} is handed on"] if self.handed_on else []
        return "; ".join(said)

    def say(self, report: Report) -> None:
        """Say it in a line, which reaches the console if it is no ordinary boot."""
        is_ordinary = isinstance(self.error, NoImageError | ForbiddenError)
        report(kmsg.INFO if is_ordinary else kmsg.ERR, f"not resuming: {self.message}")

    def leave_behind(self, report: Report) -> None:
        """Keep it for torpor status and discard --stale, and take away what names no image now.

        That is the firmware's name of an image, which boots would wait for.
        """
        try:
            BootRecord(time.time(), self.error.exit_code, self.message, *self.kept).save()
            if not self.kept and efivar.read(efivar.HIBERNATE_LOCATION) is not None:
                from store.efi_location import clear_efi_location  # json and typing

                clear_efi_location()
        except (TorporError, OSError) as error:
            report(kmsg.INFO, str(error))
