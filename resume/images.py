"""What becomes of the images that were found: one is restored, or none is left that no boot may."""

import os
import time
from contextlib import ExitStack
from typing import NoReturn

from errors import KernelRefusedError, NoImageError, TorporError, UnreadableError
from format import checksum
from format.pipeline import prepare_process
from format.reader import ImageReader
from format.records import WORKING_SET
from format.tables import GuardEntry
from guard.compare import compare
from linux import kmsg, power
from resume.candidates import Candidate, candidates_of, check_image
from resume.check import Machine
from resume.find import Found
from resume.outcome import Outcome
from resume.report import Report
from resume.request import Request
from resume.restore import restore
from resume.wait import Waiting
from state.working_set import save_working_set
from store.blocks import BlockSource
from store.efi_location import clear_efi_location
from store.image import open_image


def restore_best(found: list[Found], request: Request, waiting: Waiting, report: Report) -> Outcome:
    """Restore one of the images; return only if that was not possible.

    No image of ours stays then but for another boot that may restore it: this one goes on, and
    mounts the file systems that they hold open. Raises a TorporError where nothing was looked into.
    """
    if found[0].is_kernels:
        _hand_over(found[0], request, report)
    with ExitStack() as files:
        candidates = candidates_of(found, _here(request), files, os.O_RDWR)
        try:
            request.refuse_forbidden()
            best, image = _choose(candidates, report)
            waiting.anew()
            compare(best.guard, waiting.more)
            _discard_older(candidates[1:], report)
            report(kmsg.INFO, f"loading {_describe(image)}")
            restore(image, best.slot)
        except TorporError as error:
            return _settled(candidates, error)
        except Exception:
            with ExitStack() as all_of_them:
                for candidate in candidates:
                    all_of_them.callback(candidate.discard)
            raise
    raise AssertionError("the kernel went on")


def check_best(found: list[Found], request: Request, waiting: Waiting, report: Report) -> None:
    """Do all that `restore_best` does but restore, and change nothing."""
    if found[0].is_kernels:
        raise NoImageError(f"no image: {found[0].first.describe(found[0].path)}")
    with ExitStack() as files:
        candidates = candidates_of(found, _here(request), files, os.O_RDONLY)
        best, image = _choose(candidates, report)
        _check(image, best.guard, waiting, report)


def check_file(path: str, request: Request, waiting: Waiting, report: Report) -> None:
    """Check the image in an ordinary file or in a copy of a device, as check_best does."""
    with open_image(path) as source:
        mark = source.mark if isinstance(source, BlockSource) else None
        image = ImageReader(source)
        _check(image, check_image(image, mark, _here(request)), waiting, report)


def _check(image: ImageReader, guard: list[GuardEntry], waiting: Waiting, report: Report) -> None:
    waiting.anew()
    compare(guard, waiting.more)
    for _ in image.stream():
        pass
    report(kmsg.INFO, f"would resume: {_describe(image)} is sound")


def _here(request: Request) -> Machine:
    """Make this process ready to read an image; return the machine that it has to be of."""
    prepare_process()
    checksum.self_test()
    return Machine.here(request.machine_id)


def _choose(candidates: list[Candidate], report: Report) -> tuple[Candidate, ImageReader]:
    """Return the first one, and name the others. Raises what is wrong with it."""
    if not candidates:
        raise NoImageError("no image: the devices that carried a mark are gone")
    best, *others = candidates
    if best.refusal or not best.image:
        raise best.refusal or NoImageError("no image")
    if others:
        report(kmsg.WARNING, f"skipped: {', '.join(other.why_skipped() for other in others)}")
    return best, best.image


def _describe(image: ImageReader) -> str:
    """Return the image in a few words."""
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(image.superblock.created_ns // 10**9))
    size = f"{image.stream_bytes >> 20} MiB in {image.stored_bytes >> 20} MiB"
    return f"the image of {image.superblock.identity.host_name} of {made} UTC, {size}"


def _discard_older(others: list[Candidate], report: Report) -> None:
    """Discard the images that the chosen one outlives; the guard refuses one that stays."""
    for candidate in others:
        try:
            candidate.discard()
        except UnreadableError as error:
            name = candidate.slot.name
            report(kmsg.WARNING, f"the older image on {name} cannot be discarded: {error}")


def _settled(candidates: list[Candidate], error: TorporError) -> Outcome:
    """Keep or discard each image, and hand the working set of one on to the booted system."""
    outcome = Outcome(error)
    if candidates and error is candidates[0].refusal:
        outcome.skipped = [candidate.why_skipped() for candidate in candidates[1:]]
    for candidate in candidates:
        name = candidate.slot.name
        try:
            if candidate.is_kept(error):
                outcome.kept.append((name, candidate.slot.page))
            elif candidate.discard():
                outcome.discarded.append(name)
        except UnreadableError as trouble:
            outcome.not_discarded.append(f"{name} cannot be discarded: {trouble}")
    outcome.handed_on = _handed_on(candidates)
    return outcome


def _handed_on(candidates: list[Candidate]) -> str:
    """Leave the working set of the newest image of ours in /run; return where it was, or "".

    The memory is lost, but what was cached need not be: torpor-workingset.service brings it back.
    Its bytes are as they were written, by their checksums. What they mean is for the replay to
    check; that it cannot be read is no news beside the refusal.
    """
    for candidate in candidates:
        try:
            ours = candidate.image if candidate.is_ours else None
            if ours and (section := ours.table(WORKING_SET)):
                save_working_set(section)
                return candidate.slot.name
        except (TorporError, OSError, MemoryError):
            continue
    return ""


def _hand_over(found: Found, request: Request, report: Report) -> NoReturn:
    """Let the kernel resume from an image of its own: what it could do without us, it still can.

    Whoever looks for the image takes its name from the firmware, since the kernel that is restored
    does not (systemd's hibernate-resume.c). Raises KernelRefusedError if it did not resume.
    """
    request.refuse_forbidden()
    try:
        clear_efi_location()
    except TorporError as error:
        report(kmsg.INFO, str(error))
    words = f"resume from its own image on {found.path}"
    try:
        power.name_place(os.stat(found.path).st_rdev, found.page)
    except OSError as error:
        raise KernelRefusedError(f"the kernel does not {words}: {error}") from error
    raise KernelRefusedError(f"the kernel did not {words}")
