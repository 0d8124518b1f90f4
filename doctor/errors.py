"""What the examination can end with."""

from format.errors import TorporError


class NotReadyError(TorporError):
    """At least one finding is a problem."""

    exit_code = 16
    meaning = "hibernation is not ready"


class InitramfsError(TorporError):
    """An initramfs is cut off, damaged, or of a kind that the kernel or we do not know."""

    exit_code = 16
    meaning = "hibernation is not ready"
