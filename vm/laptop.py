"""A laptop with Debian on it: UEFI, an NVMe disk that boots by itself, its root encrypted."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vm.accel import EMULATION_WITH_AES, QEMU, accelerator
from vm.debian import SCRIPTS, Installed, text_digest
from vm.disks import blank_disk, changed_pages, copy_disk
from vm.host import kept, run
from vm.kernels import Kernel
from vm.lives import ASKS, Guest, GuestError, RootState
from vm.machine import Off, RunningMachine, tail, wires
from vm.tpm import Tpm

FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
"""Of the package ovmf; it boots what is not signed."""
VARIABLES = FIRMWARE.with_name("OVMF_VARS_4M.fd")
DISK_MIB = 4096
BOOT_AT = 321 << 20
"""Where /boot begins on the disk; laptop.sh says so, too."""
KEPT = 3
LIMIT_SECONDS = 2400.0
"""For one life, an installation too: the generator takes an emulated processor minutes."""
PASSPHRASE = "secret"
INSTALLER = SCRIPTS / "laptop.sh"
ROOT = "/dev/mapper/debian--vg-root"


@dataclass(frozen=True, slots=True)
class Laptop(Off):
    """A laptop that is off: a q35 machine that its firmware boots from its only disk, nvme0n1.

    `variables` is where the firmware keeps its own; `kernel`, one that the accelerator is tried
    with. The console goes to the file `log`, the report beside it; `memory` is in MiB.
    """

    up_seconds: ClassVar[float] = 240.0

    kernel: Kernel
    disk: Path
    variables: Path
    log: Path
    memory: int
    cpus: int = 2
    tpm: Tpm | None = None

    def command(self, monitor: int, channel: int) -> list[str]:
        """Return QEMU's command line, its monitor and ttyS1 on these inherited sockets."""
        command = [QEMU, "-machine", "q35", *accelerator(self.kernel, EMULATION_WITH_AES)]
        command += ["-m", str(self.memory), "-smp", str(self.cpus)]
        command += ["-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE}"]
        command += ["-drive", f"if=pflash,unit=1,format=raw,file={self.variables}"]
        command += ["-drive", f"if=none,id=disk,format=raw,cache=writeback,file={self.disk}"]
        command += ["-device", "nvme,drive=disk,serial=laptop"]
        return command + wires(self.log, monitor, channel)


@dataclass(slots=True)
class LaptopGuest(Guest):
    """A Debian on a laptop. Its owner types the passphrase at each boot; it has no other disks."""

    limit: float = LIMIT_SECONDS

    @property
    def variables(self) -> Path:
        """The firmware's variables."""
        return self.folder / "variables.fd"

    def give(self, file: Path) -> None:
        """Put a file into /boot, which is not encrypted, of a laptop that is off."""
        run("debugfs", "-w", "-R", f"write {file} {file.name}", f"{self.root}?offset={BOOT_AT}")

    def power_on(self, name: str = "boot") -> RunningMachine:
        """Power on with what the firmware finds on the disk, and unlock the disk."""
        running = Guest.power_on(self, name)
        running.wait_console(ASKS)
        running.send(f"{PASSPHRASE}\n".encode())
        return running

    def root_state(self) -> RootState:
        """Read what the superblock says of mounts, from the disk past the guest's memory.

        The fields s_mtime and s_mnt_count (fs/ext4/ext4.h).
        """
        page = f"dd if={ROOT} iflag=direct bs=4096 count=1 status=none"
        said = self.run(f"{page} | od -An -tu4 -j1068 -N4; {page} | od -An -tu2 -j1076 -N2")
        mounted, mounts = said.output.split()
        return RootState(int(mounts), mounted)

    def _written(self, before: Path) -> int:
        # systemd-boot writes to the EFI system partition, which lies before /boot.
        return changed_pages(before, self.root, BOOT_AT)

    def machine(self, log: Path) -> Laptop:
        """Return the laptop, with its disk and what its firmware keeps."""
        if not self.variables.exists():
            copy_disk(VARIABLES, self.variables)
        kernel = self.installed.kernel
        return Laptop(kernel, self.root, self.variables, log, self.memory, tpm=self.tpm)


def laptop(installed: Installed) -> Installed:
    """Return this Debian on the disk of a laptop, as its installer lays it out.

    The guest does that itself, on a disk beside its own: nothing of this machine's device-mapper
    is touched, which it need not have, and what an initramfs hook looks at is there. It takes
    minutes.
    """
    digest = text_digest([str(installed.disk), INSTALLER.read_text()])
    home = kept("laptops", digest, lambda folder: _install(installed, folder), KEPT)
    return Installed(installed.generator, home / "disk.img", installed.kernel, installed.listing)


def _install(installed: Installed, folder: Path) -> None:
    disk = blank_disk(folder / "disk.img", DISK_MIB)
    source = copy_disk(installed.disk, folder / "source.img")
    with Guest(installed, folder / "guest", [disk, source], limit=LIMIT_SECONDS) as guest:
        run("debugfs", "-w", "-R", f"write {INSTALLER} /laptop.sh", guest.root)
        guest.boot()
        command = f"sh /laptop.sh /dev/vdb /dev/vdc {PASSPHRASE} >/dev/console 2>&1"
        if guest.run(command, check=False).status != 0:
            raise GuestError(f"cannot install a laptop:\n{tail(guest.console)}")
        guest.power_off()
    source.unlink()
    shutil.rmtree(guest.folder)
