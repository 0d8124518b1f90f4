"""Runs one command, prints wall and processor seconds, peak resident KiB and bytes read.

A process of its own, and a small one: the kernel counts the memory of who started a command, up
to its exec, as the command's own peak (fs/exec.c, setmax_mm_hiwater_rss).
"""

import os
import sys
import time
from pathlib import Path


def main() -> int:
    silent = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    begun = time.monotonic()
    child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    took = time.monotonic() - begun
    # rchar of a process that has ended and waits to be waited for (proc_pid_io(5)).
    read = Path(f"/proc/{child}/io").read_text().split()[1]
    _, status, usage = os.wait4(child, 0)
    print(took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, read)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
