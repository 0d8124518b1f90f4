"""Checks that `systemctl hibernate` is Torpor's, and that logind lets it through."""

from collections.abc import Iterator, Mapping

from errors import command
from initramfs.generators.systemd import boolean, configuration, drop_ins
from linux.efivar import EFI
from linux.mounts import active_swaps
from linux.root import Root
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, ok, problem, warning

_SERVICE = "systemd-hibernate.service"
_UNITS = ("hibernate.target", "sleep.target", _SERVICE)
_BYPASS = "SYSTEMD_BYPASS_HIBERNATION_MEMORY_CHECK"
_ANNOUNCE = "torpor announce, which torpor-announce.service does at each boot"
_RESTART = "boot again, or: systemctl restart systemd-logind"

Reason = tuple[str, str]
"""Why logind says no, and what to do about it."""
_UNSEEN: dict[str, Reason] = {
    "no": ("a rule of polkit does not allow it", "see org.freedesktop.login1.hibernate there"),
    "na": ("it has not seen yet what torpor enable wrote", _RESTART),
}
"""By its answer, where nothing in the files speaks against it."""

CONF_FOLDERS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
"""The best first: a file hides those of the same name in the folders behind (sleep.conf.d(5))."""

UNIT_FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
"""The same for units and their drop-ins (systemd.unit(5), table of the unit load path)."""


def systemctl(facts: Facts) -> Iterator[Finding]:
    """See that `systemctl hibernate` works, and is Torpor's."""
    if not facts.root.exists(f"/usr/lib/systemd/system/{_SERVICE}"):
        return
    hindrance = _hindrance(facts)
    yield hindrance or ok("systemctl hibernate uses Torpor")
    if hindrance is None:
        yield from _logind(facts)


def _hindrance(facts: Facts) -> Finding | None:
    root = facts.root
    for unit in _UNITS:
        if path := masked_by(root, unit):
            return warning(
                f"systemctl hibernate does not work: {unit} is masked by {path}",
                _unmask(unit, path),
            )
    if said_no := forbidden_by(root, "sleep.conf", "Sleep", "AllowHibernation"):
        path, value = said_no
        return warning(
            f"systemctl hibernate does not work: AllowHibernation={value} in {path}",
            "take that line out",
        )
    units = drop_ins_of(root, _SERVICE)
    starts = starts_of(units)
    if any("torpor" in command for _, command in starts):
        return None
    if starts and any(name.endswith("/torpor.conf") for name in units):
        path, _ = starts[-1]
        return warning(
            f"systemctl hibernate does not use Torpor: {path} comes last",
            f"take ExecStart= out of {path}",
        )
    return warning(
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
    if answer in _UNSEEN:
        why, remedy = reason or _UNSEEN[answer]
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
        yield ok("logind allows systemctl hibernate, and leaves the check for room to Torpor")
    elif reason:
        why, remedy = reason
        yield warning(f"logind may refuse systemctl hibernate: {why}", remedy)
    else:
        yield ok("logind does not answer here; by its files it allows systemctl hibernate")


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
            "/sys/power/resume_offset names a page, but /sys/power/resume no device",
            "echo 0 >/sys/power/resume_offset" if by_efi else _ANNOUNCE,
        )
    elif not by_efi and any(not area.path.startswith("/dev/zram") for area in active_swaps(root)):
        yield "nothing is named in /sys/power/resume, and there is no EFI", _ANNOUNCE


def _leaves_room_to_us(facts: Facts) -> bool:
    texts = drop_ins_of(facts.root, "systemd-logind.service").values()
    return any(_BYPASS in text for text in texts)


def forbidden_by(root: Root, name: str, section: str, key: str) -> tuple[str, str] | None:
    """Return path and value of what says no in the configuration file, None where nothing does.

    The last assignment in main file and drop-ins counts; an empty one takes the others back, and
    one that is no boolean is none (conf-parser.c, config_parse_tristate).
    """
    found = None
    for path in configuration(root, CONF_FOLDERS, name):
        for where, what, value in _assignments(root.text(path) or ""):
            if (where, what) != (section, key) or (value and boolean(value) is None):
                continue
            found = (path, value) if boolean(value) is False else None
    return found


def masked_by(root: Root, unit: str) -> str:
    """Return the path of the link to /dev/null, or of the empty file, that masks a unit, or ""."""
    paths = (f"{folder}/{unit}" for folder in UNIT_FOLDERS)
    path = next((path for path in paths if root.exists(path)), "")
    return path if path and not root.data(path, 1) else ""


def drop_ins_of(root: Root, unit: str) -> dict[str, str]:
    """Return a unit's drop-ins, path and text, in the order in which they apply."""
    return {path: root.text(path) or "" for path in drop_ins(root, UNIT_FOLDERS, unit)}


def starts_of(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return by which of a service's drop-ins what is started, one command after the other.

    An empty one takes back those before it (systemd.service(5), ExecStart=).
    """
    found: list[tuple[str, str]] = []
    for path, text in texts.items():
        for section, key, value in _assignments(text):
            if (section, key) == ("Service", "ExecStart"):
                found = [*(found if value else []), (path, value)]
    return found


def _assignments(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield section, key and value of each assignment."""
    section = ""
    for line in _lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            yield section, key.strip(), value.strip()


def _lines(text: str) -> Iterator[str]:
    """Yield the lines without comments; a backslash at the end joins the next one to a line."""
    held = ""
    for line in text.split("\n"):
        if line.strip()[:1] in ("#", ";") and line.strip():
            continue
        held += line.rstrip("\r")
        if (len(held) - len(held.rstrip("\\"))) % 2:
            held = held[:-1] + " "
            continue
        yield held.strip()
        held = ""
    yield held.strip()
