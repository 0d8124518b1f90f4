"""Every error that a user sees, in the order of exit codes; torpor(8) has the same table.

Each class has one exit code, and each exit code one meaning. A message is lower case, without a
full stop, and names the place: device, byte, chunk. A hint says what the reader can do; it goes on
a line of its own. Libraries raise; the two programs print.
"""

import errno
import os


class TorporError(Exception):
    """The base of all errors that end a program with a message instead of a traceback."""

    exit_code = 1
    meaning = "an error of Torpor's own"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def command(*words: str) -> str:
    """Return a command for the reader to copy: a shell takes each word as it is."""
    return " ".join(map(_word, words))


def _word(word: str) -> str:
    r"""Return the word quoted; what is not printable as $'\xNN', which bash and zsh take."""
    from shlex import quote  # not at every boot

    if word.isprintable():
        return quote(word)
    return f"$'{''.join(map(_escaped, word))}'"


def _escaped(character: str) -> str:
    if character.isascii() and character.isprintable() and character not in "'\\":
        return character
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))


class KeptError(TorporError):
    """Another boot may still restore the image: it stays on its device."""


class UnforeseenError(KeptError):
    """What no error stands for: a fault of ours, or no memory. It says nothing of the image."""


def unforeseen(error: Exception) -> UnforeseenError:
    """Return the error that names one that nobody foresaw, and where it was raised."""
    where = _where_raised(error)
    return UnforeseenError(f"an error of Torpor's own: {type(error).__name__} {error} ({where})")


def _where_raised(error: Exception) -> str:
    trace, where = error.__traceback__, ""
    while trace:
        where, trace = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}", trace.tb_next
    return where


class UsageError(TorporError):
    """The program was called in a way that makes no sense here."""

    exit_code = 2
    meaning = "wrong usage"


class NoImageError(TorporError):
    """There is nothing of ours where an image was looked for."""

    exit_code = 3
    meaning = "there is no image"


class DamagedError(TorporError):
    """The image is not what was written: a checksum, a length or a reserved byte is wrong."""

    exit_code = 4
    meaning = "the image is damaged or incomplete"


class IncompleteError(DamagedError):
    """The image has no end, or bytes after its end."""


class UnsupportedError(TorporError):
    """The image is of a version, or needs a feature, that this program does not know."""

    exit_code = 5
    meaning = "the image needs a newer Torpor"


class UnreadableError(TorporError):
    """The operating system could not read or write a file or device."""

    exit_code = 6
    meaning = "a file or device cannot be read or written"


class ServerError(UnreadableError):
    """A server could not be reached, or did not do what was asked of it."""


class UnreachableError(ServerError):
    """A server did not answer, or said that it cannot now; it may later."""


class ConflictError(ServerError):
    """An object is not as it was when it was looked at: somebody else has written it, or we."""


class NoObjectError(ServerError):
    """The server has no object of that name."""


class DeviceNotFoundError(TorporError):
    """No device is there by that name."""

    exit_code = 7
    meaning = "the device is not there"


class StoreRefusedError(TorporError):
    """The device may not or cannot hold an image."""

    exit_code = 8
    meaning = "the device cannot be used as a store"


class NoSpaceError(TorporError):
    """The image does not fit."""

    exit_code = 9
    meaning = "there is not enough room for the image"


class ForbiddenError(TorporError):
    """The kernel command line forbids it."""

    exit_code = 10
    meaning = "the kernel command line forbids the resume"


class OtherKernelError(KeptError):
    """The image belongs to another kernel."""

    exit_code = 11
    meaning = "the image belongs to another kernel"


class OtherHardwareError(KeptError):
    """The machine has another memory map, or a processor that lacks something."""

    exit_code = 12
    meaning = "the memory map or the processor is not the image's"


class KernelRefusedError(TorporError):
    """The kernel did not do what /dev/snapshot is for."""

    exit_code = 13
    meaning = "the kernel refused"


class RestoreRefusedError(KernelRefusedError, KeptError):
    """The kernel has the whole image and did not become it, for the first time."""


class AbortedError(TorporError):
    """Somebody asked to stop: SIGINT, SIGTERM or SIGHUP."""

    exit_code = 14
    meaning = "interrupted; the machine goes on"


class ConfigurationError(TorporError):
    """A file that says what to do cannot be understood."""

    exit_code = 15
    meaning = "a configuration file is wrong"


class NotReadyError(TorporError):
    """At least one finding of doctor is a problem."""

    exit_code = 16
    meaning = "hibernation is not ready"


class InitramfsError(NotReadyError):
    """An initramfs is cut off, damaged, or of a kind that the kernel or we do not know."""


class OtherInstallationError(TorporError):
    """The image belongs to another system on this or another machine."""

    exit_code = 17
    meaning = "the image belongs to another installation"


class UnknownOwnerError(OtherInstallationError):
    """The image does not tell whose it is: damaged, of a newer Torpor, or out of its place."""


class SetupError(TorporError):
    """A step of enable failed, or a file is in the way."""

    exit_code = 18
    meaning = "the system cannot be set up"


class NoGeneratorError(SetupError):
    """Nothing is known here that makes an initramfs."""


class ChangedError(TorporError):
    """A file system that the image holds mounted is not what it was."""

    exit_code = 19
    meaning = "a file system that the image holds mounted has changed or is gone"


class SpentError(TorporError):
    """The image was restored, or tried too often: never again."""

    exit_code = 20
    meaning = "the image was restored already, or tried too often"


class StateError(TorporError):
    """A file or EFI variable in which Torpor or systemd keeps something is not what they write."""

    exit_code = 21
    meaning = "a record of an earlier hibernation or boot is damaged"


class SealedError(TorporError):
    """The image is sealed, and no key was given: its contents are not looked into."""

    exit_code = 22
    meaning = "the image is sealed: without its key only checksums were checked"


class LockedError(KeptError):
    """None of the ways to the key of a sealed image is open now."""

    exit_code = 23
    meaning = "the key of the sealed image cannot be had"


class TpmRefusedError(LockedError):
    """The TPM answers with an error.

    `code` is TPM_RC without the number of the parameter, handle or session.
    """

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class NoCounterError(LockedError):
    """The TPM has no such counter: it was cleared, or somebody removed it."""


class OtherTpmError(LockedError):
    """The TPM is not the one that a key is of, or it was cleared since."""


class WrongPinError(LockedError):
    """The PIN was wrong, and the TPM takes another one."""


class ForeignError(TorporError):
    """Sealing is on, and this installation has not sealed the image."""

    exit_code = 24
    meaning = "the image is not sealed by this installation"


class Attempt:
    """What is asked of the operating system in a `with` block: an OSError there is told by cannot.

    Without contextlib, which most boots need for nothing else.
    """

    def __init__(self, verb: str, where: str) -> None:
        self._words = verb, where

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise cannot(*self._words, error) from error


def cannot(verb: str, where: str, error: OSError) -> UnreadableError:
    """Return the error that says what the operating system did not do, and why."""
    hint = "run this as root" if error.errno == errno.EACCES else ""
    return UnreadableError(f"cannot {verb} {where}: {(error.strerror or str(error)).lower()}", hint)


def of_system(error: OSError) -> UnreadableError:
    """Return the error for one of the operating system that nobody tells in better words."""
    return cannot("use", str(error.filename or _where_raised(error)), error)
