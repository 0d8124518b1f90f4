"""An initramfs made of ordinary files, in which torpor-boot runs."""

import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from format import PAGE_SIZE
from format.first_page import MARK_MAGIC, MARK_OFFSET
from tests.initramfs.installed import HERE, ROOT, unavailable

PAGE_OF = {
    "swap": (b"", b"SWAPSPACE2"),
    "mark": (MARK_MAGIC, b"ULSUSPEND\0"),
    "store": (b"", b"ULSUSPEND\0"),
    "kernel": (b"", b"S1SUSPEND\0"),
    "zeros": (b"", bytes(10)),
}
"""What lies at the mark's place and at the end of a page of that name."""

RELEASE = "6.12.1-amd64"

SHELLS = {
    "dash": (["/bin/dash"], ""),
    "bash": (["/bin/bash", "--posix"], ""),
    "busybox": (["/bin/busybox", "sh"], "/bin/busybox"),
    "klibc": (["/usr/lib/klibc/bin/sh"], "/usr/lib/klibc/bin"),
}
"""How each shell is called, and where its tools come from: coreutils if nothing is said."""


def page(name: str) -> bytes:
    """Return 4096 bytes, of which all that means nothing here is awkward for a shell."""
    mark, end = PAGE_OF[name]
    body = bytearray(bytes(range(256)) * 16)
    body[MARK_OFFSET : MARK_OFFSET + len(mark)] = mark
    body[PAGE_SIZE - len(end) :] = end
    return bytes(body)


@dataclass(slots=True)
class Boot:
    """Where files stand for what torpor-boot looks at; what it did is in `started` and `said`."""

    root: Path
    shell: str
    said: str = ""
    began: int = 100
    _tools: list[str] = field(default_factory=lambda: ["cat", "dd", "mkdir"])

    def __post_init__(self) -> None:
        for folder in ("proc", "run/udev/data", "dev", "sys/dev/block", "at", "tools"):
            (self.root / folder).mkdir(parents=True)
        resumer = self.root / "usr/lib/torpor/resume/torpor-resume"
        resumer.parent.mkdir(parents=True)
        resumer.write_text(f'#!/bin/sh\necho "$*" >>{shlex.quote(str(self.root))}/started\n')
        resumer.chmod(0o755)
        (self.root / "run/udev/control").touch()
        self.command_line("quiet")
        (self.root / "proc/sys/kernel").mkdir(parents=True)
        (self.root / "proc/sys/kernel/osrelease").write_text(f"{RELEASE}\n")
        self.set_clock(self.began)
        self._provide_tools()

    def _provide_tools(self) -> None:
        _, source = SHELLS[self.shell]
        for tool in self._tools:
            target = "/bin/busybox" if source == "/bin/busybox" else f"{source or '/bin'}/{tool}"
            (self.root / "tools" / tool).symlink_to(target)

    def set_clock(self, seconds: int) -> None:
        (self.root / "proc/uptime").write_text(f"{seconds}.99 7.00\n")

    @property
    def passed(self) -> int:
        """How many seconds it took."""
        now = (self.root / "proc/uptime").read_text()
        return int(now.partition(".")[0]) - self.began

    @property
    def started(self) -> list[str]:
        """The arguments of each start of the resumer."""
        log = self.root / "started"
        return log.read_text().splitlines() if log.exists() else []

    def command_line(self, text: str) -> None:
        (self.root / "proc/cmdline").write_text(text + "\n")

    def location(self, text: str) -> None:
        (self.root / "var/lib/torpor").mkdir(parents=True)
        (self.root / "var/lib/torpor/location").write_text(text)

    def firmware(self, text: str, *, is_mounted: bool = True) -> None:
        """Let the firmware say where an image is, as systemd writes it."""
        folder = self.root / ("sys/firmware/efi/efivars" if is_mounted else "efivars")
        folder.mkdir(parents=True)
        name = "HibernateLocation-8cf2644b-4b0b-428f-9387-6d876050dc67"
        (folder / name).write_bytes(b"\7\0\0\0" + f"{text}\0".encode("utf-16-le"))
        (self.root / "sys/firmware/efi/efivars").mkdir(parents=True, exist_ok=True)

    def device(self, node: str, first: str, at: dict[int, str] | None = None) -> Path:
        """Make a device whose first page and those at the numbers in `at` are as named."""
        place = self.root / node.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            for number, name in {0: first, **(at or {})}.items():
                file.seek(number * PAGE_SIZE)
                file.write(page(name))
        return place

    def number(self, number: str, name: str, kind: str = "") -> None:
        """Let the kernel know the device /dev/NAME by its number, and udev what it holds."""
        folder = self.root / "sys/dev/block" / number
        folder.mkdir()
        (folder / "uevent").write_text(f"MAJOR=8\nDEVNAME={name}\nDEVTYPE=disk\n")
        (self.root / f"run/udev/data/b{number}").write_text(f"S:disk/x\nE:ID_FS_TYPE={kind}\n")

    def at(self, second: int, script: str) -> None:
        """Let something happen so many seconds from now; $R is where the files are."""
        head = f"R={shlex.quote(str(self.root))}\n"
        (self.root / f"at/{self.began + second}").write_text(head + script + "\n")

    def run(self, *arguments: str) -> int:
        """Run torpor-boot; return its exit status."""
        shell, _ = SHELLS[self.shell]
        if not Path(shell[0]).exists():
            unavailable(f"{shell[0]} is missing")
        script = f". {HERE}/clock.sh; . {ROOT}/initramfs/torpor-boot"
        done = subprocess.run(
            [*shell, "-c", script, "torpor-boot", *arguments],
            env={
                "TORPOR_ROOT": str(self.root),
                "PATH": f"{self.root}/tools",
                "LANG": "de_DE.UTF-8",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        self.said += done.stdout
        return done.returncode
