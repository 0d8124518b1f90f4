"""What keeps an initramfs from being made."""

from format.errors import TorporError


class NoGeneratorError(TorporError):
    """Nothing is known here that makes an initramfs."""

    exit_code = 18
    meaning = "the system cannot be set up"
