"""Reclaims memory while the machine works that the kernel would reclaim while it is frozen.

CREATE_IMAGE shrinks memory until the image has the size asked for, and fits beside itself: at most
about half of the memory (kernel/power/snapshot.c, hibernate_preallocate_memory). That takes as long
here as there, but here nothing waits for it. What is not done in time, or at all, the kernel does.
"""

import time
from collections.abc import Callable

from linux import cgroups
from linux.kmsg import Log
from linux.memory import excess, memory

LIMIT = 3.0
"""Seconds after which no more is asked for."""

_SLICE = 16 << 20
"""Bytes asked for at a time, so that the end of the time is seen; less is not worth the trouble."""

_FILES = ("inactive_file", "active_file")
_ANONYMOUS = ("inactive_anon", "active_anon")
"""Fields of memory.stat."""


def reclaim_early(image_size: int, log: Log, swap_out: Callable[[], None]) -> None:
    """Have the topmost cgroups give up what an image of at most `image_size` bytes has no room for.

    Caches first, while others swap out in an order of their own: `swap_out` waits for that. Then
    the kernel swaps out what is left, in the order of last use. Says in the log what was done, if
    anything. The kernel has to know memory.reclaim (5.19).
    """
    begun, root = time.monotonic(), cgroups.mount_point()
    reclaiming = _Reclaiming(root or "", image_size, begun + LIMIT)
    wanted = reclaiming.excess() if root else 0
    if wanted < _SLICE:
        swap_out()
        return
    reclaiming.reclaim(_FILES, files_only=True)
    waiting = time.monotonic()
    swap_out()
    reclaiming.deadline += time.monotonic() - waiting
    reclaiming.reclaim(_ANONYMOUS, files_only=False)
    done = wanted - reclaiming.excess()
    if done > 0:
        seconds = time.monotonic() - begun
        log(f"reclaimed {done >> 20} of {wanted >> 20} MiB early, in {seconds:.1f} s")


class _Reclaiming:
    """What is to be reached, and until when."""

    __slots__ = ("deadline", "image_size", "root")

    def __init__(self, root: str, image_size: int, deadline: float) -> None:
        self.root = root
        self.image_size = image_size
        self.deadline = deadline

    def excess(self) -> int:
        """Return what is too much now: the kernel may take more than it was asked for, or less."""
        return excess(memory(), self.image_size)

    def reclaim(self, fields: tuple[str, ...], *, files_only: bool) -> None:
        """Reclaim from each cgroup its share by the size of these lists."""
        sizes = {each: self._size(each, fields) for each in cgroups.children(self.root, "")}
        total = sum(sizes.values())
        wanted = min(self.excess(), total)
        for cgroup, size in sizes.items():
            if size:
                self._reclaim_from(cgroup, wanted * size // total, files_only=files_only)

    def _size(self, cgroup: str, fields: tuple[str, ...]) -> int:
        try:
            sizes = cgroups.memory_of(self.root, cgroup)
        except OSError:
            return 0  # it is gone, or has no controller of memory
        return sum(sizes.get(field, 0) for field in fields)

    def _reclaim_from(self, cgroup: str, share: int, *, files_only: bool) -> None:
        while share >= _SLICE and time.monotonic() < self.deadline and self.excess() >= _SLICE:
            try:
                cgroups.reclaim(self.root, cgroup, _SLICE, files_only=files_only)
            except OSError:
                break  # EAGAIN: there is no more to be had; or an older kernel
            share -= _SLICE
