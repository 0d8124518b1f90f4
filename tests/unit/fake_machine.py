"""A sound machine in a directory, for `torpor doctor` to examine, and tools to spoil it."""

import os
from pathlib import Path
from uuid import UUID

from tests.forge import SWAP, header_page
from tests.tools import put
from tests.unit.fake_initramfs import MICROCODE, Link, archive
from tests.unit.fake_root import FILE_PAGE, SUPERBLOCKS, FakeRoot, add_device, say_udev
from torpor.doctor.examine import examine
from torpor.doctor.finding import Finding, Level

RELEASE = "6.1.0-56-amd64"
UUID_TEXT = "11111111-2222-3333-4444-555555555555"
HOME_UUID = "eeeeeeee-0000-0000-0000-000000000000"
MACHINE_ID = "0123456789abcdef0123456789abcdef"
GIB = 1 << 30
IMAGE = f"/boot/initrd.img-{RELEASE}"
LOCATION = f"resume=UUID={UUID_TEXT}\nmachine_id={MACHINE_ID}\n"
RESUMER = b"the resumer"
NEEDS = [
    "/usr/lib/torpor/resume/torpor-resume",
    "/usr/lib/torpor/resume/_internal/base_library.zip",
    "/lib/x86_64-linux-gnu/libc.so.6",
]
ENABLED = (
    "/var/lib/torpor/location",
    "/etc/systemd/system/systemd-hibernate.service.d/torpor.conf",
    "/etc/systemd/system/systemd-logind.service.d/torpor.conf",
)
DROP_IN = "[Service]\nExecStart=\nExecStart=/usr/bin/torpor hibernate --sleep-hooks\n"
BYPASS = "[Service]\nEnvironment=SYSTEMD_BYPASS_HIBERNATION_MEMORY_CHECK=1\n"
MOUNTS = "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n22 21 0:5 / /dev rw - devtmpfs udev rw\n"


class FakeMachine:
    """Debian with initramfs-tools; memory 4 GiB; swap of 4 GiB on sda2; root on sda1."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.initramfs = _initramfs_tools()
        self.logind = "yes"
        put(root, _files())
        self.device("sda1", "8:1", 20 * GIB, "aaaaaaaa-0000-0000-0000-000000000000")
        self.device("sda2", "8:2", 4 * GIB, UUID_TEXT)
        self.write("/dev/sda2", header(SWAP))
        self.write("/boot/vmlinuz-" + RELEASE, b"")
        put(root, dict(zip(NEEDS, (RESUMER, b"PK", b""), strict=True)))
        (root / f"lib/modules/{RELEASE}").mkdir(parents=True)
        (root / "sys/module").mkdir()

    def machine(self) -> FakeRoot:
        """Write the initramfs and return the machine."""
        if self.initramfs:
            self.write(IMAGE, MICROCODE + archive(self.initramfs))
        return FakeRoot(str(self.root))

    def examine(self) -> list[Finding]:
        """Return what doctor finds on it."""
        return list(examine(self.machine(), lambda: self.logind))

    def bad(self) -> list[Finding]:
        """Return what of it is not well, but that an image gives away a key: test_secrecy.py."""
        found = [finding for finding in self.examine() if finding.level != Level.OK]
        return [
            finding for finding in found if "an image there holds its key" not in finding.message
        ]

    def complaints(self) -> list[str]:
        """Return what doctor says of that."""
        return [finding.message for finding in self.bad()]

    def disabled(self) -> None:
        """Take away what `torpor enable` wrote."""
        for path in ENABLED:
            self.remove(path)
        self.initramfs.pop("var/lib/torpor/location", None)

    def write(self, path: str, what: str | bytes) -> None:
        """Make or replace a file."""
        put(self.root, {path: what})

    def text(self, path: str) -> str:
        """Return what is in a file, "" if there is none."""
        place = self.root / path.lstrip("/")
        return place.read_text() if place.exists() else ""

    def remove(self, path: str) -> None:
        """Remove a file."""
        (self.root / path.lstrip("/")).unlink()

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(target)

    def replace(self, path: str, old: str, new: str) -> None:
        """Change the text of a file, which must have `old` in it."""
        text = self.text(path)
        assert old in text
        self.write(path, text.replace(old, new))

    def device(self, name: str, number: str, size: int, uuid: str) -> None:
        """Add a block device."""
        add_device(self.root, name, number, size, ID_FS_UUID=uuid)
        self.write(f"/dev/{name}", SUPERBLOCKS)

    def layer(self, number: int, size: int, uuid: str, below: str, dm: tuple[str, str]) -> None:
        """Add a device of device-mapper on another one; `dm` are its name and UUID there."""
        name = f"dm-{number}"
        self.device(name, f"254:{number}", size, uuid)
        self.link(f"/dev/mapper/{dm[0]}", f"../{name}")
        folder = f"/sys/class/block/{name}"
        put(self.root, {f"{folder}/dm/name": f"{dm[0]}\n", f"{folder}/dm/uuid": f"{dm[1]}\n"})
        (self.root / f"sys/class/block/{name}/slaves/{below}").mkdir()

    def swaps(self, *areas: str) -> None:
        """Have these areas of swap in use, by lines of /proc/swaps but for the priority."""
        lines = [f"{area} -2\n" for area in areas]
        self.write("/proc/swaps", "".join(["Filename Type Size Used Priority\n", *lines]))

    def file(self, path: str, first_page: bytes, size: int = 0) -> None:
        """Make a file of so many bytes, whose first page is on sda1."""
        self.write(path, first_page)
        os.truncate(self.root / path[1:], size or len(first_page))
        with (self.root / "dev/sda1").open("r+b") as disk:
            disk.seek(FILE_PAGE * len(first_page))
            disk.write(first_page)

    def mapped(self, dm_name: str, dm_uuid: str) -> None:
        """Put a device-mapper device between swap and sda2."""
        say_udev(self.root, "8:2", ID_FS_TYPE="crypto_LUKS")
        self.layer(0, 4 * GIB, UUID_TEXT, "sda2", (dm_name, dm_uuid))
        self.write("/dev/dm-0", header(SWAP))
        self.replace("/proc/swaps", "/dev/sda2", "/dev/dm-0")

    def home(self, dm_name: str, dm_uuid: str, fs_type: str = "ext4", below: str = "sda1") -> None:
        """Mount /home on a device-mapper device of its own."""
        self.layer(5, GIB, HOME_UUID, below, (dm_name, dm_uuid))
        number = "0:41" if fs_type == "btrfs" else "254:5"
        line = f"30 21 {number} / /home rw - {fs_type} /dev/mapper/{dm_name} rw\n"
        self.write("/proc/self/mountinfo", MOUNTS + line)


def header(signature: bytes, start: bytes = b"") -> bytes:
    """Return the first page of a swap area or store."""
    return header_page(1001, start=start, signature=signature, uuid=UUID(UUID_TEXT))


def _initramfs_tools() -> dict[str, bytes | Link]:
    return {
        "lib": Link("usr/lib"),
        "usr/lib/torpor/resume/torpor-resume": RESUMER,
        "usr/lib/torpor/resume/_internal/base_library.zip": b"PK",
        "usr/lib/x86_64-linux-gnu/libc.so.6": b"\x7fELF",
        "var/lib/torpor/location": LOCATION.encode(),
        "var/lib/torpor/machine-id": f"{MACHINE_ID}\n".encode(),
        "scripts/local-premount/ORDER": b'/scripts/local-premount/0torpor "$@"\n'
        b"[ -e /conf/param.conf ] && . /conf/param.conf\n"
        b'/scripts/local-premount/resume "$@"\n',
    }


def _files() -> dict[str, str]:
    kib = GIB // 1024
    return {
        "/proc/sys/kernel/osrelease": RELEASE + "\n",
        "/proc/cmdline": "root=/dev/sda1 ro quiet\n",
        "/proc/self/mountinfo": MOUNTS,
        "/proc/filesystems": "nodev\ttmpfs\n\text4\n\tbtrfs\n\tbcachefs\n",
        "/proc/swaps": f"Filename Type Size Used Priority\n/dev/sda2 partition {4 * kib} 0 -2\n",
        "/proc/meminfo": f"MemTotal: {4 * kib} kB\nMemFree: {2 * kib} kB\n"
        f"AnonPages: {kib} kB\nShmem: 0 kB\nSUnreclaim: 1000 kB\nSwapFree: {4 * kib} kB\n"
        f"Active(anon): {kib} kB\nHugePages_Total: 0\n",
        "/sys/power/state": "freeze mem disk\n",
        "/sys/power/disk": "[platform] shutdown reboot suspend test_resume\n",
        "/sys/power/image_size": f"{8 * GIB // 5}\n",
        "/sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
        "/dev/snapshot": "",
        f"/boot/config-{RELEASE}": "CONFIG_HIBERNATION=y\nCONFIG_HIBERNATION_SNAPSHOT_DEV=y\n",
        # What the package installs for the generators.
        "/usr/share/initramfs-tools/hooks/torpor": "",
        "/usr/lib/dracut/modules.d/55torpor/module-setup.sh": "",
        "/usr/lib/initcpio/install/torpor": "",
        "/usr/sbin/mkinitramfs": "#!/bin/sh\n",
        "/usr/sbin/update-initramfs": "#!/bin/sh\n",
        "/etc/machine-id": MACHINE_ID + "\n",
        "/var/lib/torpor/location": LOCATION,
        "/usr/lib/torpor/resume.needs": "\n".join(NEEDS) + "\n",
        "/sys/power/resume": "8:2\n",
        "/sys/power/resume_offset": "0\n",
        "/usr/lib/systemd/system/systemd-hibernate.service": "[Service]\n",
        "/etc/systemd/system/systemd-hibernate.service.d/torpor.conf": DROP_IN,
        "/etc/systemd/system/systemd-logind.service.d/torpor.conf": BYPASS,
    }
