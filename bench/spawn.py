"""Runs one command and prints its wall seconds and peak resident KiB.

A process of its own, and a small one: the kernel counts the memory of who started a command, up
to its exec, as the command's own peak (fs/exec.c, setmax_mm_hiwater_rss).
"""

import os
import sys
import time


def main() -> int:
    begun = time.monotonic()
    child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=_silent())
    _, status, usage = os.wait4(child, 0)
    print(time.monotonic() - begun, usage.ru_maxrss)
    return os.waitstatus_to_exitcode(status)


def _silent() -> list[tuple[int, int, str, int, int]]:
    return [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]


if __name__ == "__main__":
    sys.exit(main())
