"""Runs one command, prints wall and processor seconds, peak resident KiB and bytes read.

A process of its own, and a small one: the kernel counts the memory of who started a command, up
to its exec, as the command's own peak (fs/exec.c, setmax_mm_hiwater_rss).

With --said before the command, the wall seconds end when it first says something on stderr.
"""

import os
import sys
import time
from pathlib import Path


def main() -> int:
    is_until_said = sys.argv[1] == "--said"
    command = sys.argv[1 + is_until_said :]
    hearing, saying = os.pipe() if is_until_said else (-1, os.open(os.devnull, os.O_WRONLY))
    silent = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    heard = (os.POSIX_SPAWN_DUP2, saying, 2)
    begun = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=[silent, heard])
    os.close(saying)
    if is_until_said:
        os.read(hearing, 1)
        took = time.monotonic() - begun
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    if not is_until_said:
        took = time.monotonic() - begun
    # rchar of a process that has ended and waits to be waited for (proc_pid_io(5)).
    read = Path(f"/proc/{child}/io").read_text().split()[1]
    _, status, usage = os.wait4(child, 0)
    print(took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, read)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
