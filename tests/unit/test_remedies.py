"""Each remedy that doctor prints is followed, and the finding is gone."""

import re
import shlex
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from state.conf import Conf
from state.location import Location
from store.choose import Settings, choose_store
from tests.forge import SWAP
from tests.unit.fake_initramfs import Link
from tests.unit.fake_machine import ENABLED, GIB, IMAGE, MOUNTS, RELEASE, header
from tests.unit.fake_root import FakeRoot, ext
from tests.unit.following import HOOK, Machine
from tests.unit.test_doctor_faults import (
    FAULTS,
    OPTIONS,
    RESUME_SDA1,
    both,
    on_command_line,
    with_member,
    written,
)
from tests.unit.test_doctor_systemctl import ANSWERS
from tests.unit.test_store_names import FAULTS as NAMES
from torpor.doctor.finding import Finding, Level
from torpor.enable.enable import enable, target_of
from torpor.enable.system import NOTE, System

CONF = "/etc/torpor.conf"
LOCATION = "/var/lib/torpor/location"


class Followed(Machine):
    """A machine whose user does what doctor says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sound = dict(self.initramfs)

    def edit(self, path: str, pattern: str, new: str = "") -> None:
        """Change a file; what is to be changed has to be there."""
        assert re.search(pattern, self.text(path), re.MULTILINE), f"{pattern} in {path}"
        self.write(path, re.sub(pattern, new, self.text(path), flags=re.MULTILINE))

    def off_command_line(self, words: str) -> None:
        self.edit("/proc/cmdline", rf"(?<!\S)({words})(=\S*)?")

    def rebuild(self) -> None:
        """Make the initramfs as initramfs-tools does."""
        self.initramfs = dict(self.sound)
        self.initramfs |= {LOCATION[1:]: self.text(LOCATION).encode(), "sbin": Link("usr/sbin")}
        self.initramfs["var/lib/torpor/machine-id"] = self.text("/etc/machine-id").encode()
        self.anew()
        if (self.root / "usr/sbin/lvm").exists():
            self.initramfs["usr/sbin/lvm"] = b"x"

    def install(self, path: str, text: str = "x\n") -> None:
        """Write a file, and rebuild the initramfs."""
        self.write(path, text)
        self.rebuild()

    def enable(self, store: str | None = None) -> None:
        for path in ENABLED:
            if (text := self.text(path)) and not text.startswith(NOTE):
                self.write(path, NOTE + text)
        machine = self.machine()
        kept = machine.text(LOCATION)
        location = Location.parse(kept, "location") if kept else None
        conf = Conf.parse(machine.text(CONF) or "", CONF)
        settings = Settings(conf, machine.line("/proc/cmdline"), location)
        found = choose_store(store, settings, machine)
        system = FakeSystem(str(self.root), self.rebuild)
        enable(system, target_of(found, machine), lambda _: None, list)

    def use_swap(self, device: str) -> None:
        self.write("/proc/swaps", f"Filename\n{device} partition 8388608 0 -2\n")

    def make_swap(self, *devices: str | None) -> None:
        (device,) = filter(None, devices)
        self.write(device, header(SWAP))
        self.use_swap(device)

    def larger_store(self) -> None:
        self.device("sdb1", "8:17", 8 * GIB, "bbbbbbbb-0000-0000-0000-000000000000")
        self.make_swap("/dev/sdb1")
        self.enable("/dev/sdb1")

    def another_kernel(self) -> None:
        config = "CONFIG_HIBERNATION=y\nCONFIG_HIBERNATION_SNAPSHOT_DEV=y\n"
        self.write(f"/boot/config-{RELEASE}", config)
        self.write("/dev/snapshot", "")
        self.write("/sys/power/state", "freeze mem disk\n")

    def newest_kernel(self, _once: str) -> None:
        names = [path.name for path in (self.root / "lib/modules").iterdir()] or [RELEASE]
        newest = max(names, key=len)
        self.write("/proc/sys/kernel/osrelease", f"{newest}\n")
        self.write(f"/lib/modules/{newest}/vmlinuz", "")
        self.write(f"/boot/initrd.img-{newest}", (self.root / IMAGE[1:]).read_bytes())

    def take_down(self, name: str) -> None:
        """Unmount what is on /dev/mapper/NAME, and remove that."""
        self.write("/proc/self/mountinfo", MOUNTS)
        for folder in (self.root / "sys/class/block").glob("dm-*"):
            if (folder / "dm/name").read_text().strip() == name:
                shutil.rmtree(folder)

    def answers_yes(self, path: str = "/dev/null", text: str = "") -> None:
        """Write the file, and let logind have seen it."""
        self.write(path, text)
        self.logind = "yes"


class FakeSystem(FakeRoot, System):
    """A system whose devices are files, and whose programs make the initramfs."""

    def __init__(self, root: str, rebuild: Callable[[], None]) -> None:
        super().__init__(root)
        self.rebuild = rebuild

    def run(self, argv: Sequence[str]) -> str:
        self.rebuild()
        return argv[0]


LOCKDOWN = "/sys/kernel/security/lockdown"
SLEEP_CONF = "/etc/systemd/sleep.conf.d/50.conf"
RESUME_CONF = "/etc/initramfs-tools/conf.d/resume"
RESUME = "/sys/power/resume"

STEPS: tuple[tuple[str, Callable[..., object]], ...] = (
    ("^boot a kernel with|^end programs with secret memory", Followed.another_kernel),
    ("^take nohibernate or hibernate=no off", lambda m: m.off_command_line("nohibernate")),
    ("^run systemd-machine-id-setup", lambda m: m.install("/etc/machine-id", "a" * 32)),
    ("^switch Secure Boot off", lambda m: m.write(LOCKDOWN, "[none] integrity\n")),
    ("^boot (it )?once, then hibernate", Followed.newest_kernel),
    ("^take that line out", lambda m: m.write(CONF, "") or m.write(SLEEP_CONF, "")),
    ("^correct the line: torpor.conf", lambda m: m.write(CONF, "store = /dev/sda2\n")),
    ("^swapon a partition|^use swap on a disk|^use a larger store", Followed.larger_store),
    (r"(torpor enable --store ['/][^;]+)", lambda m, line: m.enable(shlex.split(line)[-1])),
    ("torpor enable --store STORE$", Followed.larger_store),
    (r"^swapon (/\S+)", Followed.use_swap),
    ("^close programs", lambda m: m.edit("/proc/meminfo", r"Shmem: \d+", "Shmem: 0")),
    (r"^torpor discard (\S+)|mkswap -U \S+ (\S+) &&", Followed.make_swap),
    ("^correct it in the boot loader's", lambda m: m.off_command_line("resume|resume_offset")),
    ("rm (/var/lib/torpor/location); torpor enable", lambda m, path: m.remove(path) or m.enable()),
    ("^take it off the boot", lambda m: m.off_command_line("resume|noresume|resume_offset")),
    ("mount /boot or|rebuild it: update-initramfs -u -k all$", Followed.rebuild),
    ("^(?:run )?torpor enable(?:[;,]|$)", Followed.enable),
    (
        r"^say (resume=\S+) in the boot",
        lambda m, word: m.edit("/proc/cmdline", r"resume=\S+", word),
    ),
    (r"^say (store = \S+) there", lambda m, line: m.write(CONF, f"{line}\n")),
    (r"^say (RESUME=\S+) there", lambda m, line: m.write(RESUME_CONF, f"{line}\n")),
    ("^install cryptsetup-initramfs", lambda m: m.install(HOOK)),
    ("^install lvm2", lambda m: m.install("/usr/sbin/lvm")),
    (
        r"add the line (\S+ \S+ \S+ [^\s,]+(?:,[^\s,]+)*)",
        lambda m, line: m.install("/etc/crypttab", f"{line}\n"),
    ),
    ("^if yours does: leave it out", Followed.rebuild),
    ("^correct it, or say RESUME=none", lambda m: m.edit(RESUME_CONF, "RESUME=.*", "RESUME=none")),
    (r"swapoff (\S+)", lambda m, path: m.edit("/proc/swaps", rf"^{path} .*$")),
    (r"umount (\S+)", lambda m, path: m.edit("/proc/self/mountinfo", f"^.* {path} .*$")),
    (r"dmsetup remove (\S+);", Followed.take_down),
    (r"zpool export (\S+)", lambda m, pool: m.remove(f"/proc/spl/kstat/zfs/{pool}/state")),
    (r"chattr -i \S+; rm (\S+)", Followed.remove),
    ("bootctl systemd-efi-options ''$", lambda m: m.write(OPTIONS, bytes(4))),
    (r"^systemctl unmask (\S+)", lambda m, unit: m.remove(f"/etc/systemd/system/{unit}")),
    (r"^take ExecStart= out of (\S+)", lambda m, path: m.edit(path, "^ExecStart=.*$")),
    ("^torpor announce", lambda m: m.answers_yes(RESUME, "8:2\n")),
    ("^echo 0 >/sys/power/resume_offset", lambda m: m.answers_yes(f"{RESUME}_offset", "0\n")),
    ("systemctl restart systemd-logind|org.freedesktop.login1", Followed.answers_yes),
    ("systemd-inhibit --list", Followed.answers_yes),
)
"""What remedies say, and what somebody does who follows them."""


def follow(fake: Followed, finding: Finding) -> None:
    if finding.level == Level.ENABLE:
        fake.enable()
        return
    found = ((step, re.search(pattern, finding.remedy)) for pattern, step in STEPS)
    steps = [(step, words) for step, words in found if words]
    assert steps, f"nobody knows how to follow: {finding.remedy!r} ({finding.message})"
    for step, words in steps:
        step(fake, *words.groups())


SPOILS = {name: ("yes", fault.spoil) for name, fault in (FAULTS | NAMES).items()}
SPOILS |= {
    "resume= of a file system": (
        "yes",
        both(on_command_line(RESUME_SDA1), written("/dev/sda1", ext())),
    ),
    "location cut off": (
        "yes",
        both(written(LOCATION, "resume="), with_member(LOCATION[1:], b"resume=")),
    ),
}
SPOILS |= {f"logind: {name}": (told, fault.spoil) for name, (told, fault) in ANSWERS.items()}


@pytest.mark.parametrize("name", SPOILS)
def test_who_follows_a_remedy_is_rid_of_the_finding(name: str, tmp_path: Path) -> None:
    fake = Followed(tmp_path)
    fake.logind, spoil = SPOILS[name]
    spoil(fake)
    (finding,) = fake.bad()
    follow(fake, finding)
    for problem in [one for one in fake.bad() if one.level == Level.PROBLEM]:
        assert problem != finding
        follow(fake, problem)  # what could not be seen before
    assert [one for one in fake.bad() if one.level == Level.PROBLEM or one == finding] == []
