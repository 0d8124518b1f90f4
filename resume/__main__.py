"""torpor-resume: restores a hibernated machine, or says in one line why not.

Nearly every boot has no image. Up to the end of `find` all boots go the same way, on which each
import costs milliseconds: tests/unit/test_resume_light.py says what must not come in.
"""

import os
import sys

from errors import DeviceNotFoundError, TorporError, UsageError, unforeseen
from linux import kmsg, root
from resume.arguments import USAGE, Arguments
from resume.find import find
from resume.outcome import Outcome
from resume.report import Report, show, to_console, to_kernel_log, to_stderr
from resume.request import Request, read_request
from resume.shutting import shut_after
from resume.wait import Waiting, wait_beside_loop


def main() -> int:
    """Run the program; return its exit code. Does not return from a resume."""
    try:
        arguments = Arguments(sys.argv[1:])
        if arguments.help:
            show(USAGE, sys.stdout)
            return 0
        if not (arguments.dry_run or root.is_in_memory()):
            raise UsageError("this is no initramfs: a running machine is not overwritten", USAGE)
    except UsageError as error:
        to_stderr(kmsg.ERR, str(error))
        show(error.hint, sys.stderr)
        return error.exit_code
    if arguments.wait:
        return _wait(arguments)
    if arguments.dry_run:
        return _run(arguments, to_stderr)
    return shut_after(lambda: _run(arguments, to_kernel_log), to_kernel_log)


def _run(arguments: Arguments, report: Report) -> int:
    try:
        if arguments.dry_run:
            rehearse(arguments.cmdline, report)
            return 0
        request = read_request(arguments.cmdline)
        outcome = resume(request, Waiting(request, to_console, arguments.meanwhile), report)
    except TorporError as error:
        outcome = Outcome(error)
    except Exception as error:  # noqa: BLE001 - a line for the booted system, too
        outcome = Outcome(unforeseen(error))
    outcome.say(report)
    if not arguments.dry_run:
        outcome.leave_behind(report)
    return outcome.error.exit_code


def resume(request: Request, waiting: Waiting, report: Report) -> Outcome:
    """Resume; return why that was not possible. Raises a TorporError where no image was found."""
    request.complain(report)
    found = find(request, waiting)
    from resume.images import restore_best  # all that it takes to read an image

    return restore_best(found, request, waiting, report)


def rehearse(text: str | None, report: Report) -> None:
    """Do all that `resume` does but restore, and change nothing; `text` as for --cmdline.

    Raises a TorporError that says why there would be no resume.
    """
    request = read_request(text, changes_nothing=True)
    request.complain(report)
    request.refuse_forbidden()
    waiting = Waiting(request, lambda message: report(kmsg.INFO, message))
    named = request.places[0].resume if request.places and text is not None else ""
    if os.path.isfile(named):
        from resume.images import check_file

        check_file(named, request, waiting, report)
    else:
        found = find(request, waiting)
        from resume.images import check_best

        check_best(found, request, waiting, report)


def _wait(arguments: Arguments) -> int:
    """Wait for the device beside the loop that opens it; all else is for the start after that."""
    try:
        wait_beside_loop(read_request(arguments.cmdline), to_console)
    except TorporError as error:
        return error.exit_code if isinstance(error, DeviceNotFoundError) else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
