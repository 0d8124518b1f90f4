"""What came of a replay, counted."""

from enum import StrEnum


class Skipped(StrEnum):
    """Why a file was left alone."""

    UNMOUNTED = "file system not mounted"
    GONE = "gone"
    CHANGED = "changed"
    REFUSED = "cannot be opened"


class Pages:
    """Pages that were recorded, and where they are now."""

    __slots__ = ("recorded", "resident", "restored")

    def __init__(self) -> None:
        self.recorded = 0
        self.resident = 0
        """In memory already."""
        self.restored = 0
        """Brought back."""

    @property
    def skipped(self) -> int:
        """Neither: they are gone, or there was no room for them."""
        return self.recorded - self.resident - self.restored

    def counts(self) -> dict[str, int]:
        """Return all of them by name."""
        return {
            "recorded": self.recorded,
            "resident": self.resident,
            "restored": self.restored,
            "skipped": self.skipped,
        }


class Stats:
    """All of it; a replay adds to it as it goes on."""

    def __init__(self) -> None:
        self.files = 0
        self.restored_files = 0
        """All that was recorded of them is in memory."""
        self.skipped_files: dict[Skipped, int] = {}
        self.file_pages = Pages()
        self.processes = 0
        self.skipped_processes = 0
        """Gone, or of another boot."""
        self.process_pages = Pages()

    def skip_file(self, reason: Skipped, count: int = 1) -> None:
        """Count files that are left alone."""
        self.skipped_files[reason] = self.skipped_files.get(reason, 0) + count
