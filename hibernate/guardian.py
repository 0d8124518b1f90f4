"""A small process that thaws the file systems if the writer dies.

When the writer is killed the kernel closes /dev/snapshot and thaws the tasks, but file systems
stay frozen until somebody says FITHAW. The guardian is frozen with all other tasks, wakes up
with them, sees that the writer is gone, and does that.
"""

import os
from types import TracebackType
from typing import Self

from hibernate.filesystems import FileSystems

_ALL_WELL = b"."


class Guardian:
    """Watches over the file systems from here to the end of the `with` block."""

    def __init__(self, file_systems: FileSystems) -> None:
        self._read_end, self._write_end = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            self._watch(file_systems)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.write(self._write_end, _ALL_WELL)
        os.waitpid(self._pid, 0)
        os.close(self._write_end)
        os.close(self._read_end)

    def _watch(self, file_systems: FileSystems) -> None:
        """Wait for the writer's word or its end; never returns."""
        try:
            os.setsid()  # a key that kills the terminal's foreground processes is not for us
            os.close(self._write_end)
            if os.read(self._read_end, 1) != _ALL_WELL:
                file_systems.thaw()
        finally:
            os._exit(0)
