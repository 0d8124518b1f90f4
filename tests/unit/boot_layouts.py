"""How machines boot: files of a layout, and where the initramfs is that boots there."""

from collections.abc import Mapping
from pathlib import Path

from initramfs.archive.initramfs import Source
from initramfs.loaders.find import find_initramfs
from linux.root import Root
from tests.unit.fake_initramfs import unified_kernel_image

RELEASE = "6.12.1-arch1-1"
MANJARO = "6.6.32-1-MANJARO"
TOKEN = "0123456789abcdef0123456789abcdef"
VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
ESP = "25 21 8:1 / {} rw - vfat /dev/sda1 rw\n"


def mounted(*folders: str) -> dict[str, str]:
    """Return the mountinfo of a machine with boot partitions there."""
    return {"/proc/self/mountinfo": "".join(ESP.format(folder) for folder in folders)}


FRESH = f"/boot/initramfs-{RELEASE}.img"
PKGBASE = {f"/lib/modules/{RELEASE}/pkgbase": "linux\n"}
UKI = "/efi/EFI/Linux/arch-linux.efi"


Files = Mapping[str, str | bytes]
What = str | Files


def variable(name: str, value: str) -> dict[str, bytes]:
    """Return the file of an EFI variable of the boot loader."""
    data = b"\6\0\0\0" + f"{value}\0".encode("utf-16-le")
    return {f"/sys/firmware/efi/efivars/{name}-{VENDOR}": data}


def kernel(release: str) -> bytes:
    """Return the head of a kernel for x86 that says its release."""
    head = bytearray(0x400)
    head[0x202:0x206] = b"HdrS"
    head[0x20E:0x210] = (0x100).to_bytes(2, "little")
    head[0x300 : 0x300 + len(release) + 8] = release.encode() + b" (x@y) #"
    return bytes(head)


def unified(linux: bytes) -> bytes:
    """Return a unified kernel image with this kernel."""
    return unified_kernel_image([(b".initrd", b""), (b".linux", linux)])


class Layout:
    """A machine with these files, each of them empty if only named; a fresh file is the newest."""

    def __init__(self, folder: Path, *files: What) -> None:
        self.folder = folder
        self.write({"/proc/sys/kernel/osrelease": RELEASE, "/proc/cmdline": "root=/dev/sda2 ro"})
        self.write({"/etc/machine-id": TOKEN, **mounted("/efi")})
        for one in files:
            self.write({one: ""} if isinstance(one, str) else one)

    def write(self, files: Files) -> None:
        for name, data in files.items():
            path = self.folder / name[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data.encode() if isinstance(data, str) else data)

    def found(self) -> Source:
        machine = Root(str(self.folder))
        return find_initramfs(machine, machine.release)


def cmdline(words: str) -> dict[str, str]:
    return {"/proc/cmdline": f"{words} root=/dev/sda2 ro\n"}


def entry(path: str, text: str) -> dict[str, str]:
    return {path: f"title Linux # not\n{text}\n"}


BLS = f"/efi/{TOKEN}/{RELEASE}"
SUSE = f"/boot/efi/opensuse-tumbleweed/{RELEASE}"
ARCH_PRESET = "ALL_kver=/boot/vmlinuz-linux\nPRESETS=(default fallback)\n"

BOOTED: dict[str, tuple[list[What], str]] = {
    "a stub of today tells itself": (
        [FRESH, UKI, variable("StubImageIdentifier", "\\EFI\\LINUX\\ARCH-LINUX.EFI")],
        UKI,
    ),
    "in a folder of its own": (
        [
            FRESH,
            "/efi/EFI/ArchLinux/arch-linux.efi",
            variable("StubImageIdentifier", "\\EFI\\ArchLinux\\arch-linux.efi"),
        ],
        "/efi/EFI/ArchLinux/arch-linux.efi",
    ),
    "an older stub, booted by the firmware": (
        [
            FRESH,
            UKI,
            variable("StubInfo", "systemd-stub 252"),
            variable("LoaderImageIdentifier", "\\EFI\\Linux\\arch-linux.efi"),
        ],
        UKI,
    ),
    "an older stub, booted by systemd-boot": (
        [
            FRESH,
            UKI,
            variable("StubInfo", "systemd-stub 252"),
            variable("LoaderImageIdentifier", "\\EFI\\systemd\\systemd-bootx64.efi"),
            variable("LoaderEntrySelected", "arch-linux.efi"),
        ],
        UKI,
    ),
    "with counters of boot attempts, which are gone now": (
        [FRESH, UKI, variable("StubImageIdentifier", "\\EFI\\Linux\\arch-linux+2-1.efi")],
        UKI,
    ),
    "an entry of systemd-boot": (
        [
            FRESH,
            f"{BLS}/linux",
            f"{BLS}/initrd",
            variable("LoaderEntrySelected", "mine.conf"),
            entry("/efi/loader/entries/mine.conf", f"initrd /{TOKEN}/{RELEASE}/initrd"),
        ],
        f"{BLS}/initrd",
    ),
    "an entry on the extended boot partition, with counters": (
        [
            mounted("/boot", "/efi"),
            "/boot/initramfs-linux.img",
            variable("LoaderEntrySelected", "arch.conf"),
            entry("/boot/loader/entries/arch+3.conf", "initrd\t/initramfs-linux.img"),
            entry("/efi/loader/entries/other.conf", "initrd /other.img"),
            "/efi/other.img",
        ],
        "/boot/initramfs-linux.img",
    ),
    "an entry of GRUB, /boot on the root file system": (
        [
            "/boot/initramfs-linux.img",
            variable("LoaderInfo", "GRUB 2.14"),
            variable("LoaderEntrySelected", "arch.conf"),
            entry("/boot/loader/entries/arch.conf", "initrd /boot/initramfs-linux.img"),
        ],
        "/boot/initramfs-linux.img",
    ),
    "the partition's file, and one of its name in an ordinary folder": (
        [
            "/boot/initramfs-linux.img",
            "/efi/initramfs-linux.img",
            variable("LoaderInfo", "systemd-boot 257"),
            cmdline("initrd=\\initramfs-linux.img"),
        ],
        "/efi/initramfs-linux.img",
    ),
    "the partition's unified kernel image, and one in an ordinary folder": (
        [
            "/boot/EFI/Linux/arch-linux.efi",
            UKI,
            variable("StubImageIdentifier", "\\EFI\\Linux\\arch-linux.efi"),
        ],
        UKI,
    ),
    "GRUB on Debian, UEFI, which says nothing of itself": (
        [
            *("/sys/firmware/efi/efivars/x", f"/boot/vmlinuz-{RELEASE}"),
            *(f"/boot/initrd.img-{RELEASE}", f"/efi/boot/initrd.img-{RELEASE}"),
            cmdline(f"BOOT_IMAGE=/boot/vmlinuz-{RELEASE}"),
        ],
        f"/boot/initrd.img-{RELEASE}",
    ),
    "rEFInd, UEFI": (
        [
            *("/sys/firmware/efi/efivars/x", "/boot/initramfs-linux.img", "/initrd.img"),
            cmdline("initrd=boot\\initramfs-linux.img"),
        ],
        "/boot/initramfs-linux.img",
    ),
    "the partition's entry, and one in an ordinary folder": (
        [
            *("/boot/initramfs-linux.img", "/efi/initramfs-linux.img"),
            variable("LoaderEntrySelected", "arch.conf"),
            entry("/boot/loader/entries/arch.conf", "initrd /initramfs-linux.img"),
            entry("/efi/loader/entries/arch.conf", "initrd /initramfs-linux.img"),
        ],
        "/efi/initramfs-linux.img",
    ),
    "an entry that names a unified kernel image": (
        [
            FRESH,
            "/efi/EFI/arch/linux.efi",
            variable("LoaderEntrySelected", "arch.conf"),
            entry("/efi/loader/entries/arch.conf", "efi /EFI/arch/linux.efi"),
        ],
        "/efi/EFI/arch/linux.efi",
    ),
    "an entry that names one as the kernel": (
        [
            FRESH,
            UKI,
            variable("LoaderEntrySelected", "arch.conf"),
            entry("/efi/loader/entries/arch.conf", "linux /EFI/Linux/arch-linux.efi"),
        ],
        UKI,
    ),
    "openSUSE's, with a checksum; what was booted is there for another snapshot": (
        [
            mounted("/boot/efi"),
            cmdline(f"initrd=\\opensuse-tumbleweed\\{RELEASE}\\initrd-cc"),
            f"{SUSE}/linux-aa",
            f"{SUSE}/initrd-bb",
            f"{SUSE}/initrd-cc",
            variable("LoaderEntrySelected", "opensuse-tumbleweed-6.12.1-1.conf"),
            entry(
                "/boot/efi/loader/entries/opensuse-tumbleweed-6.12.1-1.conf",
                f"initrd /opensuse-tumbleweed/{RELEASE}/initrd-bb",
            ),
        ],
        f"{SUSE}/initrd-bb",
    ),
    "the kernel's own stub, and rEFInd": (
        [FRESH, "/boot/initramfs-linux.img", cmdline("initrd=@\\boot\\initramfs-linux.img quiet")],
        "/boot/initramfs-linux.img",
    ),
    "an initramfs on the EFI system partition": (
        [
            "/boot/initramfs-linux.img",
            "/efi/EFI/arch/initramfs-linux.img",
            cmdline("initrd=\\EFI\\arch\\initramfs-linux.img"),
        ],
        "/efi/EFI/arch/initramfs-linux.img",
    ),
    "a name with a blank": (
        [FRESH, "/efi/my initramfs.img", cmdline('"initrd=\\my initramfs.img" quiet')],
        "/efi/my initramfs.img",
    ),
    "a value that only looks like one": (
        [FRESH, "/boot/wrong.img", cmdline('dyndbg="func initrd=/wrong.img +p"')],
        FRESH,
    ),
    "syslinux": (
        [
            "/boot/initramfs-linux.img",
            "/boot/initramfs-linux-lts.img",
            cmdline("BOOT_IMAGE=../vmlinuz-linux-lts initrd=../initramfs-linux-lts.img"),
        ],
        "/boot/initramfs-linux-lts.img",
    ),
    "GRUB on Debian": (
        [
            f"/boot/vmlinuz-{RELEASE}",
            f"/boot/initrd.img-{RELEASE}",
            cmdline(f"BOOT_IMAGE=/boot/vmlinuz-{RELEASE}"),
        ],
        f"/boot/initrd.img-{RELEASE}",
    ),
    "GRUB, /boot on a partition": (
        [
            "/boot/vmlinuz-linux",
            "/boot/initramfs-linux.img",
            UKI,
            cmdline("BOOT_IMAGE=(hd0,gpt2)/vmlinuz-linux"),
        ],
        "/boot/initramfs-linux.img",
    ),
    "GRUB, /boot in a subvolume of btrfs": (
        [
            "/boot/vmlinuz-6.6-x86_64",
            "/boot/initramfs-6.6-x86_64.img",
            cmdline("BOOT_IMAGE=/@/boot/vmlinuz-6.6-x86_64"),
        ],
        "/boot/initramfs-6.6-x86_64.img",
    ),
    "GRUB with entries of kernel-install": (
        [
            FRESH,
            f"/boot/{TOKEN}/{RELEASE}/linux",
            f"/boot/{TOKEN}/{RELEASE}/initrd",
            cmdline(f"BOOT_IMAGE=(hd0,gpt2)/{TOKEN}/{RELEASE}/linux"),
        ],
        f"/boot/{TOKEN}/{RELEASE}/initrd",
    ),
    "ostree": (
        [
            f"/boot/ostree/fedora-abc/vmlinuz-{RELEASE}",
            f"/boot/ostree/fedora-abc/initramfs-{RELEASE}.img",
            cmdline(f"BOOT_IMAGE=(hd0,gpt2)/ostree/fedora-abc/vmlinuz-{RELEASE}"),
        ],
        f"/boot/ostree/fedora-abc/initramfs-{RELEASE}.img",
    ),
}
