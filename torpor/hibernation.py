"""What `torpor hibernate` asks before it hibernates; imported while the working set is recorded."""

import argparse
from contextlib import suppress
from typing import TYPE_CHECKING

from errors import NotReadyError, StoreRefusedError, TorporError
from hibernate.attempts import carry_out
from hibernate.plan import Plan
from linux import cmdline
from linux.kmsg import Log
from linux.root import HOST
from state import sealing
from state.conf import Conf
from state.location import read_location
from state.record import Recording
from store.choose import Settings, choose_store, doubts, other_swaps
from store.find import Found
from torpor.doctor.facts import Facts
from torpor.doctor.unreached import unreached
from torpor.output import warn
from workingset.recorder import Recorder

if TYPE_CHECKING:
    from seal.sender import Sender


def hibernate(
    arguments: argparse.Namespace,
    conf: Conf,
    under_way: Recording,
    working_set: Recorder,
    log: Log,
) -> None:
    """Hibernate as arguments and configuration say; return in the second life.

    Raises a TorporError if the machine goes on.
    """
    settings = Settings(conf, cmdline.read(), read_location())
    store = choose_store(arguments.store, settings)
    if store.others_image:  # before anything is kept of it, and the firmware told
        raise store.others_image
    is_found = _is_found(store, settings)
    _refuse_unreached(store)
    plan = Plan.of(store.path, conf)._replace(
        verify=arguments.verify,
        sleep_hooks=arguments.sleep_hooks,
        is_found=is_found,
        sender=_sender(),
    )
    carry_out(plan, under_way, working_set, log)


def _sender() -> "Sender | None":
    """Return who seals the image, None where sealing is off; warn of keys that it is not for.

    Raises as Sender.here.
    """
    if not sealing.is_on():
        return None
    from seal.sender import Sender  # libsodium, where sealing is on

    sender = Sender.here()
    for trouble in sender.troubles if sender else ():
        warn(trouble, "torpor key list says what else opens it")
    _warn_of_next_boot()
    return sender


def _warn_of_next_boot() -> None:
    """Warn if the TPM opens no image in it; where that cannot be told, `torpor doctor` says why."""
    from torpor.doctor.check_sealing import next_boot

    with suppress(TorporError, OSError):
        for finding in next_boot(Facts(HOST)):
            warn(finding.message, finding.remedy)


def _is_found(store: Found, settings: Settings) -> bool:
    """Return whether the next boot looks in the store; warn if not, and of other swap.

    Raises StoreRefusedError if it cannot find the store.
    """
    doubted = list(doubts(store, settings))
    for doubt in doubted:
        if doubt.is_certain:
            raise StoreRefusedError(doubt.message, doubt.remedy)
        warn(doubt.message, f"unless the next boot resumes, it starts cold; {doubt.remedy}")
    if others := other_swaps(store):
        warn(
            f"there is swap on {', '.join(others)}, too, which is not compared at the resume",
            "let no other system use it until this one has resumed",
        )
    return not doubted


def _refuse_unreached(store: Found) -> None:
    """Raise NotReadyError if the next boot does not reach the store or what is mounted.

    Where that cannot be told, `torpor doctor` says why.
    """
    try:
        lost = unreached(Facts(HOST, store=store))
    except (TorporError, OSError):
        return
    if lost:
        raise NotReadyError(lost[0].message, lost[0].remedy)
