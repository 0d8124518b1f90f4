"""Where torpor-resume starts: with a first look, and with the whole program if that is not enough.

Arguments that are not the usual ones are the whole program's, too: argparse takes 10 ms to import.
"""

import sys

from errors import NoImageError, UnreadableError
from linux import kmsg
from resume import report
from resume.first_look import why_no_image
from state import early


def main() -> int:
    """Run the program; return its exit code. Does not return from a resume."""
    plain = _plain(sys.argv[1:])
    if plain is not None:
        is_rehearsal, text = plain
        reason = why_no_image(text, rehearsed=is_rehearsal)
        if reason is not None:
            _say(reason, rehearsed=is_rehearsal)
            return NoImageError.exit_code
    from resume.__main__ import main as whole_program  # that is what this module is for

    return whole_program()


def _say(reason: str, *, rehearsed: bool) -> None:
    """Say it as the whole program does, and leave it to the booted system."""
    message = f"not resuming: {reason}"
    if rehearsed:
        report.to_stderr(kmsg.INFO, message)
        return
    report.to_kernel_log(kmsg.INFO, message)
    try:
        early.save_refusal(NoImageError.exit_code, reason)
    except UnreadableError as error:
        report.to_kernel_log(kmsg.INFO, str(error))


def _plain(arguments: list[str]) -> tuple[bool, str | None] | None:
    """Return whether it is a dry run, and the command line to use; None for unusual arguments."""
    rest, text = list(arguments), None
    if "--cmdline" in rest[:-1]:
        at = rest.index("--cmdline")
        text = rest[at + 1]
        del rest[at : at + 2]
    if not {*rest} <= {"--dry-run", "--no-wait"} or (text or "").startswith("-"):
        return None
    return "--dry-run" in rest, text
