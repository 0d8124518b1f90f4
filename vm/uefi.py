"""A Debian that firmware with UEFI starts, which measures kernel, initramfs and command line."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar

from vm.disks import copy_disk
from vm.laptop import FIRMWARE, VARIABLES
from vm.lives import Guest
from vm.machine import Machine


@dataclass(frozen=True, slots=True)
class UefiMachine(Machine):
    """A machine with UEFI, which has variables of its own, and still starts our kernel."""

    up_seconds: ClassVar[float] = 240.0
    """The firmware takes an emulated processor half a minute."""

    variables: Path = field(kw_only=True)

    def command(self, monitor: int, channel: int) -> list[str]:
        """See Machine."""
        command = Machine.command(self, monitor, channel)
        command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE}"]
        return [*command, "-drive", f"if=pflash,unit=1,format=raw,file={self.variables}"]


@dataclass(slots=True)
class UefiGuest(Guest):
    """A Debian on such a machine."""

    @property
    def variables(self) -> Path:
        """What the firmware keeps."""
        return self.folder / "variables.fd"

    def machine(self, log: Path) -> UefiMachine:
        """Return the machine, with what its firmware keeps."""
        if not self.variables.exists():
            copy_disk(VARIABLES, self.variables)
        made = Guest.machine(self, log)
        values = {each.name: getattr(made, each.name) for each in fields(Machine)}
        return UefiMachine(**values, variables=self.variables)

    def has_written(self, variable: str) -> bool:
        """Return whether a variable was ever set: the firmware only marks what is removed."""
        name = variable.partition("-")[0]
        return name.encode("utf-16-le") in self.variables.read_bytes()
