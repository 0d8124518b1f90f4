"""Ends the time in which the TPM opens images: when the resumer ends, however it does."""

from errors import TorporError
from linux import kmsg
from resume.report import Report
from state.sealing import read_trust

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def shut_after(program: "Callable[[], int]", report: Report) -> int:
    """Run it; have the TPM open no image any more in this boot, which goes on to other programs.

    Whoever came to a shell of the same initramfs would have what was measured, too. He may have a
    device that keeps us until systemd ends us.
    """
    if not _needs_tpm():
        return program()
    from linux.terminal import ended_in_order  # signal and more, where a TPM is asked

    with ended_in_order():
        try:
            return program()
        finally:
            _shut(report)


def _needs_tpm() -> bool:
    try:
        trust = read_trust()
    except TorporError:
        return True  # for all that is known
    return trust is not None and trust.needs_tpm


def _shut(report: Report) -> None:
    from seal.tpm import Tpm  # subprocess

    try:
        tpm = Tpm()
        if tpm.is_there():
            tpm.shut()
    except TorporError as error:
        report(kmsg.WARNING, f"the TPM still opens what was sealed for this boot: {error}")
