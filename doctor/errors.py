"""What the examination can end with."""

from typing import ClassVar

from format.errors import TorporError


class NotReadyError(TorporError):
    """At least one finding is a problem."""

    exit_code: ClassVar[int] = 16
    meaning: ClassVar[str] = "hibernation is not ready"


class InitramfsError(TorporError):
    """An initramfs is cut off, damaged, or of a kind that the kernel or we do not know."""

    exit_code: ClassVar[int] = 16
    meaning: ClassVar[str] = "hibernation is not ready"
