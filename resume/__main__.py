"""torpor-resume: restores a hibernated machine, or says in one line why not."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from format import checksum
from format.errors import NoImageError, TorporError, UnreadableError
from format.pipeline import prepare_process
from format.reader import ImageReader
from kernel import cmdline, kmsg, mounts
from resume.candidates import Candidate, best_first, passed_over
from resume.check import check_identity
from resume.errors import NotAskedError, UsageError
from resume.find import find
from resume.report import NAME, Report, to_kernel_log, to_stderr
from resume.request import Request
from resume.restore import restore
from state.location import read_location
from state.record import BootRecord
from store.header import StoreHeader
from store.identity import this_machine
from store.image import open_image


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Restore the hibernated machine that resume= on the kernel command line names. "
        "Meant to be run in an initramfs, before the root file system is mounted.",
        epilog="Exit codes are those of torpor(8).",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="do everything but restore, and change nothing"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="do not wait for the device: it has been waited for"
    )
    parser.add_argument(
        "--cmdline", metavar="TEXT", help="use TEXT for the kernel command line (resume=FILE too)"
    )
    return parser.parse_args()


def main() -> int:
    """Run the program; return its exit code. Does not return from a resume."""
    arguments = _parse_arguments()
    prepare_process()
    report = to_stderr if arguments.dry_run else to_kernel_log()
    try:
        if arguments.dry_run:
            rehearse(arguments.cmdline, report)
        else:
            request = Request.parse(_command_line(arguments.cmdline), read_location())
            resume(request.at_once() if arguments.no_wait else request, report)
    except TorporError as error:
        quiet = isinstance(error, NoImageError | NotAskedError)
        message = "; ".join([str(error), *getattr(error, "__notes__", [])])
        report(kmsg.INFO if quiet else kmsg.ERR, f"not resuming: {message}")
        if not arguments.dry_run:
            _keep(BootRecord(time.time(), error.exit_code, message), report)
        return error.exit_code
    return 0


def _keep(record: BootRecord, report: Report) -> None:
    """Leave our words to the booted system, for torpor status."""
    try:
        record.save()
    except UnreadableError as error:
        report(kmsg.INFO, str(error))


def resume(request: Request, report: Report) -> None:
    """Do what is asked. Raises a TorporError that says why there was no resume."""
    if not mounts.is_initramfs(mounts.read_mounts()):
        raise UsageError("this is no initramfs: a running machine is not overwritten")
    checksum.self_test()
    with ExitStack() as files:
        candidates = find(request, files, os.O_RDWR)
        with _discarded_unless_restored(candidates):
            if request.forbidden:
                raise NotAskedError("noresume on the kernel command line")
            image, header = _choose(candidates, report)
            for other in candidates:
                if other.header is not header:
                    other.discard()
            report(kmsg.INFO, f"loading {describe(image)}")
            restore(image, header)


@contextmanager
def _discarded_unless_restored(candidates: list[Candidate]) -> Iterator[None]:
    """Let no image of ours stay, whatever goes wrong here.

    The boot goes on and mounts the file systems that the image holds open: it is stale from then.
    """
    try:
        yield
    except TorporError as error:
        for candidate in candidates:
            if candidate.discard():
                error.add_note(f"the image on {candidate.header.name} is discarded")
        raise
    finally:
        for candidate in candidates:
            candidate.discard()


def rehearse(text: str | None, report: Report) -> None:
    """Do all that `resume` does but restore, and change nothing; `text` as for --cmdline."""
    checksum.self_test()
    request = Request.parse(_command_line(text), read_location())
    if request.forbidden:
        raise NotAskedError("noresume on the kernel command line")
    if text is not None and os.path.isfile(request.device):
        with open_image(request.device) as source:
            image = ImageReader(source)
            check_identity(image.superblock.identity, this_machine(request.machine_id))
            _read_all(image, report)
        return
    with ExitStack() as files:
        image, _ = _choose(find(request, files, os.O_RDONLY), report)
        _read_all(image, report)


def _read_all(image: ImageReader, report: Report) -> None:
    for _ in image.stream():
        pass
    report(kmsg.INFO, f"would resume: {describe(image)} is sound")


def _command_line(text: str | None) -> str:
    return cmdline.read() if text is None else text


def _choose(candidates: list[Candidate], report: Report) -> tuple[ImageReader, StoreHeader]:
    """Return the newest complete image of this machine, and name what is passed over.

    Raises NoImageError, or what is wrong with the one that comes nearest.
    """
    if not candidates:
        raise NoImageError("no image: no device carries a mark")
    best, *others = best_first(candidates)
    if best.refusal or not best.image:
        refusal = best.refusal or NoImageError("no image")
        if others:
            refusal.add_note(passed_over(others))
        raise refusal
    if others:
        report(kmsg.WARNING, passed_over(others))
    return best.image, best.header


def describe(image: ImageReader) -> str:
    """Return the image in a few words."""
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(image.superblock.created_ns // 10**9))
    size = f"{image.stream_bytes >> 20} MiB in {image.stored_bytes >> 20} MiB"
    return f"the image of {image.superblock.identity.host_name} of {made} UTC, {size}"


if __name__ == "__main__":
    sys.exit(main())
