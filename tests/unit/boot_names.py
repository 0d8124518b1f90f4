"""How machines boot that tell nothing: the initramfs is found by its name, or by what it holds."""

from tests.unit.boot_layouts import (
    ARCH_PRESET,
    BLS,
    FRESH,
    PKGBASE,
    RELEASE,
    SUSE,
    TOKEN,
    What,
    cmdline,
    entry,
    kernel,
    mounted,
    unified,
    variable,
)

MANJARO_PRESET = {
    "/etc/mkinitcpio.d/linux66.preset": "ALL_kver='/boot/vmlinuz-6.6-x86_64'\nPRESETS=(default)\n"
    'default_image="/boot/initramfs-6.6-x86_64.img"\n'
}

UNTOLD: dict[str, tuple[list[What], str]] = {
    "Debian": ([f"/boot/initrd.img-{RELEASE}"], f"/boot/initrd.img-{RELEASE}"),
    "Fedora": ([FRESH], FRESH),
    "openSUSE": ([f"/boot/initrd-{RELEASE}"], f"/boot/initrd-{RELEASE}"),
    "Arch": ([PKGBASE, "/boot/initramfs-linux.img"], "/boot/initramfs-linux.img"),
    "Arch, by its preset": (
        [
            PKGBASE,
            "/boot/initramfs-linux.img",
            "/boot/other.img",
            {"/etc/mkinitcpio.d/linux.preset": f"{ARCH_PRESET}default_image=/boot/other.img\n"},
        ],
        "/boot/other.img",
    ),
    "Arch, by a preset for this kernel": (
        [
            "/boot/other.img",
            {"/boot/vmlinuz-linux": kernel(RELEASE)},
            {"/etc/mkinitcpio.d/a.preset": ARCH_PRESET.replace("linux", "a")},
            {"/etc/mkinitcpio.d/b.preset": f"{ARCH_PRESET}default_uki=/boot/other.img\n"},
        ],
        "/boot/other.img",
    ),
    "Arch, a unified kernel image of its preset": (
        [
            "/boot/initramfs-linux.img",
            "/boot/EFI/Linux/archlinux-linux.efi",
            PKGBASE,
            {
                "/etc/mkinitcpio.d/linux.preset": f"{ARCH_PRESET}"
                "default_uki=/boot/EFI/Linux/archlinux-linux.efi\n"
            },
        ],
        "/boot/EFI/Linux/archlinux-linux.efi",
    ),
    "Arch, a unified kernel image by name": (
        [
            PKGBASE,
            "/efi/EFI/Linux/arch-linux-lts.efi",
            "/efi/EFI/Linux/arch-linux-fallback.efi",
            "/efi/EFI/ArchLinux/arch-linux.efi",
            "/efi/EFI/BOOT/BOOTX64.EFI",
        ],
        "/efi/EFI/ArchLinux/arch-linux.efi",
    ),
    "Manjaro, by its package": (
        [
            {f"/lib/modules/{RELEASE}/kernelbase": "6.6-x86_64\n"},
            "/boot/initramfs-6.6-x86_64.img",
            "/boot/initramfs-6.6-x86_64-fallback.img",
        ],
        "/boot/initramfs-6.6-x86_64.img",
    ),
    "Manjaro, by its preset": (
        [
            "/boot/initramfs-6.6-x86_64.img",
            MANJARO_PRESET,
            {f"/lib/modules/{RELEASE}/pkgbase": "linux66"},
        ],
        "/boot/initramfs-6.6-x86_64.img",
    ),
    "kernel-install": ([f"{BLS}/linux", f"{BLS}/initrd"], f"{BLS}/initrd"),
    "kernel-install with a token": (
        [{"/etc/kernel/entry-token": "mine\n"}, f"/boot/mine/{RELEASE}/initrd"],
        f"/boot/mine/{RELEASE}/initrd",
    ),
    "openSUSE with systemd-boot, by its entry": (
        [
            f"{SUSE}/initrd-bb",
            f"{SUSE}/initrd-cc",
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
        ],
        f"{SUSE}/initrd-cc",
    ),
    "openSUSE with systemd-boot, by its folder": (
        [{"/etc/os-release": 'NAME=x\nID="opensuse-tumbleweed"\n'}, f"{SUSE}/initrd-bb"],
        f"{SUSE}/initrd-bb",
    ),
    "openSUSE with systemd-boot, whatever it is called": (
        [f"{SUSE}/initrd-bb", "/boot/efi/opensuse-tumbleweed/6.11.9-1-default/initrd-aa"],
        f"{SUSE}/initrd-bb",
    ),
    "beside the kernel that says so": (
        [
            {"/boot/vmlinuz-mine": kernel(RELEASE), "/boot/vmlinuz-other": kernel("6.1.0")},
            *("/boot/initramfs-mine.img", "/boot/initramfs-other.img"),
        ],
        "/boot/initramfs-mine.img",
    ),
    "a unified kernel image whose kernel says so": (
        [
            {"/efi/EFI/Linux/a.efi": unified(kernel("6.1.0"))},
            {"/efi/EFI/Linux/b.efi": unified(kernel(RELEASE)), "/efi/EFI/Linux/c.efi": b"MZ"},
        ],
        "/efi/EFI/Linux/b.efi",
    ),
    "a folder that is called like one": (
        [{"/efi/EFI/Linux/b.efi": unified(kernel(RELEASE))}, "/efi/EFI/Linux/a.efi/x"],
        "/efi/EFI/Linux/b.efi",
    ),
    "a package's name below /usr": (
        [{f"/usr/lib/modules/{RELEASE}/pkgbase": "linux\n"}, "/boot/initramfs-linux.img"],
        "/boot/initramfs-linux.img",
    ),
    "limine": (
        [
            PKGBASE,
            f"/boot/{TOKEN}/linux/initramfs-linux",
            f"/boot/{TOKEN}/linux/initramfs-linux-fallback",
        ],
        f"/boot/{TOKEN}/linux/initramfs-linux",
    ),
    "dracut's unified kernel image": (
        [
            FRESH,
            f"/boot/efi/EFI/Linux/linux-{RELEASE}-{TOKEN}-1.efi",
            {"/etc/dracut.conf.d/uki.conf": 'uefi="yes"\n'},
        ],
        f"/boot/efi/EFI/Linux/linux-{RELEASE}-{TOKEN}-1.efi",
    ),
    "kernel-install's unified kernel image": (
        [
            FRESH,
            f"/efi/EFI/Linux/{TOKEN}-{RELEASE}.efi",
            {"/etc/kernel/install.conf": "layout=uki\n"},
        ],
        f"/efi/EFI/Linux/{TOKEN}-{RELEASE}.efi",
    ),
    "not the one of a longer release": (
        [
            f"/efi/EFI/Linux/{TOKEN}-{RELEASE}-lts.efi",
            *(f"/efi/EFI/Linux/{name}.efi" for name in (f"1{RELEASE}", f"{RELEASE}0", "x")),
            f"/efi/EFI/Linux/{TOKEN}-{RELEASE}.efi",
            f"/lib/modules/{RELEASE}-lts/vmlinuz",
        ],
        f"/efi/EFI/Linux/{TOKEN}-{RELEASE}.efi",
    ),
    "a place that nobody would guess": (
        [
            mounted("/my\\040esp"),
            f"/my esp/EFI/Linux/{TOKEN}-{RELEASE}.efi",
        ],
        f"/my esp/EFI/Linux/{TOKEN}-{RELEASE}.efi",
    ),
    "beside the modules": (
        [f"/lib/modules/{RELEASE}/initramfs.img"],
        f"/lib/modules/{RELEASE}/initramfs.img",
    ),
    "what was booted is gone since": (
        [
            FRESH,
            "/efi/EFI/Linux/other.efi",
            variable("StubImageIdentifier", "\\EFI\\Linux\\old.efi"),
        ],
        FRESH,
    ),
}
