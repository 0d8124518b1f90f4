"""Reclaims memory while the machine works that the kernel would reclaim at a standstill.

CREATE_IMAGE shrinks memory until the image has the size asked for, and fits beside itself: at most
about half of the memory (kernel/power/snapshot.c, hibernate_preallocate_memory). That takes as long
here as there, but here nothing waits for it. What is not done in time, or at all, the kernel does.
"""

import time
from collections.abc import Callable

from kernel import cgroups
from kernel.memory import excess, memory

Log = Callable[[str], None]

LIMIT = 3.0
"""Seconds after which no more is asked for."""

_SLICE = 16 << 20
"""Bytes asked for at a time, so that the end of the time is seen; less is not worth the trouble."""

_LISTS = (("inactive_file", "active_file"), ("inactive_anon", "active_anon"))
"""Fields of memory.stat: caches first, then what has to be swapped out."""


def reclaim_early(image_size: int, log: Log) -> None:
    """Have the topmost cgroups give up what an image of at most `image_size` bytes has no room for.

    Says in the log what was done, if anything. The kernel has to know memory.reclaim (5.19).
    """
    root = cgroups.mount_point()
    wanted = excess(memory(), image_size)
    if root is None or wanted < _SLICE:
        return
    begun = time.monotonic()
    done = 0
    for fields in _LISTS:
        done += _reclaim(root, fields, wanted - done, begun + LIMIT)
    if done:
        seconds = time.monotonic() - begun
        log(f"reclaimed {done >> 20} of {wanted >> 20} MiB early, in {seconds:.1f} s")


def _reclaim(root: str, fields: tuple[str, ...], wanted: int, deadline: float) -> int:
    """Reclaim from each cgroup its share by the size of these lists; return the bytes."""
    sizes = {cgroup: _size(root, cgroup, fields) for cgroup in cgroups.children(root, "")}
    total = sum(sizes.values())
    wanted = min(wanted, total)
    return sum(
        _reclaim_from(root, cgroup, wanted * size // total, deadline)
        for cgroup, size in sizes.items()
        if size
    )


def _size(root: str, cgroup: str, fields: tuple[str, ...]) -> int:
    try:
        sizes = cgroups.memory_of(root, cgroup)
    except OSError:
        return 0  # it is gone, or has no controller of memory
    return sum(sizes.get(field, 0) for field in fields)


def _reclaim_from(root: str, cgroup: str, wanted: int, deadline: float) -> int:
    done = 0
    while wanted - done >= _SLICE and time.monotonic() < deadline:
        try:
            cgroups.reclaim(root, cgroup, _SLICE)
        except OSError:
            break  # EAGAIN: there is no more to be had; or an older kernel
        done += _SLICE
    return done
