"""hibernate: what was asked for, carried out, and how it went kept for `torpor status`."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from uuid import uuid4

from errors import KernelRefusedError, NoSpaceError, TorporError, UnreadableError
from format import codec
from hibernate.choose import Settings, check_found, choose_store, other_swaps
from hibernate.downtime import Downtime
from hibernate.firmware import named_in_firmware
from hibernate.plan import Plan
from hibernate.power_off import Mode, default_mode
from hibernate.sequence import hibernate
from hibernate.sleep_hooks import sleep_hooks
from linux import cmdline, kmsg
from linux.kmsg import Log
from linux.machine import boot_id
from state.conf import ON, read_conf
from state.location import read_location
from state.record import HibernationRecord, Outcome
from torpor.output import say
from torpor.record_replay import bring_back, recorded

_Attempt = Callable[[Plan, Log, Downtime], None]


def hibernate_command(arguments: argparse.Namespace) -> None:
    """Hibernate; return when the machine has been resumed."""
    begun = HibernationRecord(Outcome.BEGUN, time.time(), 0, boot_id(), "", "", 0, "")
    with _kept(begun) as record:
        settings = Settings(read_conf(), cmdline.read(), read_location())
        store = choose_store(arguments.store, settings)
        if warning := check_found(store, settings):
            _warn(warning, "unless the next boot finds it there, the machine will start cold")
        if others := other_swaps(store):
            _warn(
                f"there is swap on {', '.join(others)}, too, which is not compared at the resume",
                "let no other system use it until this one has resumed",
            )
        conf = settings.conf
        asked = arguments.mode or conf.mode
        mode = Mode(asked) if asked else default_mode()
        size = conf.image_size if arguments.image_size is None else arguments.image_size
        name = arguments.codec or conf.codec or codec.DEFAULT
        plan = Plan(store, mode, size, conf.helpers, arguments.verify, name)
        record(store=store, image_uuid=str(plan.image_uuid))
        log = _kernel_log()
        wish = arguments.working_set or conf.working_set or ON
        with sleep_hooks(log) if arguments.sleep_hooks else nullcontext():
            working_set = recorded(wish, plan.largest_image(), log)
            try:
                with named_in_firmware(store, log, is_reached=not warning):
                    _hibernate(plan, record, log, working_set)
            finally:  # even if it failed: the kernel has made room by then
                bring_back(working_set, log)
    say("torpor: resumed")


def _hibernate(plan: Plan, record: "_Keeper", log: Log, working_set: bytes) -> None:
    """Hibernate; where the image does not fit, once more with the smallest that the kernel makes.

    That is another image: chunks of the first one on the disk are not to be taken for its own.
    """
    downtime = Downtime()
    try:
        _try_twice(plan, record, partial(hibernate, working_set=working_set), log, downtime)
    finally:
        record(downtime=downtime.seconds)


def _try_twice(
    plan: Plan, record: "_Keeper", attempt: "_Attempt", log: Log, downtime: Downtime
) -> None:
    try:
        attempt(plan, log, downtime)
    except NoSpaceError as error:
        if plan.image_size == 0:
            raise
        log(f"{error}; trying once more with the smallest image")
    else:
        return
    smallest = replace(plan, image_size=0, image_uuid=uuid4())
    record(image_uuid=str(smallest.image_uuid))
    try:
        attempt(smallest, log, downtime)
    except NoSpaceError as error:
        message = f"{error}; even the smallest image does not fit"
        raise NoSpaceError(message, "use a larger store, or close programs") from error


class _Keeper:
    """The record of this hibernation, kept anew with each change."""

    def __init__(self, record: HibernationRecord) -> None:
        self._record = record

    def __call__(self, **changes: object) -> None:
        self._record = replace(self._record, **changes)  # type: ignore[arg-type]
        try:
            self._record.save()
        except UnreadableError as error:
            _warn(str(error), "torpor status will not know of this hibernation")


@contextmanager
def _kept(record: HibernationRecord) -> Iterator[_Keeper]:
    """Keep how it ends: when the block is left the machine goes on, resumed or not."""
    keeper = _Keeper(record)
    try:
        yield keeper
    except TorporError as error:
        keeper(
            outcome=Outcome.FAILED,
            ended=time.time(),
            exit_code=error.exit_code,
            message=str(error),
        )
        raise
    keeper(outcome=Outcome.RESUMED, ended=time.time())


def _warn(message: str, consequence: str) -> None:
    print(f"torpor: warning: {message}\n  {consequence}", file=sys.stderr)


def _kernel_log() -> Log:
    try:
        log = kmsg.KernelLog("torpor")
    except OSError as error:
        raise KernelRefusedError(
            f"cannot write to /dev/kmsg: {error}", "run this as root"
        ) from error
    return lambda message: log.write(kmsg.INFO, message)
