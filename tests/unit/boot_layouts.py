"""How machines boot: files of a layout, and where the initramfs is that boots there.

Those in BOOTED tell it; of others it is found by its name, or by what it holds.
"""

from collections.abc import Mapping
from pathlib import Path

from initramfs.archive.initramfs import Source
from initramfs.loaders.find import find_initramfs
from linux.root import Root
from tests.tools import put
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
ARCH = "/boot/initramfs-linux.img"


Files = Mapping[str, str | bytes]
What = str | Files


def variable(name: str, value: str) -> dict[str, bytes]:
    """Return the file of an EFI variable of the boot loader."""
    data = b"\6\0\0\0" + f"{value}\0".encode("utf-16-le")
    return {f"/sys/firmware/efi/efivars/{name}-{VENDOR}": data}


def stub(path: str) -> dict[str, bytes]:
    """Return what a unified kernel image says of itself."""
    return variable("StubImageIdentifier", path)


def chosen(entry: str) -> dict[str, bytes]:
    """Return what a boot loader says of the entry that it took."""
    return variable("LoaderEntrySelected", entry)


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
        put(self.folder, files)

    def found(self) -> Source:
        machine = Root(str(self.folder))
        return find_initramfs(machine, machine.release)


def boots(path: str, *others: What) -> tuple[list[What], str]:
    """Return files of a layout, and which of them is the initramfs that boots."""
    return [path, *others], path


def cmdline(words: str) -> dict[str, str]:
    return {"/proc/cmdline": f"{words} root=/dev/sda2 ro\n"}


def entry(path: str, text: str) -> dict[str, str]:
    return {path: f"title Linux # not\n{text}\n"}


def taken(path: str, text: str) -> dict[str, str | bytes]:
    """Return an entry, and what a boot loader says that took it."""
    return {**entry(path, text), **chosen(path.rpartition("/")[2])}


BLS = f"/efi/{TOKEN}/{RELEASE}"
SUSE = f"/boot/efi/opensuse-tumbleweed/{RELEASE}"
ESP_ENTRY = "/efi/loader/entries/arch.conf"
OLD_STUB = variable("StubInfo", "systemd-stub 252")
ARCH_PRESET = "ALL_kver=/boot/vmlinuz-linux\nPRESETS=(default fallback)\n"


def preset(line: str, name: str = "linux") -> dict[str, str]:
    """Return a preset of Arch with one line more."""
    return {f"/etc/mkinitcpio.d/{name}.preset": f"{ARCH_PRESET}{line}\n"}


BOOTED = {
    "a stub of today tells itself": boots(UKI, FRESH, stub("\\EFI\\LINUX\\ARCH-LINUX.EFI")),
    "in a folder of its own": boots(
        "/efi/EFI/ArchLinux/arch-linux.efi", FRESH, stub("\\EFI\\ArchLinux\\arch-linux.efi")
    ),
    "an older stub, booted by the firmware": boots(
        UKI, FRESH, OLD_STUB, variable("LoaderImageIdentifier", "\\EFI\\Linux\\arch-linux.efi")
    ),
    "an older stub, booted by systemd-boot": boots(
        UKI,
        FRESH,
        OLD_STUB,
        variable("LoaderImageIdentifier", "\\EFI\\systemd\\systemd-bootx64.efi"),
        chosen("arch-linux.efi"),
    ),
    "with counters of boot attempts, which are gone now": boots(
        UKI, FRESH, stub("\\EFI\\Linux\\arch-linux+2-1.efi")
    ),
    "an entry of systemd-boot": boots(
        f"{BLS}/initrd",
        FRESH,
        f"{BLS}/linux",
        taken("/efi/loader/entries/mine.conf", f"initrd /{TOKEN}/{RELEASE}/initrd"),
    ),
    "an entry on the extended boot partition, with counters": boots(
        ARCH,
        mounted("/boot", "/efi"),
        chosen("arch.conf"),
        entry("/boot/loader/entries/arch+3.conf", "initrd\t/initramfs-linux.img"),
        entry("/efi/loader/entries/other.conf", "initrd /other.img"),
        "/efi/other.img",
    ),
    "an entry of GRUB, /boot on the root file system": boots(
        ARCH,
        variable("LoaderInfo", "GRUB 2.14"),
        taken("/boot/loader/entries/arch.conf", "initrd /boot/initramfs-linux.img"),
    ),
    "the partition's file, and one of its name in an ordinary folder": boots(
        "/efi/initramfs-linux.img",
        ARCH,
        variable("LoaderInfo", "systemd-boot 257"),
        cmdline("initrd=\\initramfs-linux.img"),
    ),
    "the partition's unified kernel image, and one in an ordinary folder": boots(
        UKI, "/boot/EFI/Linux/arch-linux.efi", stub("\\EFI\\Linux\\arch-linux.efi")
    ),
    "GRUB on Debian, UEFI, which says nothing of itself": boots(
        f"/boot/initrd.img-{RELEASE}",
        "/sys/firmware/efi/efivars/x",
        f"/boot/vmlinuz-{RELEASE}",
        f"/efi/boot/initrd.img-{RELEASE}",
        cmdline(f"BOOT_IMAGE=/boot/vmlinuz-{RELEASE}"),
    ),
    "rEFInd, UEFI": boots(
        ARCH,
        "/sys/firmware/efi/efivars/x",
        "/initrd.img",
        cmdline("initrd=boot\\initramfs-linux.img"),
    ),
    "the partition's entry, and one in an ordinary folder": boots(
        "/efi/initramfs-linux.img",
        ARCH,
        taken("/boot/loader/entries/arch.conf", "initrd /initramfs-linux.img"),
        entry(ESP_ENTRY, "initrd /initramfs-linux.img"),
    ),
    "an entry that names a unified kernel image": boots(
        "/efi/EFI/arch/linux.efi", FRESH, taken(ESP_ENTRY, "efi /EFI/arch/linux.efi")
    ),
    "an entry that names one as the kernel": boots(
        UKI, FRESH, taken(ESP_ENTRY, "linux /EFI/Linux/arch-linux.efi")
    ),
    "openSUSE's, with a checksum; what was booted is there for another snapshot": boots(
        f"{SUSE}/initrd-bb",
        mounted("/boot/efi"),
        cmdline(f"initrd=\\opensuse-tumbleweed\\{RELEASE}\\initrd-cc"),
        f"{SUSE}/linux-aa",
        f"{SUSE}/initrd-cc",
        taken(
            "/boot/efi/loader/entries/opensuse-tumbleweed-6.12.1-1.conf",
            f"initrd /opensuse-tumbleweed/{RELEASE}/initrd-bb",
        ),
    ),
    "the kernel's own stub, and rEFInd": boots(
        ARCH, FRESH, cmdline("initrd=@\\boot\\initramfs-linux.img quiet")
    ),
    "an initramfs on the EFI system partition": boots(
        "/efi/EFI/arch/initramfs-linux.img",
        ARCH,
        cmdline("initrd=\\EFI\\arch\\initramfs-linux.img"),
    ),
    "a name with a blank": boots(
        "/efi/my initramfs.img", FRESH, cmdline('"initrd=\\my initramfs.img" quiet')
    ),
    "a value that only looks like one": boots(
        FRESH, "/boot/wrong.img", cmdline('dyndbg="func initrd=/wrong.img +p"')
    ),
    "syslinux": boots(
        "/boot/initramfs-linux-lts.img",
        ARCH,
        cmdline("BOOT_IMAGE=../vmlinuz-linux-lts initrd=../initramfs-linux-lts.img"),
    ),
    "GRUB on Debian": boots(
        f"/boot/initrd.img-{RELEASE}",
        f"/boot/vmlinuz-{RELEASE}",
        cmdline(f"BOOT_IMAGE=/boot/vmlinuz-{RELEASE}"),
    ),
    "GRUB, /boot on a partition": boots(
        ARCH, "/boot/vmlinuz-linux", UKI, cmdline("BOOT_IMAGE=(hd0,gpt2)/vmlinuz-linux")
    ),
    "GRUB, /boot in a subvolume of btrfs": boots(
        "/boot/initramfs-6.6-x86_64.img",
        "/boot/vmlinuz-6.6-x86_64",
        cmdline("BOOT_IMAGE=/@/boot/vmlinuz-6.6-x86_64"),
    ),
    "GRUB with entries of kernel-install": boots(
        f"/boot/{TOKEN}/{RELEASE}/initrd",
        FRESH,
        f"/boot/{TOKEN}/{RELEASE}/linux",
        cmdline(f"BOOT_IMAGE=(hd0,gpt2)/{TOKEN}/{RELEASE}/linux"),
    ),
    "ostree": boots(
        f"/boot/ostree/fedora-abc/initramfs-{RELEASE}.img",
        f"/boot/ostree/fedora-abc/vmlinuz-{RELEASE}",
        cmdline(f"BOOT_IMAGE=(hd0,gpt2)/ostree/fedora-abc/vmlinuz-{RELEASE}"),
    ),
}

UNTOLD = {
    "Debian": boots(f"/boot/initrd.img-{RELEASE}"),
    "Fedora": boots(FRESH),
    "openSUSE": boots(f"/boot/initrd-{RELEASE}"),
    "Arch": boots(ARCH, PKGBASE),
    "Arch, by its preset": boots(
        "/boot/other.img", PKGBASE, ARCH, preset("default_image=/boot/other.img")
    ),
    "Arch, by a preset for this kernel": boots(
        "/boot/other.img",
        {"/boot/vmlinuz-linux": kernel(RELEASE)},
        {"/etc/mkinitcpio.d/a.preset": ARCH_PRESET.replace("linux", "a")},
        preset("default_uki=/boot/other.img", "b"),
    ),
    "Arch, a unified kernel image of its preset": boots(
        "/boot/EFI/Linux/archlinux-linux.efi",
        ARCH,
        PKGBASE,
        preset("default_uki=/boot/EFI/Linux/archlinux-linux.efi"),
    ),
    "Arch, a unified kernel image by name": boots(
        "/efi/EFI/ArchLinux/arch-linux.efi",
        PKGBASE,
        "/efi/EFI/Linux/arch-linux-lts.efi",
        "/efi/EFI/Linux/arch-linux-fallback.efi",
        "/efi/EFI/BOOT/BOOTX64.EFI",
    ),
    "Manjaro, by its package": boots(
        "/boot/initramfs-6.6-x86_64.img",
        {f"/lib/modules/{RELEASE}/kernelbase": "6.6-x86_64\n"},
        "/boot/initramfs-6.6-x86_64-fallback.img",
    ),
    "Manjaro, by its preset": boots(
        "/boot/initramfs-6.6-x86_64.img",
        {
            "/etc/mkinitcpio.d/linux66.preset": "ALL_kver='/boot/vmlinuz-6.6-x86_64'\n"
            'PRESETS=(default)\ndefault_image="/boot/initramfs-6.6-x86_64.img"\n',
            f"/lib/modules/{RELEASE}/pkgbase": "linux66",
        },
    ),
    "kernel-install": boots(f"{BLS}/initrd", f"{BLS}/linux"),
    "kernel-install with a token": boots(
        f"/boot/mine/{RELEASE}/initrd", {"/etc/kernel/entry-token": "mine\n"}
    ),
    "openSUSE with systemd-boot, by its entry": boots(
        f"{SUSE}/initrd-cc",
        f"{SUSE}/initrd-bb",
        *(
            entry(
                f"/boot/efi/loader/entries/{number}.conf",
                f"version {RELEASE}\nlinux /opensuse-tumbleweed/{RELEASE}/linux-aa\n"
                f"options root=/dev/sda2 rootflags=subvol=@/{number}\n"
                f"initrd /opensuse-tumbleweed/{RELEASE}/initrd-{end}",
            )
            for number, end in (("1", "bb"), ("2", "cc"))
        ),
        cmdline("rootflags=subvol=@/2"),
    ),
    "openSUSE with systemd-boot, by its folder": boots(
        f"{SUSE}/initrd-bb", {"/etc/os-release": 'NAME=x\nID="opensuse-tumbleweed"\n'}
    ),
    "openSUSE with systemd-boot, whatever it is called": boots(
        f"{SUSE}/initrd-bb", "/boot/efi/opensuse-tumbleweed/6.11.9-1-default/initrd-aa"
    ),
    "beside the kernel that says so": boots(
        "/boot/initramfs-mine.img",
        {"/boot/vmlinuz-mine": kernel(RELEASE), "/boot/vmlinuz-other": kernel("6.1.0")},
        "/boot/initramfs-other.img",
    ),
    "a unified kernel image whose kernel says so": boots(
        "/efi/EFI/Linux/b.efi",
        {"/efi/EFI/Linux/a.efi": unified(kernel("6.1.0"))},
        {"/efi/EFI/Linux/b.efi": unified(kernel(RELEASE)), "/efi/EFI/Linux/c.efi": b"MZ"},
    ),
    "a folder that is called like one": boots(
        "/efi/EFI/Linux/b.efi",
        {"/efi/EFI/Linux/b.efi": unified(kernel(RELEASE))},
        "/efi/EFI/Linux/a.efi/x",
    ),
    "a package's name below /usr": boots(ARCH, {f"/usr/lib/modules/{RELEASE}/pkgbase": "linux\n"}),
    "limine": boots(
        f"/boot/{TOKEN}/linux/initramfs-linux",
        PKGBASE,
        f"/boot/{TOKEN}/linux/initramfs-linux-fallback",
    ),
    "dracut's unified kernel image": boots(
        f"/boot/efi/EFI/Linux/linux-{RELEASE}-{TOKEN}-1.efi",
        FRESH,
        {"/etc/dracut.conf.d/uki.conf": 'uefi="yes"\n'},
    ),
    "kernel-install's unified kernel image": boots(
        f"/efi/EFI/Linux/{TOKEN}-{RELEASE}.efi", FRESH, {"/etc/kernel/install.conf": "layout=uki\n"}
    ),
    "not the one of a longer release": boots(
        f"/efi/EFI/Linux/{TOKEN}-{RELEASE}.efi",
        f"/efi/EFI/Linux/{TOKEN}-{RELEASE}-lts.efi",
        *(f"/efi/EFI/Linux/{name}.efi" for name in (f"1{RELEASE}", f"{RELEASE}0", "x")),
        f"/lib/modules/{RELEASE}-lts/vmlinuz",
    ),
    "a place that nobody would guess": boots(
        f"/my esp/EFI/Linux/{TOKEN}-{RELEASE}.efi", mounted("/my\\040esp")
    ),
    "beside the modules": boots(f"/lib/modules/{RELEASE}/initramfs.img"),
    "what was booted is gone since": boots(
        FRESH, "/efi/EFI/Linux/other.efi", stub("\\EFI\\Linux\\old.efi")
    ),
}
