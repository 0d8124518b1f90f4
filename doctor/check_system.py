"""What else on the system decides over hibernation: systemd, the firmware's variables."""

import re
from collections.abc import Iterator

from doctor.facts import Facts
from doctor.finding import Finding, ok, problem, warning
from kernel import zfs

_VARIABLE = "HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67"
_EFI = "/sys/firmware/efi/efivars"
_UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
"""The first one's drop-ins hide others of the same name (systemd.unit(5))."""
_BYPASS = "SYSTEMD_BYPASS_HIBERNATION_MEMORY_CHECK"
_INITRAMFS_TOOLS = "/etc/initramfs-tools"


def zfs_pools(facts: Facts) -> Iterator[Finding]:
    """Look for imported pools, with which `torpor hibernate` refuses to go on."""
    if pools := zfs.pools(facts.machine.root):
        yield problem(
            f"ZFS cannot be frozen, and the pool {pools[0]} is imported",
            f"export it before you hibernate: zpool export {pools[0]}",
        )


def hibernate_location(facts: Facts) -> Iterator[Finding]:
    """Look for a stale variable: systemd's stock resume waits for its device at each boot."""
    if facts.machine.exists(f"{_EFI}/{_VARIABLE}"):
        yield warning(
            "the EFI variable HibernateLocation is left from an earlier hibernation and delays "
            "boots",
            f"chattr -i {_EFI}/{_VARIABLE}; rm {_EFI}/{_VARIABLE}",
        )
    else:
        yield ok("no HibernateLocation is left in the firmware")


def systemctl(facts: Facts) -> Iterator[Finding]:
    """See that `systemctl hibernate` is Torpor's."""
    machine = facts.machine
    if not machine.exists("/usr/lib/systemd/system/systemd-hibernate.service"):
        return
    masked = [
        unit
        for unit in ("hibernate.target", "sleep.target", "systemd-hibernate.service")
        if machine.points_to_null(f"/etc/systemd/system/{unit}")
    ]
    if masked:
        yield warning(
            f"systemctl hibernate does not work: {masked[0]} is masked",
            f"systemctl unmask {masked[0]}",
        )
    elif _forbidden(facts):
        yield warning(
            "systemctl hibernate does not work: AllowHibernation=no in /etc/systemd/sleep.conf",
            "take that line out",
        )
    elif "torpor" not in _last_exec_start(facts):
        yield warning(
            "systemctl hibernate uses the kernel's own hibernation, not Torpor", "torpor enable"
        )
    else:
        yield ok("systemctl hibernate uses Torpor")
        yield from _logind(facts)


def _forbidden(facts: Facts) -> bool:
    folder = "/etc/systemd/sleep.conf.d"
    texts = [facts.machine.text("/etc/systemd/sleep.conf") or ""]
    texts += [facts.machine.text(f"{folder}/{name}") or "" for name in facts.machine.names(folder)]
    said = re.findall(r"^\s*AllowHibernation\s*=\s*(\S+)", "\n".join(texts), re.MULTILINE)
    return bool(said) and said[-1].lower() in ("no", "false", "off", "0")


def _drop_ins(facts: Facts, unit: str) -> Iterator[str]:
    """Yield the texts of a unit's drop-ins in the order in which they apply."""
    found: dict[str, str] = {}
    for folder in reversed(_UNIT_FOLDERS):
        place = f"{folder}/{unit}.d"
        for name in facts.machine.names(place):
            if name.endswith(".conf"):
                found[name] = f"{place}/{name}"
    for name in sorted(found):
        yield facts.machine.text(found[name]) or ""


def _last_exec_start(facts: Facts) -> str:
    lines = "\n".join(_drop_ins(facts, "systemd-hibernate.service"))
    starts = re.findall(r"^\s*ExecStart\s*=[ \t]*(\S.*)$", lines, re.MULTILINE)
    return starts[-1] if starts else ""


def _logind(facts: Facts) -> Iterator[Finding]:
    """See that logind does not count room in swap, which it looks for in its own way."""
    if any(_BYPASS in text for text in _drop_ins(facts, "systemd-logind.service")):
        yield ok("logind leaves it to Torpor whether there is room")
    else:
        yield warning(
            "logind may refuse systemctl hibernate for want of swap, whatever room there is",
            "run torpor enable, and boot again or restart systemd-logind",
        )


def stock_resume(facts: Facts) -> Iterator[Finding]:
    """Look at RESUME=: for a wrong one initramfs-tools waits 30 s at each boot."""
    folder = f"{_INITRAMFS_TOOLS}/conf.d"
    said = ""
    parts = [f"{folder}/{name}" for name in facts.machine.names(folder)]
    for path in [f"{_INITRAMFS_TOOLS}/initramfs.conf", *parts]:
        text = facts.machine.text(path) or ""
        for found in re.finditer(r"^\s*RESUME=[\"']?([^\"'\s#]*)", text, re.MULTILINE):
            said, source = found[1], path  # the last one counts
    if said in ("", "auto", "none"):
        return
    if facts.machine.device(said) is None:
        yield warning(
            f"{source}: RESUME={said} is not there, and each boot without resume= waits for it",
            "run torpor enable, or correct it and run update-initramfs -u",
        )
    else:
        yield ok(f"{source} names a device that is there")
