"""Pages of a device that are there for an image before it comes."""

from format.mark import Extents


class Supply:
    """Runs of pages, handed out from the front in their order."""

    def __init__(self, runs: Extents | None = None) -> None:
        self._runs = runs or Extents()
        self._run = 0
        self._within = 0
        self.left = sum(self._runs.counts)
        """Pages."""

    def take(self, pages: int) -> Extents:
        """Return runs of the next pages, fewer if there are not as many left."""
        found = Extents()
        wanted = min(pages, self.left)
        self.left -= wanted
        while wanted:
            start, count = self._runs.starts[self._run], self._runs.counts[self._run]
            part = min(count - self._within, wanted)
            found.add(start + self._within, part)
            wanted -= part
            self._within += part
            if self._within == count:
                self._run, self._within = self._run + 1, 0
        return found
