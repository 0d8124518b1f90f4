"""torpor-resume: restores a hibernated machine, or says in one line why not."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from errors import ForbiddenError, NoImageError, TorporError, UnreadableError, UsageError
from format import checksum
from format.pipeline import prepare_process
from format.reader import ImageReader
from format.sections.guard import GuardEntry
from guard.compare import compare
from linux import cmdline, kmsg, root
from resume.candidates import Candidate, best_first, check_image, skipped
from resume.check import Machine
from resume.find import find
from resume.hand_over import hand_over
from resume.report import NAME, to_kernel_log, to_stderr
from resume.request import Request
from resume.restore import restore
from resume.wait import Waiting
from state.location import read_location
from state.record import BootRecord, KeptImage
from store.blocks import BlockSource
from store.efi_location import clear_efi_location, read_efi_location
from store.image import open_image

Report = Callable[[int, str], None]
"""Say something: a level of kmsg and a message of one line."""

Keep = Callable[[KeptImage], None]
"""Take note of an image that stays on its device."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The image to restore, if the guard lets it."""

    image: ImageReader
    guard: list[GuardEntry]


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
        "--no-wait",
        action="store_true",
        help="do not wait for the image's device: it has been waited for",
    )
    parser.add_argument(
        "--cmdline", metavar="TEXT", help="use TEXT for the kernel command line (resume=FILE too)"
    )
    return parser.parse_args()


def main() -> int:
    """Run the program; return its exit code. Does not return from a resume."""
    arguments = _parse_arguments()
    prepare_process()
    report = to_stderr if arguments.dry_run else to_kernel_log
    kept: list[KeptImage] = []
    try:
        if arguments.dry_run:
            rehearse(arguments.cmdline, report)
        else:
            request = _request(arguments.cmdline, report)
            resume(request.at_once() if arguments.no_wait else request, report, kept.append)
    except TorporError as error:
        quiet = isinstance(error, NoImageError | ForbiddenError)
        message = "; ".join([str(error), *getattr(error, "__notes__", [])])
        report(kmsg.INFO if quiet else kmsg.ERR, f"not resuming: {message}")
        if not arguments.dry_run:
            _record(BootRecord(time.time(), error.exit_code, message, kept), report)
            if not kept and root.is_in_memory():
                _clear_firmware(report)
        return error.exit_code
    return 0


def _clear_firmware(report: Report) -> None:
    """Let the firmware name no image that this boot has made stale, which boots would wait for."""
    try:
        clear_efi_location()
    except TorporError as error:
        report(kmsg.INFO, str(error))


def _record(record: BootRecord, report: Report) -> None:
    """Leave our words to the booted system, for torpor status and torpor discard --stale."""
    try:
        record.save()
    except UnreadableError as error:
        report(kmsg.INFO, str(error))


def resume(request: Request, report: Report, keep: Keep) -> None:
    """Do what is asked. Raises a TorporError that says why there was no resume."""
    if not root.is_in_memory():
        raise UsageError("this is no initramfs: a running machine is not overwritten")
    checksum.self_test()
    with ExitStack() as files:
        waiting = Waiting.of(request)
        candidates = find(request, waiting, files, os.O_RDWR)
        with _settled(candidates, keep):
            if request.forbidden:
                raise ForbiddenError("noresume on the kernel command line")
            best, choice = _choose(candidates, report)
            compare(choice.guard, waiting.more)
            for other in candidates:
                if other is not best:
                    _discard_older(other, report)
            report(kmsg.INFO, f"loading {describe(choice.image)}")
            restore(choice.image, best.header)


@contextmanager
def _settled(candidates: list[Candidate], keep: Keep) -> Iterator[None]:
    """Let no image of ours stay but for another boot that may restore it, whatever goes wrong.

    The boot goes on, and mounts the file systems that the image holds open.
    """
    try:
        yield
    except TorporError as error:
        for candidate in candidates:
            _settle(candidate, error, keep)
        hand_over(candidates, error)
        raise
    except Exception:
        with ExitStack() as all_of_them:
            for candidate in candidates:
                all_of_them.callback(candidate.discard)
        raise


def _discard_older(candidate: Candidate, report: Report) -> None:
    """Discard an image that another one outlives; the guard refuses it if it stays."""
    try:
        candidate.discard()
    except UnreadableError as error:
        name = candidate.header.name
        report(kmsg.WARNING, f"the older image on {name} cannot be discarded: {error}")


def _settle(candidate: Candidate, error: TorporError, keep: Keep) -> None:
    """Keep or discard one image, and have `error` say so."""
    header = candidate.header
    if candidate.is_kept(error):
        keep(KeptImage(header.name, header.page))
        error.add_note(f"the image on {header.name} is kept")
        return
    try:
        if candidate.discard():
            error.add_note(f"the image on {header.name} is discarded")
    except UnreadableError as trouble:
        error.add_note(f"the image on {header.name} cannot be discarded: {trouble}")


def rehearse(text: str | None, report: Report) -> None:
    """Do all that `resume` does but restore, and change nothing; `text` as for --cmdline."""
    checksum.self_test()
    request = _request(text, report)
    if request.forbidden:
        raise ForbiddenError("noresume on the kernel command line")
    waiting = Waiting.of(request)
    with ExitStack() as files:
        if text is not None and os.path.isfile(request.device):
            choice = _from_file(request, files)
        else:
            _, choice = _choose(find(request, waiting, files, os.O_RDONLY), report)
        compare(choice.guard, waiting.more)
        for _ in choice.image.stream():
            pass
        report(kmsg.INFO, f"would resume: {describe(choice.image)} is sound")


def _from_file(request: Request, files: ExitStack) -> Choice:
    """Return the image in an ordinary file or in a copy of a device."""
    source = files.enter_context(open_image(request.device))
    mark = source.mark if isinstance(source, BlockSource) else None
    image = ImageReader(source)
    return Choice(image, check_image(image, mark, Machine.here(request.machine_id)))


def _request(text: str | None, report: Report) -> Request:
    """Return what this boot asks for. What the firmware says is heard if it can be understood."""
    efi = None
    try:
        efi = read_efi_location()
    except TorporError as error:
        report(kmsg.INFO, f"{error}: ignored")
    return Request.parse(cmdline.read() if text is None else text, read_location(), efi)


def _choose(candidates: list[Candidate], report: Report) -> tuple[Candidate, Choice]:
    """Return the newest complete image of this machine, and name what is skipped.

    Raises NoImageError, or what is wrong with the one that comes nearest.
    """
    if not candidates:
        raise NoImageError("no image: no device carries a mark")
    best, *others = best_first(candidates)
    if best.refusal or not best.image:
        refusal = best.refusal or NoImageError("no image")
        if others:
            refusal.add_note(skipped(others))
        raise refusal
    if others:
        report(kmsg.WARNING, skipped(others))
    return best, Choice(best.image, best.guard)


def describe(image: ImageReader) -> str:
    """Return the image in a few words."""
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(image.superblock.created_ns // 10**9))
    size = f"{image.stream_bytes >> 20} MiB in {image.stored_bytes >> 20} MiB"
    return f"the image of {image.superblock.identity.host_name} of {made} UTC, {size}"


if __name__ == "__main__":
    sys.exit(main())
