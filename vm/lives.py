"""A Debian machine over its lives: boots, hibernates, resumes, and does what it is told."""

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from vm.accel import EMULATION, EMULATION_WITH_AES
from vm.debian import SEALING, Installed, copy_out, rebuild_initramfs
from vm.disks import changed_pages, copy_disk
from vm.host import run
from vm.machine import Machine, Off, RunningMachine, tail, told
from vm.tpm import Tpm

LIMIT_SECONDS = 600.0
MEMORY_MIB = 768
"""Half of it is free for the snapshot without swap, and the kernel has nothing to swap out."""
LATE_SECONDS = 30.0
ASKS = r"Please unlock disk|[Ee]nter passphrase"
"""What cryptsetup-initramfs and systemd ask, and cryptsetup itself."""
LONGEST_COMMAND = 3000
"""The guest's terminal takes lines of 4095 bytes."""
READY = "agent ready"
LOADING_OR_COLD = r"torpor-resume: loading|PM: .*ecompressing image|agent\.service|emergency mode"
LIFE = "/usr/lib/agent/life.sh"
LATER = "/usr/lib/agent/later.sh"
HIBERNATE = "/usr/lib/agent/hibernate.sh"


class GuestError(Exception):
    """The guest did not do what it was told; the message says what it did."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command in the guest came to."""

    status: int
    output: str


@dataclass(frozen=True, slots=True)
class Life:
    """What only one life of a machine has, and how far its keeper has counted."""

    nonce: str
    boot_id: str
    data: str
    counter: int

    def continues(self, other: "Life") -> bool:
        """Return whether this is the other life, later."""
        mine, its = (self.nonce, self.boot_id, self.data), (other.nonce, other.boot_id, other.data)
        return mine == its and self.counter > other.counter


@dataclass(frozen=True, slots=True)
class RootState:
    """What mounting an ext4 file system changes: the number of mounts, and when the last was."""

    mounts: int
    mounted: str


@dataclass(slots=True)
class Guest:
    """A machine with a Debian root on vda and further disks, in a folder of its own.

    `append` is added to the kernel's command line; the `tpm` may be another one, or none, each time
    the power goes on. `seconds` tells how long each boot, hibernation and resume took. A context
    manager: leaving it cuts the power.
    """

    installed: Installed
    folder: Path
    disks: Sequence[Path] = ()
    append: str = ""
    memory: int = MEMORY_MIB
    limit: float = LIMIT_SECONDS
    tpm: Tpm | None = None
    network: bool = False
    cable: str = ""
    clock_days: int = 0
    seconds: list[tuple[str, float]] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)
    _running: RunningMachine | None = None
    _unread: bytes = b""
    _token: str = ""
    _before: tuple[Life, RootState] | None = None
    _hibernating: str = ""
    """Token of what hibernated it last, and returns in each life that resumes from there."""

    def __post_init__(self) -> None:
        """Make the root disk of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        copy_disk(self.installed.disk, self.root)

    @property
    def root(self) -> Path:
        """The disk with the root file system."""
        return self.folder / "root.img"

    @property
    def is_on(self) -> bool:
        """Whether its power is on."""
        return self._running is not None

    @property
    def running(self) -> RunningMachine:
        """The machine that is on."""
        if self._running is None:
            raise GuestError("the machine is off")
        return self._running

    @property
    def console(self) -> str:
        """What the console has shown since the power went on last."""
        return self.logs[-1].read_bytes().decode("utf-8", "replace").replace("\r", "")

    def boot(self) -> float:
        """Power on and wait until the guest listens; return the seconds that took."""
        began = time.monotonic()
        self.power_on("boot")
        self._wait_for(f"{READY}\n")
        return self._took("boot", began)

    def power_on(self, name: str = "boot") -> RunningMachine:
        """Power on with what the root disk boots, and wait for nothing."""
        if self._running is not None:
            raise GuestError("the machine is on")
        self.logs.append(self.folder / f"{len(self.logs) + 1}-{name}.log")
        self._unread = b""
        self._running = self.machine(self.logs[-1]).start(self.limit)
        return self._running

    def machine(self, log: Path) -> Off:
        """Return the machine with the kernel and the initramfs of its root disk."""
        release = self.installed.kernel.release
        kernel = copy_out(self.root, f"/boot/vmlinuz-{release}", self.folder / "vmlinuz")
        return Machine(
            replace(self.installed.kernel, vmlinuz=kernel),
            self._initramfs(f"initrd.img-{release}"),
            [self.root, *self.disks],
            log,
            self.append,
            self.memory,
            channel=True,
            tpm=self.tpm,
            network=self.network,
            cable=self.cable,
            clock_days=self.clock_days,
            emulation=EMULATION_WITH_AES if self._seals else EMULATION,
        )

    @property
    def _seals(self) -> bool:
        """Whether its images may be sealed, which takes a processor without AES very long."""
        return self.network or self.installed.generator in SEALING

    def run(self, command: str, *, check: bool = True) -> Answer:
        """Run a shell command in the guest; raises GuestError if it fails, unless not to check."""
        self._tell(command)
        answer = self._answer()
        if check and answer.status != 0:
            raise GuestError(f"{command}: exit status {answer.status}\n{answer.output}")
        return answer

    def hibernate(self, command: str = HIBERNATE) -> None:
        """Run what hibernates the guest, and wait until it is off."""
        before = self.life(), self.root_state()
        began = time.monotonic()
        self._tell(command)
        ended = f"\n{self._token} ".encode()
        while chunk := self.running.read():
            self._unread += chunk
            if ended in self._unread:
                raise GuestError(f"{command}: did not hibernate: {self._answer()}{self._ending()}")
        self.off()
        self._took("hibernate", began)
        self._before, self._hibernating = before, self._token

    def resume(self, typed: str = "", asks: str = ASKS, late: float = LATE_SECONDS) -> float:
        """Power on and wait until what hibernated the guest returns; return the seconds.

        What is `typed` is typed at the console `late` seconds after that `asks` for it.

        Raises GuestError if the guest boots cold, or wrote to the root before it resumed: more
        than the one page of a mark, where the image lies in a file there.
        """
        before = copy_disk(self.root, self.folder / "before.img")
        began = time.monotonic()
        running = self.power_on("resume")
        if typed:
            running.wait_console(f"{asks}|{LOADING_OR_COLD}")
            time.sleep(late)
            running.send(f"{typed}\n".encode())
        running.wait_console(LOADING_OR_COLD)
        running.monitor("stop")
        if (written := self._written(before)) > 1:
            raise GuestError(f"{written} pages of the root were written{self._ending()}")
        running.monitor("cont")
        before.unlink()
        self._token = self._hibernating
        answer = self._answer()
        if answer.status != 0:
            raise GuestError(f"hibernating: exit status {answer.status}\n{answer.output}")
        return self._took("resume", began)

    def rebuild_outside(self) -> None:
        """From now on the initramfs is made on the host, when the machine is off.

        By the generator in the guest's root, at the full speed of the processor, but out of sight
        of the guest's devices: not for what has to open LUKS.
        """
        for generator in ("update-initramfs", "dracut"):
            self.run(f"ln -sf {LATER} /usr/local/sbin/{generator}")

    def take_rebuilt(self) -> None:
        """Put the initramfs that the host has made into the root, as if the guest had made it."""
        self.put_initramfs(self._initramfs(f"initrd.img-{self.installed.kernel.release}"))

    def boot_rebuilt(self) -> None:
        """Switch off, and boot the initramfs that the host has made meanwhile."""
        self.power_off()
        self.take_rebuilt()
        self.boot()

    def put_initramfs(self, made: Path) -> None:
        """Have the root boot this initramfs; it asks for no other one any more."""
        name = f"initrd.img-{self.installed.kernel.release}"
        commands = (f"rm /boot/{name}", f"write {made} /boot/{name}", "rm /var/tmp/rebuild")
        for command in commands:
            run("debugfs", "-w", "-R", command, self.root)

    def rebuild_inside(self) -> None:
        """From now on the initramfs is made by the guest itself, which takes minutes."""
        self.run("rm -f /usr/local/sbin/update-initramfs /usr/local/sbin/dracut /var/tmp/rebuild")

    def life(self) -> Life:
        """Ask the guest what is in its memory only."""
        said = self.run(LIFE).output.splitlines()
        nonce, boot_id, data, counter = (
            str(told(said, key)) for key in ("nonce", "boot_id", "data", "counter")
        )
        return Life(nonce, boot_id, data, int(counter))

    def same_life(self) -> bool:
        """Return whether the guest is what hibernated last, its root not mounted since.

        In memory: its keeper's secret, the boot id and the data, and the counter went on. On the
        root: as many mounts as before, the last at the same time.
        """
        if self._before is None:
            raise GuestError("the machine has not hibernated")
        life, state = self._before
        mounted = re.search(r"EXT4-fs \(\S+\): mounted", self.console)
        return self.life().continues(life) and self.root_state() == state and mounted is None

    def _written(self, before: Path) -> int:
        """Return how many pages of the disk are not as they were before the power went on."""
        return changed_pages(before, self.root)

    def root_state(self) -> RootState:
        """Read what the superblock on the root disk says of mounts."""
        self.run("sync")
        said = run("dumpe2fs", "-h", self.root)
        values = dict(re.findall(r"^([^:]+):\s+(.*)$", said, re.MULTILINE))
        return RootState(int(values["Mount count"]), values["Last mount time"])

    def power_off(self) -> None:
        """Shut down as a user does, and wait until the machine is off."""
        self._tell("systemctl poweroff")
        while self.running.read():
            pass
        self.off()

    def off(self) -> None:
        """Wait until the machine that switches itself off has done so."""
        self.running.wait()
        self.kill()

    def kill(self) -> None:
        """Cut the power."""
        if self._running is not None:
            self._running.kill()
            self._running = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _initramfs(self, name: str) -> Path:
        """Return the initramfs: the root's own, or what a generator asked for there makes."""
        asked = run("debugfs", "-R", "cat /var/tmp/rebuild", self.root).splitlines()[-1]
        words = asked.split()
        if "File not found" in asked:
            return copy_out(self.root, f"/boot/{name}", self.folder / "initrd.img")
        folder = self.folder / words[0]
        if not folder.exists():
            rebuild_initramfs(self.root, folder, words[1:])
        return folder / "boot" / name

    def _tell(self, command: str) -> None:
        if len(command) > LONGEST_COMMAND or "\n" in command:
            raise ValueError(f"too long a command, or more than one line: {command[:80]}")
        self._token = secrets.token_hex(8)
        self.running.write(f"{self._token} {command}\n".encode())

    def _answer(self) -> Answer:
        output = self._wait_for(f"\n{self._token} ")
        status = self._wait_for("\n")
        return Answer(int(status), output)

    def _wait_for(self, text: str) -> str:
        """Return what the guest says up to this text, which is left out."""
        end, ready = text.encode(), f"{READY}\n".encode()
        while end not in self._unread:
            chunk = self.running.read()
            if not chunk:
                raise GuestError(f"the machine went off{self._ending()}")
            self._unread += chunk
            if end != ready and ready in self._unread:
                raise GuestError(f"the machine booted cold{self._ending()}")
        said, _, self._unread = self._unread.partition(end)
        return said.decode("utf-8", "replace")

    def _ending(self) -> str:
        return f"; {self.logs[-1]} ends:\n{tail(self.console)}"

    def _took(self, what: str, began: float) -> float:
        seconds = time.monotonic() - began
        self.seconds.append((what, seconds))
        return seconds
