"""Which programs a guest has started since its kernel did: by the kernel's own tracing."""

import re

from vm.lives import Guest

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
