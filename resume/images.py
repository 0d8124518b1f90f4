"""What becomes of the images that were found: one is restored, or none is left that no boot may."""

import os
import time
from contextlib import ExitStack
from itertools import zip_longest
from typing import TYPE_CHECKING, NoReturn

from errors import (
    ChangedError,
    ConflictError,
    ForeignError,
    KernelRefusedError,
    NoImageError,
    TorporError,
    UnreadableError,
    unforeseen,
)
from format import checksum
from format.pipeline import prepare_process
from format.reader import ImageReader
from format.records import WORKING_SET
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
from state import sealing
from store.blocks import BlockSource
from store.image import open_image

if TYPE_CHECKING:
    from resume.unsealing import Unsealing


def restore_best(found: list[Found], request: Request, waiting: Waiting, report: Report) -> Outcome:
    """Restore one of the images; return only if that was not possible.

    No image of ours stays then but for another boot that may restore it: this one goes on, and
    mounts the file systems that they hold open. Raises a TorporError where nothing was looked into.

    An error that nobody foresaw says nothing of the images, which stay. That is safe without them
    being discarded: the guard refuses them once this boot has mounted what they hold, as it has to
    after a power cut or a kill at the same place. Who ends this boot before that has the work back.
    """
    if found[0].is_kernels:
        _hand_over(found[0], request, report)
    with ExitStack() as files:
        unsealing = _unsealing(waiting, report, asks=True)
        candidates = candidates_of(found, _here(request), files, os.O_RDWR, unsealing)
        try:
            request.refuse_forbidden()
            best, image = _choose(candidates, waiting, report)
            _discard_others([one for one in candidates if one is not best], report)
            report(kmsg.INFO, f"loading {_describe(image)}")
            restore(image, best.slot, report)
        except TorporError as error:
            return _settled(candidates, error)
        except Exception as error:  # noqa: BLE001 - see above
            return _settled(candidates, unforeseen(error))
    raise AssertionError("the kernel went on")


def check_best(found: list[Found], request: Request, waiting: Waiting, report: Report) -> None:
    """Do all that `restore_best` does but restore, and change nothing."""
    if found[0].is_kernels:
        raise NoImageError(f"no image: {found[0].first.describe(found[0].path)}")
    with ExitStack() as files:
        unsealing = _unsealing(waiting, report, asks=False)
        candidates = candidates_of(found, _here(request), files, os.O_RDONLY, unsealing)
        _, image = _choose(candidates, waiting, report)
        _check_stream(image, report)


def check_file(path: str, request: Request, waiting: Waiting, report: Report) -> None:
    """Check the image in an ordinary file or in a copy of a device, as check_best does."""
    unsealing = _unsealing(waiting, report, asks=False)
    with open_image(path, unsealing.key_of if unsealing else None) as source:
        mark = source.mark if isinstance(source, BlockSource) else None
        image = ImageReader(source)
        guard = check_image(image, mark, _here(request))
        waiting.anew()
        compare(guard, waiting.more)
        _check_stream(image, report)


def _check_stream(image: ImageReader, report: Report) -> None:
    for _ in image.stream():
        pass
    report(kmsg.INFO, f"would resume: {_describe(image)} is sound")


def _here(request: Request) -> Machine:
    """Make this process ready to read an image; return the machine that it has to be of."""
    prepare_process()
    checksum.self_test()
    return Machine.here(request.machine_id)


def _unsealing(waiting: Waiting, report: Report, *, asks: bool) -> "Unsealing | None":
    """Return what opens sealed images, None where sealing is off: most boots import nothing."""
    if not sealing.is_on():
        return None
    from resume.unsealing import unsealing_here

    return unsealing_here(waiting.find, report, asks=asks)


def _choose(
    candidates: list[Candidate], waiting: Waiting, report: Report
) -> tuple[Candidate, ImageReader]:
    """Return the first one whose file systems are as it left them, and name the others.

    Not always the first of all: where the clock was set back, a stale image seems the newest.
    Raises what is wrong with the first of all if there is none.
    """
    if not candidates:
        raise NoImageError("no image: the devices that carried a mark are gone")
    refusals: list[TorporError] = []
    for one in candidates:
        if one.refusal or not one.image:
            refusals.append(one.refusal or NoImageError("no image"))
            break
        waiting.anew()
        try:
            compare(one.guard, waiting.more)
        except ChangedError as error:
            refusals.append(error)
        else:
            _name_others(candidates, one, refusals, report)
            return one, one.image
    if not candidates[0].refusal:
        _name_others(candidates, candidates[0], refusals, report)
    raise refusals[0]


def _name_others(
    candidates: list[Candidate], chosen: Candidate, refusals: list[TorporError], report: Report
) -> None:
    """Say why each of the others is not taken; `refusals` are of the first ones."""
    why = [
        one.why_skipped(refusal)
        for one, refusal in zip_longest(candidates, refusals)
        if one is not chosen
    ]
    if why:
        report(kmsg.WARNING, f"skipped: {', '.join(why)}")


def _describe(image: ImageReader) -> str:
    """Return the image in a few words."""
    made = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(image.superblock.created_ns // 10**9))
    size = f"{image.stream_bytes >> 20} MiB in {image.stored_bytes >> 20} MiB"
    return f"the image of {image.superblock.identity.host_name} of {made} UTC, {size}"


def _discard_others(others: list[Candidate], report: Report) -> None:
    """Discard the images that the chosen one outlives; the guard refuses one that stays."""
    for candidate in reversed(others):
        try:
            candidate.discard()
        except UnreadableError as error:
            name = candidate.slot.name
            report(kmsg.WARNING, f"the other image on {name} cannot be discarded: {error}")


def _settled(candidates: list[Candidate], error: TorporError) -> Outcome:
    """Keep or discard each image, and hand the working set of one on to the booted system."""
    outcome = Outcome(error)
    if candidates and error is candidates[0].refusal:
        outcome.skipped = [candidate.why_skipped() for candidate in candidates[1:]]
    for candidate in reversed(candidates):  # a power cut in between leaves no older one alone
        name = candidate.slot.name
        try:
            if candidate.is_kept(error):
                outcome.kept.append((name, candidate.slot.page))
            elif candidate.discard():
                outcome.discarded.append(name)
        except ConflictError:
            pass  # another boot has it now
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
                from state.working_set import save_working_set  # json, where an image is refused

                save_working_set(section)
                return candidate.slot.name
        except (TorporError, OSError, MemoryError):
            continue
    return ""


def _hand_over(found: Found, request: Request, report: Report) -> NoReturn:
    """Let the kernel resume from an image of its own: what it could do without us, it still can.

    Not where sealing is on: nothing tells who made that image. ForeignError is raised then.
    Whoever looks for the image takes its name from the firmware, since the kernel that is restored
    does not (systemd's hibernate-resume.c). Raises KernelRefusedError if it did not resume.
    """
    from store.efi_location import clear_efi_location  # json, for the kernel's own images

    request.refuse_forbidden()
    if sealing.is_on():
        raise ForeignError(
            f"{found.path} holds an image of the kernel's own, which is not sealed: not restored"
        )
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
