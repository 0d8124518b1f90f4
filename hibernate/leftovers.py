"""Has what a hibernation leaves on a server removed, by a process that has not been hibernated.

OpenSSL repeats its random numbers in both lives of a process: nothing that was restored speaks TLS.
What a boot that did not resume has kept there is judged by such a process, too, once there is a
network.
"""

import os
from contextlib import suppress

from linux import programs
from linux.kmsg import Log

_SECONDS = 10.0
"""For systemd to take the order."""
UNIT = "torpor-leftovers.service"
_RUN = (
    *("systemd-run", "--no-block", "--collect", "--quiet", f"--unit={UNIT}"),
    *("--property=Restart=on-failure", "--property=RestartSec=15"),
    *("--property=StartLimitIntervalSec=1h", "--property=StartLimitBurst=20"),
)
"""The network may be a while in coming back. What is not removed then, the next one removes."""


def remove_leftovers(url: str, log: Log) -> None:
    """Have it removed in the background; returns at once. What goes wrong is logged."""
    import subprocess  # nobody waits for this any more

    words = ("discard", "--stale", url)
    with suppress(subprocess.TimeoutExpired):
        try:
            if os.path.isdir(programs.SYSTEMD_RUNS):
                done = programs.run([*_RUN, os.readlink("/proc/self/exe"), *words], _SECONDS)
                if done.returncode != 0:
                    raise OSError(done.stderr.strip())
            else:
                programs.start_ourselves(*words)
        except OSError as error:
            log(f"what is left of the image on {url} may stay there: {error}")
