"""Why the resumer does not resume, beyond what is wrong with an image or a store."""

from typing import ClassVar

from format.errors import TorporError


class UsageError(TorporError):
    """The program was called in a way that makes no sense here."""

    exit_code: ClassVar[int] = 2
    meaning: ClassVar[str] = "wrong usage"


class NotAskedError(TorporError):
    """The kernel command line forbids it."""

    exit_code: ClassVar[int] = 10
    meaning: ClassVar[str] = "the kernel command line forbids the resume"


class OtherKernelError(TorporError):
    """The image belongs to another kernel."""

    exit_code: ClassVar[int] = 11
    meaning: ClassVar[str] = "the image belongs to another kernel"


class OtherMemoryMapError(TorporError):
    """The firmware gives another memory map than when the image was made."""

    exit_code: ClassVar[int] = 12
    meaning: ClassVar[str] = "the memory map has changed"


class OtherInstallationError(TorporError):
    """The image belongs to another system on this or another machine."""

    exit_code: ClassVar[int] = 17
    meaning: ClassVar[str] = "the image belongs to another installation"
