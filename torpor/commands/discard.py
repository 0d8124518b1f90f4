"""Throw away the image in a store; a swap partition becomes swap again."""

import argparse
import os
from contextlib import ExitStack
from functools import partial

from errors import (
    Attempt,
    NoImageError,
    OtherInstallationError,
    SealedError,
    TorporError,
    UnknownOwnerError,
)
from guard.stale import why_stale
from linux import programs
from linux.machine import boot_id
from linux.proc import lines
from s3.scheme import is_server
from state import sealing
from state.boot import BootRecord
from state.record import keep_refusal
from store.header import read_header
from store.identity import refuse_others
from store.image import open_header, opened
from store.protocol import PageSlot
from torpor.discarding import discard
from torpor.output import remark, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("store", metavar="STORE", nargs="?", help="a store, or swap")
    which.add_argument(
        "--stale",
        metavar="STORE",
        nargs="?",
        const="",
        help="only an image that no boot can restore, and use its swap again; "
        "default: the images that the resumer of this boot kept",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="also an image of another system that shares the store, or that does not tell whose "
        "it is",
    )
    parser.set_defaults(usage_error=parser.error)


def run(arguments: argparse.Namespace) -> None:
    """Throw the image away and put the store in order.

    Raises NoImageError, UnreadableError, OtherInstallationError.
    """
    if arguments.stale is not None:
        if arguments.force:
            arguments.usage_error("--force is for a STORE, not for --stale")
        _discard_stale(arguments.stale)
        return
    with open_header(arguments.store, os.O_RDWR) as header:
        if not header.holds_image():
            raise NoImageError(f"no marked image on {arguments.store}: nothing changed")
        if not arguments.force:
            refuse_others(header)
        discard(header)
    what = "an empty store" if header.is_store else "swap as before; swapon uses it"
    say(f"the image is discarded: {arguments.store} is {what}")


def _discard_stale(store: str) -> None:
    """Discard the image in `store`, or those this boot kept, if it cannot be restored any more.

    Swap that an image was in is used again as /etc/fstab has it. Why this boot did not resume is
    kept for later ones, and what it has missed no later one restores. Raises UnreadableError,
    UnsupportedError where an image cannot be judged; it stays.
    """
    for step in (partial(keep_refusal, boot_id()), _spend_missed):
        try:
            step()
        except TorporError as error:
            remark([str(error)])
    kept = [] if store else _kept()
    with ExitStack() as files:
        headers = [files.enter_context(open_header(store, os.O_RDWR))] if store else []
        for name, page in kept:
            if is_server(name):
                _leave_to_others(name)
            else:
                fd = files.enter_context(opened(name, os.O_RDWR))
                headers.append(read_header(fd, name, page))
        freed = [header for header in headers if _discard_if_stale(header)]
    if not (store or kept):
        say("this boot kept no image: nothing to discard")
    if any(not header.is_store for header in freed):
        with Attempt("run", "swapon"):
            done = programs.run(["swapon", "-a"])
        if done.returncode != 0:  # that some of it does not work is only said
            remark(f"swapon -a: {line}" for line in lines(done.stderr))


def _spend_missed() -> None:
    """Have the TPM count if it would still open an image of before this boot, wherever that is.

    Raises LockedError, StateError, UnreadableError.
    """
    if not sealing.is_on():
        return
    from seal import pending, tpm

    if pending.spend(tpm.Tpm()):
        say("no boot restores the image of before this one any more: the TPM has counted")


def _kept() -> list[tuple[str, int]]:
    record = BootRecord.read()
    return record.kept if record else []


def _leave_to_others(url: str) -> None:
    """Have an image on a server judged later: there is no network yet, and none for this unit."""
    from hibernate.leftovers import UNIT, remove_leftovers  # for such an image only

    say(f"the image on {url} is left to {UNIT}, which waits for the network")
    remove_leftovers(url, lambda line: remark([line]))


def _discard_if_stale(header: PageSlot) -> bool:
    """Say of one store what becomes of its image; return whether it was discarded."""
    if not header.holds_image():
        header.tidy()
        say(f"no image on {header.name}: nothing to discard")
        return False
    try:
        refuse_others(header)
    except UnknownOwnerError:
        if not header.is_in_place():
            raise
    except OtherInstallationError as error:
        say(f"{error}: kept")
        return False
    reason = _why_stale(header)
    if not reason:
        say(f"the image on {header.name} is still good: kept")
        return False
    discard(header)
    say(f"the image on {header.name} is discarded: {reason}")
    return True


def _why_stale(header: PageSlot) -> str:
    """As guard.stale.why_stale. What a sealed image holds mounted nobody reads without its key."""
    try:
        return why_stale(header)
    except SealedError:
        from seal.pending import is_written_to

        changed = "this boot has changed the file system of the keys that sealed it"
        return changed if is_written_to() else ""
