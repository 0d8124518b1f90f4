"""What is asked of whatever makes an initramfs: of what it made, and of what it will make."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from initramfs.archive.initramfs import Initramfs
from initramfs.generators.joined import Array, Joined
from initramfs.generators.layers import Crypt, Known, Opened, Volume
from linux import cmdline
from linux.root import Root
from state.location import Location
from state.sealing import PATH as SEALING
from store import crypttab

Command = tuple[str, ...]
"""A program and its arguments."""

SYSTEMD = "/usr/lib/systemd/systemd"
CRYPTSETUP = ("/sbin/cryptsetup", "/usr/sbin/cryptsetup", "/usr/bin/cryptsetup")
LOADER = "the boot loader's configuration"
REINSTALL = "install Torpor's package again"
ONLY_LUKS = "use LUKS, which a boot can open"
_PROGRAMS = ("/sbin", "/usr/sbin", "/bin", "/usr/bin", "/lib/udev", "/usr/lib/udev")
MDADM = "/usr/sbin/mdadm"
LVM = ("/sbin/lvm", "/usr/sbin/lvm", "/usr/bin/lvm")


class Target(NamedTuple):
    """The chosen store, and what has to be opened for it, from the top."""

    location: Location
    opened: tuple[Opened, ...] = ()


class Fault(NamedTuple):
    """What is wrong with a boot, and what to do about it."""

    message: str
    remedy: str = ""
    """What to change first; "" for nothing."""
    in_initramfs: bool = True
    """Whether the initramfs has to be rebuilt then."""
    is_lesser: bool = False
    """Whether hibernation works all the same."""
    enabling: str = ""
    """What `torpor enable` will do about it: put ..., make ..."""
    may_ask: bool = False
    """Whether somebody may open it with a passphrase all the same."""


class Boot(NamedTuple):
    """An initramfs, there or foreseen, and what else decides at a boot by it."""

    root: Root
    path: str
    initramfs: Initramfs
    words: Sequence[tuple[str, str]]
    """Of the kernel command line: cmdline.parameters."""

    def holds(self, paths: Iterable[str]) -> bool:
        """Return whether the initramfs has one of these files."""
        return any(path in self.initramfs for path in paths)

    def lines(self, path: str) -> dict[str, crypttab.Line]:
        """Return the lines of a crypttab in the initramfs."""
        return crypttab.parse(self.initramfs.text(path) or "")

    def stock_first(self, remedy: str) -> Fault:
        """Return that the kernel's own means resume before ours do.

        The kernel declines our signature, so that the image is not lost. One of its own has no
        seal.
        """
        message = f"{self.path} runs the stock resume before Torpor's, which"
        if self.holds((SEALING,)):
            return Fault(
                f"{message} restores an image of the kernel's own, whoever made it", remedy
            )
        late = f"{message} then waits in vain for a device that does not come"
        return Fault(late, remedy, is_lesser=True)

    # The messages below end with the name of what stays shut.

    def no_cryptsetup(self, one: Crypt, remedy: str) -> Fault:
        """Return that there is no program to open an encrypted device."""
        return Fault(f"{self.path} has no cryptsetup to open {one.name}", remedy)

    def no_lvm(self, one: Volume, remedy: str) -> Fault | None:
        """Return that there is no program to activate a logical volume, None if there is one."""
        if self.holds(LVM):
            return None
        is_installed = any(self.root.exists(path) for path in LVM)
        message = f"{self.path} has no lvm to activate {one.name}"
        return Fault(message, remedy if is_installed else "install lvm2")

    def no_program(self, one: Array | Joined, remedies: Mapping[str, str]) -> Fault | None:
        """Return that nothing there joins a device to the system, None if something may."""
        if self.holds(f"{folder}/{name}" for folder in _PROGRAMS for name in one.programs):
            return None
        program = one.programs[0]
        message = f"{self.path} has no {program} to {one.verb} {one.name}"
        remedy = remedies.get(program, f"install {program}, and have it in the initramfs")
        return Fault(message, remedy)

    def nothing_tells(self, one: Known, remedy: str, *, in_initramfs: bool = True) -> Fault:
        """Return that nothing has the boot open it."""
        return Fault(f"nothing tells {self.path} to {one.verb} {one.name}", remedy, in_initramfs)

    def forbidden(self, one: Opened, word: str) -> Fault:
        """Return that a word on the kernel command line forbids to open it."""
        message = f"{word} on the kernel command line keeps {self.path} from opening {one.name}"
        return Fault(message, f"take {word} off {LOADER}", in_initramfs=False)

    def left_out(
        self, one: Opened, words: str, remedy: str, *, in_initramfs: bool = False
    ) -> Fault:
        """Return that the kernel command line names others, and so not this one."""
        message = f"{words} on the kernel command line leaves out {one.name}"
        return Fault(message, remedy, in_initramfs)

    def skipped(self, one: Crypt, option: str, where: str, *, in_initramfs: bool = True) -> Fault:
        """Return that an option, which stands there, keeps it shut."""
        message = f"the option {option} keeps {self.path} from opening {one.name}"
        return Fault(message, f"take {option} out of {where}", in_initramfs)

    def lost_file(
        self, one: Crypt, line: crypttab.Line, keep: str, keep_header: str = ""
    ) -> Fault | None:
        """Return that the initramfs lacks a file that opens the device, None if it does not."""
        for what, path, remedy in (
            ("key file", line.key_file, keep),
            ("header", line.header, keep_header or keep),
        ):
            if path and path not in self.initramfs:
                message = f"{self.path} does not hold the {what} {path}, which opens {one.name}"
                return Fault(message, remedy, may_ask=True)
        return None


class Netroot(NamedTuple):
    """What has an initramfs log in to iSCSI targets that the firmware does not know."""

    words: tuple[str, ...]
    """Beginnings of words on the kernel command line, in files of the initramfs too."""
    file: str
    """One in the initramfs that does so, too; "" for none."""
    remedy: str

    def is_told(self, boot: Boot) -> bool:
        """Return whether anything there does."""
        held = boot.initramfs
        paths = [*held.below("/etc/cmdline.d"), "/etc/cmdline"]
        texts = (held.text(path) or "" for path in paths if path in held)
        said = [*cmdline.parameters(" ".join(texts)), *boot.words]
        if self.file and self.file in held:
            return True
        return any(f"{name}={value}".startswith(self.words) for name, value in said)


class Maker(ABC):
    """What makes an initramfs: knows one by what is in it, and what it does at a boot."""

    marks: tuple[str, ...]
    """Files that only its initramfs has; one of them is enough."""
    texts: tuple[str, ...]
    """Patterns of the names of files in it whose text decides."""
    add_lvm = "install lvm2 again"
    """How LVM gets into it."""
    add_module = "put it there"
    """How a kernel module does, named {}."""
    add_program: Mapping[str, str] = {}
    """How a program does that joins devices to the system, where more is known than its name."""
    netroot: Netroot | None = None
    """None if nothing is known."""

    @abstractmethod
    def order(self, boot: Boot) -> Iterator[Fault]:
        """Yield what keeps the resumer from being run, at the right time."""

    @abstractmethod
    def crypt(self, boot: Boot, crypt: Crypt) -> Fault | None:
        """Return why an encrypted device is not opened at the boot, None if it is.

        The message ends with the device's name.
        """

    def volume(self, boot: Boot, one: Volume) -> Fault | None:
        """Return why a logical volume is not activated at the boot, None if it is.

        By LVM's rules of udev, if the maker has nothing else to say.
        """
        return boot.no_lvm(one, self.add_lvm)

    def array(self, boot: Boot, one: Array) -> Fault | None:
        """Return why an array is not assembled at the boot, None if it is.

        By mdadm's rules of udev, if the maker has nothing else to say.
        """
        return boot.no_program(one, self.add_program)

    def shut(self, boot: Boot, one: Known) -> Fault | None:
        """Return why what has to be opened is not, None if it is or may be."""
        match one:
            case Crypt():
                return self.crypt(boot, one)
            case Volume():
                return self.volume(boot, one)
            case Array():
                return self.array(boot, one)
            case Joined():
                return boot.no_program(one, self.add_program) or self._untold(boot, one)

    def _untold(self, boot: Boot, one: Joined) -> Fault | None:
        if not one.is_iscsi or self.netroot is None or self.netroot.is_told(boot):
            return None
        remedy, is_taken_along = self.netroot.remedy, bool(self.netroot.file)
        return boot.nothing_tells(one, remedy, in_initramfs=is_taken_along)

    def amiss(self, _boot: Boot) -> Iterator[Fault]:
        """Yield what is wrong in its configuration with the hooks of others."""
        return iter(())


class Generator(Maker):
    """A generator of initramfs images that `torpor enable` can run."""

    name: str
    rebuild: Command
    """Rebuilds the initramfs of every kernel, where nothing else calls it: see rebuild."""
    part: str
    """What the package installs for it: without it the resumer does not get into an initramfs."""
    configuration: str
    """The file that is ours in its folder of configuration."""

    @abstractmethod
    def is_used(self, root: Root) -> bool:
        """Return whether it is all there, and the one that makes this system's initramfs."""

    @abstractmethod
    def text(self, target: Target) -> str:
        """Return what has to stand in the configuration; "" for nothing."""

    @abstractmethod
    def foreseen(self, boot: Boot, store: Sequence[Opened], system: Sequence[Opened]) -> Initramfs:
        """Return what decides of the one that it will make after `torpor enable`, for `boot`'s.

        `store` is what has to be opened for the store, `system` for / and /usr.
        """

    def lacking(self, boot: Boot) -> Fault:
        """Return what to do where the resumer is not in its initramfs."""
        message = f"{boot.path} does not hold the resumer"
        if not boot.root.exists(self.part):
            return Fault(message, REINSTALL)
        if remedy := self.keeps_out(boot):
            return Fault(message, remedy)
        return Fault(message, enabling=f"put the resumer into {boot.path}")

    def keeps_out(self, _boot: Boot) -> str:
        """Return what the user has to change so that `torpor enable` puts the resumer there."""
        return ""


def foresee(files: Mapping[str, str]) -> Initramfs:
    """Return an initramfs of these texts, by their paths."""
    made = Initramfs()
    for path, text in files.items():
        name = path.lstrip("/")
        for at in (at for at, letter in enumerate(name) if letter == "/"):
            made.entries[name[:at]] = ""
        made.entries[name], made.kept[name] = "", text
    return made


def add_word(word: str) -> str:
    """Return what to do so that a word is on the kernel command line; quotes hold blanks there."""
    quote = "" if word.split() == [word] else '"'
    return f"add {quote}{word}{quote} to {LOADER}"


def add_to_crypttab(one: Crypt, lines: Mapping[str, crypttab.Line], options: str) -> str:
    """Return how a device gets into crypttab, of which none of the lines is its own."""
    if not one.uuid:
        return ONLY_LUKS
    if one.name in lines:
        old, where = lines[one.name].source, f"the line of {one.name} in {crypttab.PATH}"
        return f"write UUID={one.uuid} for {old} in {where}"
    name = one.name.replace(" ", r"\040")
    line = f"{name} UUID={one.uuid} none {options}"
    return f"{one.name} is not in {crypttab.PATH}: add the line {line}"
