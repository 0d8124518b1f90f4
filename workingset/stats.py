"""What came of a replay, counted."""

from dataclasses import dataclass, field
from enum import StrEnum


class Skipped(StrEnum):
    """Why a file was left alone."""

    UNMOUNTED = "file system not mounted"
    GONE = "gone"
    CHANGED = "changed"
    REFUSED = "cannot be opened"


@dataclass(slots=True)
class Pages:
    """Pages that were recorded, and where they are now."""

    recorded: int = 0
    resident: int = 0
    """In memory already."""
    restored: int = 0
    """Brought back."""

    @property
    def skipped(self) -> int:
        """Neither: they are gone, or there was no room for them."""
        return self.recorded - self.resident - self.restored


@dataclass(slots=True)
class Stats:
    """All of it; a replay adds to it as it goes on."""

    files: int = 0
    restored_files: int = 0
    """All that was recorded of them is in memory."""
    skipped_files: dict[Skipped, int] = field(default_factory=dict)
    file_pages: Pages = field(default_factory=Pages)
    processes: int = 0
    skipped_processes: int = 0
    """Gone, or of another boot."""
    process_pages: Pages = field(default_factory=Pages)

    def skip_file(self, reason: Skipped, count: int = 1) -> None:
        """Count files that are left alone."""
        self.skipped_files[reason] = self.skipped_files.get(reason, 0) + count
