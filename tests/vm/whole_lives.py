"""What most guests go through, and which programs they have started meanwhile."""

import re
from collections.abc import Mapping

from vm.lives import HIBERNATE, Guest


def see_doctor_content(guest: Guest) -> str:
    """See that doctor finds nothing to mend; return what it says."""
    sound = guest.run("torpor doctor").output
    levels = {line.split()[0] for line in sound.splitlines()}
    assert levels == {"ok"}, sound
    return sound


def use_swap(guest: Guest, name: str, options: str = "sw") -> None:
    """Use the swap of this UUID, now and at each boot."""
    fstab = f"echo UUID={name} none swap {options} 0 0 >>/etc/fstab"
    guest.run(f"{fstab} && systemctl daemon-reload")
    guest.run("swapon -a")


def enable(guest: Guest, store: str = "") -> None:
    """Enable Torpor; what boots next has the initramfs that the host makes for it."""
    guest.rebuild_outside()
    guest.run(f"torpor enable {store}")


def hibernate_and_resume(guest: Guest, type_late: str = "", by: str = HIBERNATE) -> None:
    """See check_resumed."""
    guest.hibernate(by)
    guest.resume(type_late)
    check_resumed(guest, by_torpor=by == HIBERNATE)


def check_resumed(guest: Guest, *, by_torpor: bool = True) -> None:
    """It is the same life, the root was not mounted meanwhile, and torpor says so, too."""
    assert guest.same_life(), guest.console
    if by_torpor:
        said = guest.run("torpor status").output
        assert "resumed" in said, said


def hibernated_row(
    guest: Guest, suite: str, generator: str, place: str, took: Mapping[str, float]
) -> tuple[str, ...]:
    """Return the row of the table of hibernations; `took` is what guest.seconds has."""
    seconds = [f"{took[part]:.0f}" if took else "-" for part in ("boot", "hibernate", "resume")]
    release = guest.installed.kernel.release.removesuffix("-amd64")
    return (suite, release, generator, place, *seconds)


TRACE = "trace_event=sched:sched_process_exec trace_buf_size=8M"
"""For the kernel command line."""

RESUMER = "/usr/lib/torpor/resume/torpor-resume"
AGENT = "/usr/lib/agent/agent.sh"
_EXECUTED = "sed -n 's/.* filename=\\([^ ]*\\) .*/\\1/p' /sys/kernel/tracing/trace"


def executed(guest: Guest) -> list[str]:
    """Return all programs that were started since the kernel started, in order."""
    kept = guest.run("grep entries-in-buffer /sys/kernel/tracing/trace").output
    counts = re.search(r"(\d+)/(\d+)", kept)
    assert counts, kept
    assert counts[1] == counts[2], "the trace is not whole"
    return guest.run(_EXECUTED).output.split()


def started_at(guest: Guest, program: str) -> float:
    """Return when the program was started first, in seconds since the kernel started."""
    line = guest.run(f"grep -m 1 'filename={program} ' /sys/kernel/tracing/trace").output
    found = re.search(r" (\d+\.\d+): sched_process_exec", line)
    assert found, line
    return float(found[1])


def started_for_us(programs: list[str]) -> list[str]:
    """Return those that are the resumer, or Python, up to the agent: while the guest booted."""
    boot = programs[: programs.index(AGENT)]
    assert len(boot) > 10
    return [name for name in boot if name == RESUMER or "python" in name]
