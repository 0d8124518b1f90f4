"""discard --stale: images that the resumer kept, and that this boot has made worthless."""

import os
import sys
from contextlib import ExitStack

from errors import ChangedError, DamagedError, TorporError, cannot
from format.reader import ImageReader
from format.sections.guard import Guard
from guard.compare import compare
from linux import programs
from linux.machine import boot_id
from state.record import BootRecord, HibernationRecord
from store.efi_location import clear_efi_location_of
from store.header import StoreHeader, read_header
from store.image import marked_image, open_header, opened
from torpor.output import say


def discard_stale(store: str) -> None:
    """Discard the image in `store`, or those this boot kept, if it cannot be restored any more.

    Swap that an image was in is used again as /etc/fstab has it. Why this boot did not resume is
    kept for later ones. Raises UnreadableError, UnsupportedError where an image cannot be judged;
    it stays.
    """
    _keep_why()
    with ExitStack() as files:
        headers = _named(store, files) if store else _kept(files)
        freed = [header for header in headers if _discard_if_stale(header)]
    if not headers:
        say("this boot kept no image: nothing to discard")
    if any(not header.is_store for header in freed):
        _use_swap()


def _keep_why() -> None:
    """Leave to later boots, in which /run is another, why this one did not resume."""
    try:
        last, boot = HibernationRecord.read(), BootRecord.read()
        if refused := last and boot and last.refused(boot, boot_id()):
            refused.save()
    except TorporError as error:
        print(f"torpor: {error}", file=sys.stderr)


def _named(store: str, files: ExitStack) -> list[StoreHeader]:
    return [files.enter_context(open_header(store, os.O_RDWR))]


def _kept(files: ExitStack) -> list[StoreHeader]:
    record = BootRecord.read()
    return [
        read_header(files.enter_context(opened(kept.device, os.O_RDWR)), kept.device, kept.page)
        for kept in (record.kept if record else [])
    ]


def _discard_if_stale(header: StoreHeader) -> bool:
    """Say of one store what becomes of its image; return whether it was discarded."""
    if not header.holds_image():
        say(f"no image on {header.name}: nothing to discard")
        return False
    reason = _why_stale(header)
    if not reason:
        say(f"the image on {header.name} is still good: kept")
        return False
    header.clear()
    clear_efi_location_of(header)
    say(f"the image on {header.name} is discarded: {reason}")
    return True


def _why_stale(header: StoreHeader) -> str:
    """Return why no boot can restore the image, "" if one can."""
    try:
        source = marked_image(header)
        if reason := source.mark.why_spent():
            return reason
        guard = ImageReader(source).read(Guard)
        if guard is None:
            return "it does not say what it holds mounted"
        compare(guard, lambda: False)
    except (ChangedError, DamagedError) as error:
        return str(error)
    return ""


def _use_swap() -> None:
    """Turn on all swap of /etc/fstab that is off. That some of it does not work is only said."""
    try:
        done = programs.run(["swapon", "-a"])
    except OSError as error:
        raise cannot("run", "swapon", error) from error
    if done.returncode != 0:
        print(f"torpor: swapon -a: {done.stderr.strip()}", file=sys.stderr)
