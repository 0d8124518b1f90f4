"""Why the resumer does not resume, beyond what is wrong with an image or a store."""

from format.errors import TorporError
from store.errors import KernelRefusedError


class UsageError(TorporError):
    """The program was called in a way that makes no sense here."""

    exit_code = 2
    meaning = "wrong usage"


class NotAskedError(TorporError):
    """The kernel command line forbids it."""

    exit_code = 10
    meaning = "the kernel command line forbids the resume"


class KeptError(TorporError):
    """Another boot may still restore the image: it stays on its device."""


class OtherKernelError(KeptError):
    """The image belongs to another kernel."""

    exit_code = 11
    meaning = "the image belongs to another kernel"


class OtherHardwareError(KeptError):
    """The machine has another memory map, or a processor that lacks something."""

    exit_code = 12
    meaning = "the memory map or the processor is not the image's"


class RestoreRefusedError(KernelRefusedError, KeptError):
    """The kernel has the whole image and did not become it, for the first time."""


class OtherInstallationError(TorporError):
    """The image belongs to another system on this or another machine."""

    exit_code = 17
    meaning = "the image belongs to another installation"


class SpentError(TorporError):
    """The image was restored, or tried too often: never again."""

    exit_code = 20
    meaning = "the image was restored already, or tried too often"
