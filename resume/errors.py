"""Why the resumer does not resume, beyond what is wrong with an image or a store."""

from typing import ClassVar

from format.errors import TorporError
from store.errors import KernelRefusedError


class UsageError(TorporError):
    """The program was called in a way that makes no sense here."""

    exit_code: ClassVar[int] = 2
    meaning: ClassVar[str] = "wrong usage"


class NotAskedError(TorporError):
    """The kernel command line forbids it."""

    exit_code: ClassVar[int] = 10
    meaning: ClassVar[str] = "the kernel command line forbids the resume"


class KeptError(TorporError):
    """Another boot may still restore the image: it stays on its device."""


class OtherKernelError(KeptError):
    """The image belongs to another kernel."""

    exit_code: ClassVar[int] = 11
    meaning: ClassVar[str] = "the image belongs to another kernel"


class OtherHardwareError(KeptError):
    """The machine has another memory map, or a processor that lacks something."""

    exit_code: ClassVar[int] = 12
    meaning: ClassVar[str] = "the memory map or the processor is not the image's"


class RestoreRefusedError(KernelRefusedError, KeptError):
    """The kernel has the whole image and did not become it, for the first time."""


class OtherInstallationError(TorporError):
    """The image belongs to another system on this or another machine."""

    exit_code: ClassVar[int] = 17
    meaning: ClassVar[str] = "the image belongs to another installation"


class SpentError(TorporError):
    """The image was restored, or tried too often: never again."""

    exit_code: ClassVar[int] = 20
    meaning: ClassVar[str] = "the image was restored already, or tried too often"
