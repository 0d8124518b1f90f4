"""What several checks want to know; each fact is found once, when it is first asked for."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

from errors import InitramfsError
from initramfs.archive.initramfs import Initramfs, Source, as_text, read_initramfs
from initramfs.archive.program import fingerprint
from initramfs.generators.find import find_generator
from initramfs.generators.generator import Generator
from initramfs.generators.rebuild import commands as commands_of
from initramfs.loaders.find import find_initramfs
from linux import cmdline
from state.conf import PATH as CONF
from state.conf import Conf
from state.location import PATH as LOCATION
from state.location import Location
from store.choose import Settings, choose_store
from store.find import Found
from torpor.doctor.machine import Machine

_FINGERPRINTS = ("lib/torpor/resume/", "lib/torpor/torpor-boot")
_TEXTS = (
    "scripts/local-premount/ORDER",
    "var/lib/torpor/location",
    "cryptroot/crypttab",
    "etc/crypttab",
    "config",
)


class Facts:
    """Raises TorporError or OSError where a fact cannot be found out: no check without it."""

    def __init__(self, machine: Machine, *, release: str = "", again: str = "") -> None:
        """Take another kernel than the running one, and other words for `again`, if given."""
        self.machine = machine
        self._release = release or machine.release
        self._again = again

    @cached_property
    def generator(self) -> Generator | None:
        """What makes the initramfs here."""
        return find_generator(self.machine)

    @cached_property
    def is_enabled(self) -> bool:
        """Whether `torpor enable` was run."""
        return self.machine.exists(LOCATION)

    @cached_property
    def anew(self) -> str:
        """What `torpor enable` will do about what is wrong in the initramfs."""
        return f"make {self.image_path} anew" if self.generator else ""

    @cached_property
    def again(self) -> str:
        """How the initramfs is made anew, the end of many a remedy."""
        commands = commands_of(self.machine, self.generator) if self.generator else []
        if self._again or not commands:
            return self._again or "make it anew with your initramfs generator"
        return f"make it anew: {'; '.join(' '.join(command) for command in commands)}"

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The kernel command line's."""
        return cmdline.parse(self.machine.line("/proc/cmdline"))

    @cached_property
    def conf(self) -> Conf:
        """/etc/torpor.conf."""
        return Conf.parse(self.machine.text(CONF) or "", CONF)

    @cached_property
    def location(self) -> Location | None:
        """What `torpor enable` wrote."""
        text = self.machine.text(LOCATION)
        return None if text is None else Location.parse(text, LOCATION)

    @cached_property
    def store(self) -> Found:
        """Where `torpor hibernate` writes to."""
        return choose_store(None, self.settings, self.machine)

    @cached_property
    def settings(self) -> Settings:
        """What says where the store is."""
        return Settings(self.conf, self.machine.line("/proc/cmdline"), self.location)

    @cached_property
    def source(self) -> Source:
        """The files of the initramfs that boots the kernel."""
        try:
            return find_initramfs(self.machine, self._release)
        except InitramfsError as error:
            mount = "mount /boot or the EFI system partition if it is not mounted"
            raise InitramfsError(str(error), error.hint or f"{mount}; else {self.again}") from error

    @cached_property
    def image_path(self) -> str:
        """The path of it; of several files, of the one that has init."""
        paths = self.source.paths
        if len(paths) > 1:
            with suppress(InitramfsError, OSError):
                return paths[self._initramfs.main]
        return paths[-1]

    @cached_property
    def initramfs(self) -> Initramfs:
        """What is in it."""
        try:
            return self._initramfs
        except InitramfsError as error:
            raise InitramfsError(
                f"{self.image_path} cannot be used: {error}", error.hint or self.again
            ) from error

    @cached_property
    def _initramfs(self) -> Initramfs:
        paths = tuple(self.machine.path(path) for path in self.source.paths)
        return read_initramfs(replace(self.source, paths=paths), _keep)


def _keep(name: str) -> Callable[[bytes], object] | None:
    if name in _TEXTS or name.startswith("etc/cmdline.d/"):
        return as_text
    return fingerprint if any(part in name for part in _FINGERPRINTS) else None
