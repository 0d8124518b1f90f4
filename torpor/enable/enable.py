"""Enables and disables, step by step, with what makes `systemctl hibernate` use Torpor."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import partial

from errors import Attempt, SetupError, TorporError, command
from initramfs.generators.find import GENERATORS, commands, find_generator, generator_of
from initramfs.generators.generator import Generator, Target
from initramfs.generators.layers import to_open
from linux import programs, stack
from linux.kmsg import Log
from linux.root import HOST, Root
from s3.scheme import is_server
from state import files
from state.location import PATH as LOCATION
from state.sealing import PATH as SEALING
from state.sealing import UNFINISHED
from state.server import PATH as SERVER
from store.choose import Settings, location_of
from store.find import Found
from torpor.enable.announce import announce, retract
from torpor.enable.system import NOTE, System

Look = Callable[[], Iterable[str]]
"""Looks into the initramfs that the next boot takes; returns remarks.

Raises TorporError if the resumer is not in it where it should be."""

Change = Callable[[ExitStack], object]
"""Changes something, and gives the stack what undoes it."""

_KEPT = (
    "until the next boot the kernel keeps what is named in /sys/power/resume, and logind may "
    "refuse systemctl hibernate"
)

SLEEP = "/etc/systemd/system/systemd-hibernate.service.d/torpor.conf"
LOGIND = "/etc/systemd/system/systemd-logind.service.d/torpor.conf"

UNSEALED = "/etc/systemd/sleep.conf.d/torpor.conf"

_SLEEP_TEXT = f"""{NOTE}
[Service]
ExecStart=
ExecStart=/usr/bin/torpor hibernate --sleep-hooks
"""
# Nothing is closed to it: it looks at the mounts of all processes and freezes them, and systemd's
# sleep hooks, which it runs, may need anything.
_LOGIND_TEXT = f"""{NOTE}# logind looks for room by itself, in swap only; Torpor knows better.

[Service]
Environment=SYSTEMD_BYPASS_HIBERNATION_MEMORY_CHECK=1
"""
_UNSEALED_TEXT = f"""{NOTE}# Images are sealed; with these the kernel writes its own, in the clear.

[Sleep]
AllowHybridSleep=no
AllowSuspendThenHibernate=no
"""
# logind asks enough_swap_for_hibernation (sleep-config.c, up to 252) or hibernation_is_safe
# (hibernate-util.c, from 254); both leave it at that with this variable if no swap fits. Besides a
# store that is no swap, 252 knows no swap file on btrfs ("offset detection is not supported").

NO = ("no", "na")
"""logind's answers with which `systemctl hibernate` does nothing."""


def target_of(store: Found, root: Root = HOST) -> Target:
    """Return where a store is, and what has to be opened for it. Raises UnreadableError."""
    if store.place is None:
        return Target(location_of(store, root), ())
    with Attempt("look at", store.place.device):
        layers = stack.layers(store.place.device, root)
    return Target(location_of(store, root), tuple(to_open(layers, root)))


def enable(
    system: System, target: Target, say: Log, look: Look, first: Change | None = None
) -> list[str]:
    """Make the system hibernate to the target and resume from it; say each step.

    `first` changes what else is to be in the initramfs. Return what `look` has to say of the one
    that was made. Raises NoGeneratorError, StoreRefusedError, and SetupError, UnreadableError or
    what `first` raises, after undoing all of it.
    """
    generator = generator_of(system)
    with ExitStack() as undo:
        again = undo.enter_context(ExitStack())  # unwound when all files are as they were
        if first:
            system.write(UNFINISHED, NOTE, undo)
            first(undo)
        system.write(LOCATION, target.location.build(), undo)
        if not is_server(target.location.resume):
            system.remove(SERVER, undo)
        if text := generator.text(target):
            system.write(generator.configuration, NOTE + text, undo)
        else:  # what is there is of no use for the target
            system.remove(generator.configuration, undo)
        undo.callback(_reload_again, system)
        system.write(SLEEP, _SLEEP_TEXT, undo)
        system.write(LOGIND, _LOGIND_TEXT, undo)
        if system.exists(SEALING):
            system.write(UNSEALED, _UNSEALED_TEXT, undo)
        else:
            system.remove(UNSEALED, undo)
        _reload_units(system)
        remarks = rebuilt(system, generator, say, look, again)
        undo.pop_all()
    return remarks


def rebuilt(
    system: System, generator: Generator, say: Log, look: Look, again: ExitStack
) -> list[str]:
    """Rebuild the initramfs; return what `look` has to say of it.

    `again` gets what rebuilds it from the files as they are then. Raises SetupError.
    """
    again.callback(_rebuild_again, system, generator, say)
    rebuild(system, generator, say)
    try:
        return list(look())
    except TorporError as error:
        raise SetupError(str(error), error.hint) from error


def rebuild(system: System, generator: Generator, say: Log) -> None:
    """Rebuild the initramfs of every kernel; say by what. Raises SetupError."""
    for words in commands(system, generator):
        line = command(*words)
        say(f"rebuilding the initramfs: {line}")
        try:
            system.run(words)
        except SetupError as error:
            raise SetupError(
                f"the initramfs cannot be rebuilt: {error}", f"see what it says: {line}"
            ) from error
    system.remove(UNFINISHED)


def _rebuild_again(system: System, generator: Generator, say: Log) -> None:
    say("undoing that, the initramfs too")
    try:
        rebuild(system, generator, say)
    except SetupError as error:
        # What went wrong before is what the user has to hear of, as the error.
        say(f"{error}: it may hold what enable put there")


def take_effect(system: System, settings: Settings) -> list[str]:
    """Tell the running kernel and logind what the next boot will; return why that fails.

    It is no reason to undo the rest.
    """
    failures = []
    if is_booted(system):
        for step in (partial(announce, settings, system), partial(let_logind_see, system)):
            try:
                step()
            except TorporError as error:
                failures.append(str(error))
    if (answer := can_hibernate(system)) in NO:
        failures.append(f"logind says {answer} to systemctl hibernate: torpor doctor says why")
    return failures


def disable(system: System, say: Log, look: Look | None) -> list[str]:
    """Undo `enable`; rebuild the initramfs and look into it, unless `look` is None.

    Return what is left to say. Raises SetupError, UnreadableError.
    """
    if look and system.exists(SEALING):
        files.write_text(system.path(UNFINISHED), NOTE)
    removed = [
        system.exists(UNFINISHED),
        system.remove(SEALING),
        system.remove(LOCATION),
        system.remove(SERVER),
        *[system.remove(generator.configuration) for generator in GENERATORS],
        remove_units(system),
    ]
    generator = find_generator(system)
    if any(removed) and look and generator is not None:
        rebuild(system, generator, say)
    system.remove(UNFINISHED)
    is_retracted = retract()
    if not any(removed):
        say("torpor is not enabled: nothing changed")
        return []
    say("disabled: systemctl hibernate is the kernel's again")
    return [*([] if is_retracted else [_KEPT]), *(look() if look else [])]


def _reload_again(system: System) -> None:
    # What went wrong before is what the user has to hear of.
    with suppress(SetupError):
        _reload_units(system)


def let_logind_see(system: System) -> None:
    """Restart logind, which reads its environment then, if it says no. Raises SetupError.

    To be asked last: what is named to the kernel changes the answer, too. It may have sessions, so
    where it says yes, the next boot is early enough.
    """
    if can_hibernate(system) in NO:
        _restart_logind(system)


def remove_units(system: System) -> bool:
    """Remove the drop-ins, return whether there were any. Raises SetupError."""
    logind = system.remove(LOGIND)
    sleep = system.remove(SLEEP)
    if sleep or logind:
        _reload_units(system)
    if logind and is_booted(system):
        _restart_logind(system)
    return system.remove(UNSEALED) or sleep or logind


def _reload_units(system: System) -> None:
    """Make systemd, where it runs, read its units again. Raises SetupError."""
    if is_booted(system):
        system.run(["systemctl", "daemon-reload"])


def _restart_logind(system: System) -> None:
    system.run(["systemctl", "try-restart", "systemd-logind.service"])


def is_booted(system: System) -> bool:
    """Return whether systemd runs the system: it is no chroot."""
    return system.exists(programs.SYSTEMD_RUNS)


def can_hibernate(system: System) -> str:
    """Return logind's answer: yes, no, na or challenge (org.freedesktop.login1(5)); "" if none."""
    if not is_booted(system):
        return ""
    login = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
    try:
        return system.run(["busctl", "call", *login, "CanHibernate"]).split('"')[1]
    except (SetupError, IndexError):
        return ""
