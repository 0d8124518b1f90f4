"""What several checks want to know; each fact is found once, when it is first asked for.

What knows the initramfs and its generators is imported then, too: `torpor hibernate` mostly asks
for nothing of it.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property

from errors import InitramfsError, command
from initramfs.generators.layers import Opened, to_open
from linux import attached, cmdline, stack
from linux.mounts import MountTable, file_systems, read_mounts
from linux.root import Root
from state.conf import PATH as CONF
from state.conf import Conf
from state.location import MACHINE_ID, Location
from state.location import PATH as LOCATION
from state.sealing import PATH as SEALING
from state.server import PATH as SERVER
from store import crypttab
from store.choose import Settings, choose_store
from store.find import Found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from initramfs.archive.initramfs import Initramfs, Source
    from initramfs.generators.generator import Boot, Generator, Maker
    from seal.tpm import Tpm

STORE = "the store"


class Facts:
    """Raises TorporError or OSError where a fact cannot be found out: no check without it."""

    def __init__(
        self,
        root: Root,
        can_hibernate: Callable[[], str] = str,
        *,
        release: str = "",
        again: str = "",
        store: Found | None = None,
    ) -> None:
        """Take another kernel than the running one, other words for `again`, a store, if given."""
        self.root = root
        self.can_hibernate = can_hibernate
        """Asks logind, and returns its answer, "" for none: what it makes of all is in no file."""
        self.is_rebuilt = bool(again)
        self._release = release or root.release
        self._again = again
        self._store = store

    @cached_property
    def tpm(self) -> "Tpm":
        """The TPM of this machine."""
        from seal.tpm import Tpm

        return Tpm()

    @cached_property
    def generator(self) -> "Generator | None":
        """What makes the initramfs here."""
        from initramfs.generators.find import find_generator

        return find_generator(self.root)

    @cached_property
    def maker(self) -> "Maker | None":
        """What made the initramfs that is there."""
        from initramfs.generators.find import maker_of

        return maker_of(self.initramfs)

    @cached_property
    def is_enabled(self) -> bool:
        """Whether `torpor enable` was run."""
        return self.root.exists(LOCATION)

    @cached_property
    def anew(self) -> str:
        """What `torpor enable` will do about what is wrong in the initramfs."""
        return f"rebuild {self.initramfs_path}" if self.generator else ""

    @cached_property
    def again(self) -> str:
        """How the initramfs is rebuilt, the end of many a remedy."""
        from initramfs.generators.find import commands as commands_of

        commands = commands_of(self.root, self.generator) if self.generator else []
        if self._again or not commands:
            return self._again or "rebuild it with your initramfs generator"
        return f"rebuild it: {'; '.join(command(*words) for words in commands)}"

    @cached_property
    def words(self) -> list[tuple[str, str]]:
        """The parameters of the kernel command line, each as often as it is given."""
        return cmdline.parameters(self.root.line("/proc/cmdline"))

    @cached_property
    def parameters(self) -> dict[str, str]:
        """The parameters by name."""
        return dict(self.words)

    @cached_property
    def conf(self) -> Conf:
        """/etc/torpor.conf."""
        return Conf.parse(self.root.text(CONF) or "", CONF)

    @cached_property
    def store(self) -> Found:
        """Where `torpor hibernate` writes to."""
        return self._store or choose_store(None, self.settings, self.root)

    @cached_property
    def settings(self) -> Settings:
        """What says where the store is."""
        text = self.root.text(LOCATION)
        location = None if text is None else Location.parse(text, LOCATION)
        return Settings(self.conf, self.root.line("/proc/cmdline"), location)

    @cached_property
    def to_open(self) -> dict[str, list[Opened]]:
        """What has to be opened, from the top: for the store, and by mount point for the guard."""
        return {
            what: [one for layers in stacks for one in to_open(layers, self.root)]
            for what, stacks in self.stacks.items()
        }

    @cached_property
    def drivers(self) -> dict[str, dict[str, str]]:
        """The kernel modules that drive the disks, with one of the disks, by the same."""
        return {
            what: {
                module: layer.name
                for layers in stacks
                for layer in layers
                for module in attached.modules(layer.name, self.root)
            }
            for what, stacks in self.stacks.items()
        }

    @cached_property
    def stacks(self) -> dict[str, list[list[stack.Layer]]]:
        """The layers of each device of the store, and by mount point of those that are guarded."""
        table = MountTable(read_mounts(self.root), self.root)
        place = self.store.place
        found = {STORE: [stack.layers(place.device, self.root)] if place else []}
        for mount, *_ in file_systems(table.mounts):
            for number in table.devices_below(mount):
                if stack.is_lasting(number, self.root):  # else the guard leaves it out, too
                    layers = stack.layers_of(number, self.root)
                    found.setdefault(mount.mount_point, []).append(layers)
        return found

    @cached_property
    def crypttab_lines(self) -> dict[str, crypttab.Line]:
        """How encrypted devices are opened, by their names."""
        return crypttab.parse(self.root.text(crypttab.PATH) or "")

    @cached_property
    def source(self) -> "Source":
        """The files of the initramfs that boots the kernel."""
        from initramfs.loaders.find import find_initramfs

        try:
            return find_initramfs(self.root, self._release)
        except InitramfsError as error:
            mount = "mount /boot or the EFI system partition if it is not mounted"
            raise InitramfsError(str(error), error.hint or f"{mount}; else {self.again}") from error

    @cached_property
    def initramfs_path(self) -> str:
        """The path of it; of several files, of the one that has init."""
        paths = self.source.paths
        if len(paths) > 1:
            with suppress(InitramfsError, OSError):
                return paths[self._initramfs.main]
        return paths[-1]

    @cached_property
    def initramfs(self) -> "Initramfs":
        """What is in it."""
        try:
            return self._initramfs
        except InitramfsError as error:
            raise InitramfsError(
                f"{self.initramfs_path} cannot be used: {error}", error.hint or self.again
            ) from error

    @cached_property
    def boot(self) -> "Boot":
        """A boot by it, with this boot's kernel command line."""
        from initramfs.generators.generator import Boot

        return Boot(self.root, self.initramfs_path, self.initramfs, self.words)

    @cached_property
    def _initramfs(self) -> "Initramfs":
        from torpor.doctor.contents import read_contents

        return read_contents(self.source, self.root, (LOCATION, MACHINE_ID, SEALING, SERVER))
