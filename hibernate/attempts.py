"""A hibernation with all that goes before and after it, in two attempts if it takes them."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from uuid import uuid4

from errors import NoSpaceError
from hibernate.downtime import Downtime
from hibernate.firmware import named_in_firmware
from hibernate.plan import Plan
from hibernate.sequence import hibernate
from hibernate.sleep_hooks import sleep_hooks
from linux.kmsg import Log
from state.record import Recording
from workingset.background import bring_back, recorded


def carry_out(plan: Plan, recording: Recording, log: Log) -> None:
    """Hibernate as planned; return in the second life. Raises as hibernate.sequence does.

    Systemd's hooks run around it. The working set is recorded before, and brought back after it,
    even if it failed: the kernel has made room by then. The firmware names the store meanwhile.
    """
    recording.keep(replace(recording.record, store=plan.store, image_uuid=str(plan.image_uuid)))
    downtime = Downtime()
    with sleep_hooks(log) if plan.sleep_hooks else nullcontext():
        working_set = recorded(plan.working_set, plan.largest_image(), log)

        def attempt(plan: Plan) -> None:
            if recording.record.image_uuid != str(plan.image_uuid):
                recording.keep(replace(recording.record, image_uuid=str(plan.image_uuid)))
            hibernate(plan, log, downtime, working_set)

        try:
            with named_in_firmware(plan.store, log, is_reached=plan.is_found):
                try_twice(plan, attempt, log)
        finally:
            recording.keep(replace(recording.record, downtime=downtime.seconds))
            bring_back(working_set, log)


def try_twice(plan: Plan, attempt: Callable[[Plan], None], log: Log) -> None:
    """Hibernate; where the image does not fit, once more with the smallest that the kernel makes.

    That is another image: chunks of the first one on the disk are not to be taken for its own.
    Raises what `attempt` raises.
    """
    try:
        attempt(plan)
    except NoSpaceError as error:
        if plan.image_size == 0:
            raise
        log(f"{error}; trying once more with the smallest image")
    else:
        return
    try:
        attempt(replace(plan, image_size=0, image_uuid=uuid4()))
    except NoSpaceError as error:
        message = f"{error}; even the smallest image does not fit"
        raise NoSpaceError(message, "use a larger store, or close programs") from error
