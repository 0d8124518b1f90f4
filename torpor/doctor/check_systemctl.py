"""Checks that `systemctl hibernate` is Torpor's, and that logind lets it through."""

from collections.abc import Iterator

from errors import command
from linux.efivar import EFI
from linux.mounts import active_swaps
from torpor.doctor import systemd
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, ok, problem, warning

_SERVICE = "systemd-hibernate.service"
_UNITS = ("hibernate.target", "sleep.target", _SERVICE)
_BYPASS = "SYSTEMD_BYPASS_HIBERNATION_MEMORY_CHECK"
_ANNOUNCE = "torpor announce, which torpor-announce.service does at each boot"
_RESTART = "boot again, or: systemctl restart systemd-logind"

Reason = tuple[str, str]
"""Why logind says no, and what to do about it."""


def systemctl(facts: Facts) -> Iterator[Finding]:
    """See that `systemctl hibernate` works, and is Torpor's."""
    if not facts.root.exists(f"/usr/lib/systemd/system/{_SERVICE}"):
        return
    found = list(_hindrances(facts))
    yield from found[:1] or [ok("systemctl hibernate uses Torpor"), *_logind(facts)]


def _hindrances(facts: Facts) -> Iterator[Finding]:
    root = facts.root
    for unit in _UNITS:
        if path := systemd.masked_by(root, unit):
            yield warning(
                f"systemctl hibernate does not work: {unit} is masked by {path}",
                _unmask(unit, path),
            )
    if said_no := systemd.forbidden_by(root, "sleep.conf", "Sleep", "AllowHibernation"):
        path, value = said_no
        yield warning(
            f"systemctl hibernate does not work: AllowHibernation={value} in {path}",
            "take that line out",
        )
    drop_ins = systemd.drop_ins_of(root, _SERVICE)
    starts = systemd.starts_of(drop_ins)
    if any("torpor" in command for _, command in starts):
        return
    if starts and any(name.endswith("/torpor.conf") for name in drop_ins):
        path, _ = starts[-1]
        yield warning(
            f"systemctl hibernate does not use Torpor: {path} has the last word",
            f"take ExecStart= out of {path}",
        )
    else:
        yield warning(
            "systemctl hibernate does not use Torpor",
            "torpor enable",
            "make systemctl hibernate use Torpor",
        )


def _unmask(unit: str, path: str) -> str:
    if path.startswith("/etc/"):
        return command("systemctl", "unmask", unit)
    if path.startswith("/run/"):
        return command("systemctl", "unmask", "--runtime", unit)
    return f"{command('rm', path)}; systemctl daemon-reload"


def _logind(facts: Facts) -> Iterator[Finding]:
    """Say what logind answers (org.freedesktop.login1(5), CanHibernate), and why if it is a no."""
    if "disk" not in facts.root.line("/sys/power/state").split():
        return  # what the checks of the kernel say is what logind says
    answer = facts.can_hibernate()
    reason = next(_reasons(facts), None)
    if answer in ("no", "na"):
        why, remedy = reason or _unseen(answer)
        yield problem(f"logind refuses systemctl hibernate ({answer}): {why}", remedy)
    elif "inhibitor" in answer:
        yield warning(
            "logind refuses systemctl hibernate while a program holds an inhibitor lock",
            "see who does: systemd-inhibit --list",
        )
    elif answer == "challenge":
        yield warning(
            "logind asks for a password before systemctl hibernate",
            "run it as root, or allow org.freedesktop.login1.hibernate in polkit's rules",
        )
    elif answer == "yes" and _leaves_room_to_us(facts):
        yield ok("logind lets systemctl hibernate through, and leaves the room to Torpor")
    elif reason:
        why, remedy = reason
        yield warning(f"logind may refuse systemctl hibernate: {why}", remedy)
    else:
        yield ok("logind does not answer here; by the files it lets systemctl hibernate through")


def _reasons(facts: Facts) -> Iterator[Reason]:
    """Yield what logind could refuse for (systemd 257, src/shared/hibernate-util.c)."""
    root = facts.root
    if not _leaves_room_to_us(facts):
        yield "it looks for room in swap only, whatever room there is", f"torpor enable; {_RESTART}"
    if "noresume" in facts.parameters:
        yield "the kernel command line has noresume", "take it off, and boot again"
    if root.line("/sys/power/resume") != "0:0":
        return
    by_efi = root.exists(EFI)
    if root.line("/sys/power/resume_offset") not in ("", "0"):
        yield (
            "/sys/power/resume_offset says at what page images begin, but nothing of which device",
            "echo 0 >/sys/power/resume_offset" if by_efi else _ANNOUNCE,
        )
    elif _has_swap(facts) and not by_efi:
        yield "nothing is named in /sys/power/resume, and there is no EFI", _ANNOUNCE


def _leaves_room_to_us(facts: Facts) -> bool:
    drop_ins = systemd.drop_ins_of(facts.root, "systemd-logind.service")
    return any(_BYPASS in text for text in drop_ins.values())


def _has_swap(facts: Facts) -> bool:
    areas = active_swaps(facts.root)
    return any(not area.path.startswith("/dev/zram") for area in areas)


def _unseen(answer: str) -> Reason:
    if answer == "no":
        return "a rule of polkit does not allow it", "see org.freedesktop.login1.hibernate there"
    return "it has not seen yet what torpor enable wrote", _RESTART
