"""A boot in an initramfs: its block devices are ordinary files, its time passes when it waits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import resume.__main__ as program
from errors import TorporError
from resume.outcome import Outcome
from resume.request import Request
from resume.wait import Surroundings, Waiting
from state.location import Location
from store.header import new_store_header
from tests.forge import KERNEL, PAGE, header_page
from tests.unit.fake_root import ext
from tests.unit.marked import INSTALLATION, ROOT, Made, put_image

PAGES = 64
KERNEL_IMAGE = header_page(PAGES, signature=KERNEL)
"""The first page of an image of the kernel's own."""
Event = Callable[[], object]


class Clock(Surroundings):
    """What is to happen at a second of it stands in `at`."""

    def __init__(self, began: float = 100) -> None:
        self.began = self.seconds = began
        self.at: dict[float, Event] = {}
        self.asks = self.was_waited = False
        super().__init__(beside_loop=True)
        self.settled = self.turns = 0
        self.called: list[list[str]] = []
        self.on_call: Event = lambda: None

    @property
    def passed(self) -> float:
        return self.seconds - self.began

    def now(self) -> float:
        return self.seconds

    def pause(self, seconds: float) -> None:
        self.seconds += seconds
        self.happen()

    def happen(self) -> None:
        for when in [when for when in self.at if when <= self.passed]:
            self.at.pop(when)()

    def is_asking(self) -> bool:
        return self.asks

    def turn(self) -> int:
        return self.turns

    def has_waited(self) -> bool:
        return self.was_waited

    def call(self, argv: list[str]) -> None:
        self.called.append([*argv])
        self.on_call()

    def settle(self) -> None:
        self.settled += 1

    def ask(self) -> None:
        self.asks = True

    def answer(self) -> None:
        self.asks = False


class Boot:
    """Its devices, by what `resume=` calls them; those in `whole` are found without a name.

    But for those in `external`, which anybody may have plugged in.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, str] = {}
        self.whole: list[str] = []
        self.external: list[str] = []
        self.copies: dict[str, list[str]] = {}
        """Further devices of a name."""
        self.machine_id = INSTALLATION
        """What the initramfs's hook put there."""
        self.clock = Clock()
        self.said: list[tuple[int, str]] = []
        self.console: list[str] = []

    def find_devices(self, spec: str) -> list[str]:
        named = [self.names[spec]] if spec in self.names else []
        return [*named, *self.copies.get(spec, [])] or [spec] * Path(spec).is_file()

    def whole_devices(self) -> list[str]:
        return self.whole

    def device(self, *names: str, first: bytes = b"", page: int = 0) -> str:
        """Make a device, an empty store where nothing is said, that has these names besides."""
        path = self.folder / f"sd{len(self.whole)}"
        path.write_bytes(bytes(PAGES * PAGE))
        with path.open("r+b") as file:
            if page:  # of a file, on a file system
                file.write(ext(ROOT.identity))
                file.flush()
            new_store_header(file.fileno(), str(path), PAGES, page)
            if first:
                file.seek(page * PAGE)
                file.write(first)
        self.whole.append(str(path))
        self.names |= dict.fromkeys((str(path), *names), str(path))
        return str(path)

    def image(self, *names: str, made: Made | None = None, page: int = 0) -> str:
        """Make a store with an image, that begins at a page."""
        path = self.device(*names, page=page)
        made = made or Made()
        if page and made.guard:
            made = replace(made, guard=[e._replace(device_size=PAGES * PAGE) for e in made.guard])
        put_image(Path(path), bytes(3 * PAGE), [(page + 1, PAGES - 1 - page)], made, page)
        return path

    def report(self, level: int, message: str) -> None:
        self.said.append((level, message))

    def resume(
        self,
        text: str = "quiet",
        location: Location | None = None,
        firmware: Location | None = None,
    ) -> Outcome:
        """Boot with a command line, what enable kept and what the firmware names."""
        request = Request(text, location, firmware, self.machine_id)
        waiting = Waiting(request, self.console.append, around=self.clock)
        try:
            return program.resume(request, waiting, self.report)
        except TorporError as error:
            return Outcome(error)
