"""A hibernation with all that goes before and after it, in two attempts if it takes them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from uuid import UUID, uuid4

from errors import NoSpaceError, TorporError
from hibernate.downtime import Downtime
from hibernate.leftovers import remove_leftovers
from hibernate.opened import Opened
from hibernate.plan import Plan
from hibernate.sleep_hooks import sleep_hooks
from linux import efivar
from linux.kmsg import Log
from s3.scheme import is_server
from state.record import Recording
from store.efi_location import (
    EfiLocation,
    clear_efi_location,
    is_efi_location_set,
    write_efi_location,
)
from store.locate import name_of
from store.place import place_of
from workingset.background import bring_back
from workingset.recorder import Recorder


def carry_out(plan: Plan, recording: Recording, working_set: Recorder, log: Log) -> None:
    """Hibernate as planned; return in the second life. Raises as hibernate.sequence does.

    Systemd's hooks run around it. What `working_set` has recorded until the freeze is brought back
    after it, even if it failed: the kernel has made room by then. The firmware names the store
    meanwhile.
    """
    record = recording.record._replace(store=plan.store, image_uuid=str(plan.image_uuid))
    recording.keep(record._replace(sealing=plan.sender.names if plan.sender else ""))
    downtime = Downtime()
    with sleep_hooks(log) if plan.sleep_hooks else nullcontext():

        def attempt(plan: Plan) -> None:
            if recording.record.image_uuid != str(plan.image_uuid):
                recording.keep(recording.record._replace(image_uuid=str(plan.image_uuid)))
            hibernate_once(plan, log, working_set, downtime)

        try:
            with named_in_firmware(plan.store, log, is_reached=plan.is_found):
                try_twice(plan, attempt, log)
        finally:
            recording.keep(recording.record._replace(downtime=downtime.seconds))
            _forget_image(plan, log)
            if is_server(plan.store):
                remove_leftovers(plan.store, log)
            bring_back(working_set.section, log)


def _forget_image(plan: Plan, log: Log) -> None:
    """Have no later boot look after an image that was restored, or that was not made."""
    try:
        if plan.sender:
            plan.sender.came_back()
    except TorporError as error:
        log(str(error))


def hibernate_once(plan: Plan, log: Log, working_set: Recorder, downtime: Downtime) -> None:
    """Hibernate as hibernate.sequence does, which is imported while swap is being got."""
    with Opened(plan) as opened:
        from hibernate.sequence import hibernate

        hibernate(plan, opened, log, working_set, downtime)


def try_twice(plan: Plan, attempt: Callable[[Plan], None], log: Log) -> None:
    """Hibernate; where the image does not fit, once more with the smallest that the kernel makes.

    That is another image: chunks of the first one on the disk are not to be taken for its own.
    Raises what `attempt` and Sender.again raise.
    """
    try:
        attempt(plan)
    except NoSpaceError as error:
        if plan.image_size == 0:
            raise
        log(f"{error}; trying once more with the smallest image")
    else:
        return
    sender = plan.sender and plan.sender.again()
    try:
        attempt(plan._replace(image_size=0, image_uuid=uuid4(), sender=sender))
    except NoSpaceError as error:
        message = f"{error}; even the smallest image does not fit"
        raise NoSpaceError(message, "use a larger store, or close programs") from error


@contextmanager
def named_in_firmware(store: str, log: Log, *, is_reached: bool) -> Iterator[None]:
    """Name the store at the path `store`, and no more when the block is left: resumed, or not.

    As systemd does before it sleeps. So an initramfs finds the image that knows an older place or
    none, as one that came ready-made, and systemd's own resume agrees with us about the place. It
    declines our images. Only if `is_reached`, what the next boot opens anyway: systemd waits two
    minutes for it. What goes wrong is no reason not to hibernate: it is logged. Another system's
    name stays.
    """
    if is_server(store) or not efivar.is_there():
        yield
        return
    _clear(log)
    try:
        if is_reached:
            _name(store, log)
        yield
    finally:
        _clear(log)


def _name(store: str, log: Log) -> None:
    from linux.os_release import os_release  # with shlex, only where there is such firmware

    try:
        place = place_of(store)
        tag, _, value = name_of(place.device).partition("=")
        if tag != "UUID" or is_efi_location_set():
            return
        location = EfiLocation(UUID(value), place.page, os.uname().release)
        write_efi_location(location, os_release())
    except (TorporError, OSError, ValueError) as error:
        log(f"the firmware is not told of {store}: {error}")


def _clear(log: Log) -> None:
    try:
        clear_efi_location()
    except TorporError as error:
        log(str(error))
