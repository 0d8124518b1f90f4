"""Hibernate now; return after the resume.

If anything fails, the machine goes on, and a message says why.
"""

import argparse
from dataclasses import replace
from functools import partial

from errors import KernelRefusedError, NotReadyError, StoreRefusedError, TorporError
from hibernate.attempts import carry_out
from hibernate.plan import Plan
from linux import cmdline, kmsg
from linux.kmsg import Log
from linux.root import HOST
from state.conf import MODES, WORKING_SETS, Conf, parse_image_size, read_conf
from state.location import read_location
from state.record import recording
from store.choose import Settings, choose_store, doubts, other_swaps
from store.find import Found
from torpor.arguments import add_codec, size
from torpor.doctor.facts import Facts
from torpor.doctor.unreached import unreached
from torpor.output import say, warn


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument(
        "--store",
        metavar="STORE",
        help="write to this store or active swap: a path, UUID=, LABEL=, PARTUUID= or PARTLABEL=; "
        "default: torpor.conf's, else resume='s, else torpor enable's, else the largest swap",
    )
    parser.add_argument(
        "--image-size",
        metavar="min|max|SIZE",
        type=size(parse_image_size),
        help="limit the snapshot to this many bytes (suffixes K, M, G, T); min: the smallest that "
        "the kernel can make, max: the largest; default: what the kernel prefers",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        help="how to power off; default: platform if the firmware has it, else shutdown",
    )
    add_codec(parser, default=None)
    parser.add_argument(
        "--working-set",
        choices=WORKING_SETS,
        help="bring back after the resume what was in memory besides the snapshot; no-paths: "
        "record inodes in place of file names; default: on",
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="read the whole image back from the device before it counts",
    )
    parser.add_argument(
        "--sleep-hooks",
        action="store_true",
        help="run the programs in /usr/lib/systemd/system-sleep before and after, as systemd does",
    )


def run(arguments: argparse.Namespace) -> None:
    """Hibernate; return when the machine has been resumed. Raises a TorporError if it goes on."""
    with recording(warn) as under_way:
        log = _kernel_log()
        settings = Settings(read_conf(), cmdline.read(), read_location())
        store = choose_store(arguments.store, settings)
        if store.others_image:  # before anything is recorded, and the firmware told
            raise store.others_image
        is_found = _is_found(store, settings)
        _refuse_unreached(store)
        plan = replace(
            Plan.of(store.path, _conf(arguments, settings)),
            verify=arguments.verify,
            sleep_hooks=arguments.sleep_hooks,
            is_found=is_found,
        )
        carry_out(plan, under_way, log)
    say("torpor: resumed")


def _conf(arguments: argparse.Namespace, settings: Settings) -> Conf:
    """Return the configuration; what the arguments say comes first."""
    names = ("image_size", "mode", "codec", "working_set")
    said = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    return replace(settings.conf, **said)


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


def _kernel_log() -> Log:
    try:
        log = kmsg.KernelLog("torpor")
    except OSError as error:
        raise KernelRefusedError(
            f"cannot write to /dev/kmsg: {error}", "run this as root"
        ) from error
    return partial(log.write, kmsg.INFO)
