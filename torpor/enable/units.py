"""What makes `systemctl hibernate` use Torpor: drop-ins of two of systemd's services."""

from contextlib import ExitStack, suppress

from errors import SetupError
from linux import programs
from torpor.enable.system import NOTE, System

SLEEP = "/etc/systemd/system/systemd-hibernate.service.d/torpor.conf"
LOGIND = "/etc/systemd/system/systemd-logind.service.d/torpor.conf"

_SLEEP_TEXT = f"""{NOTE}
[Service]
ExecStart=
ExecStart=/usr/bin/torpor hibernate --sleep-hooks
"""
_LOGIND_TEXT = f"""{NOTE}# logind looks for room by itself, in swap only; Torpor knows better.

[Service]
Environment=SYSTEMD_BYPASS_HIBERNATION_MEMORY_CHECK=1
"""
# logind asks enough_swap_for_hibernation (sleep-config.c, up to 252) or hibernation_is_safe
# (hibernate-util.c, from 254); both leave it at that with this variable if no swap fits. Besides a
# store that is no swap, 252 knows no swap file on btrfs ("offset detection is not supported").

NO = ("no", "na")
"""logind's answers with which `systemctl hibernate` does nothing."""


def write_units(system: System, undo: ExitStack) -> None:
    """Write the drop-ins and make systemd read them."""
    undo.callback(_reload_again, system)
    system.write(SLEEP, _SLEEP_TEXT, undo)
    system.write(LOGIND, _LOGIND_TEXT, undo)
    _reload_units(system)


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
    return sleep or logind


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
