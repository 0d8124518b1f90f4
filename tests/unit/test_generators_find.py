"""Which generator a system uses, its kernels, and what has to be run: who calls whom differs."""

import pytest

from initramfs.generators import kernels
from initramfs.generators.find import commands, find_generator
from initramfs.generators.kernels import installed, order, order_of_release
from linux.root import Root
from tests.tools import output
from tests.unit.fake_root import write

INITRAMFS_TOOLS = {
    "/usr/sbin/mkinitramfs": "#!/bin/sh\n",
    "/usr/sbin/update-initramfs": 'mkinitramfs -o "${initramfs_bak}" "${version}"\n',
}
DRACUT = {"/usr/bin/dracut": "#!/bin/bash\n"}
DRACUTS_UPDATE = {"/usr/sbin/update-initramfs": 'dracut ${OPTS} --force "${initramfs}"\n'}
MKINITCPIO = {"/usr/bin/mkinitcpio": "", "/etc/mkinitcpio.d/linux.preset": "PRESETS=()\n"}
LEFT_OVER = {"/usr/sbin/mkinitramfs": "#!/bin/sh\n"}


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (INITRAMFS_TOOLS, "initramfs-tools"),
        (INITRAMFS_TOOLS | DRACUT, "initramfs-tools"),
        (DRACUT, "dracut"),
        ({"/usr/sbin/dracut": ""}, "dracut"),
        (DRACUT | DRACUTS_UPDATE, "dracut"),
        (DRACUT | LEFT_OVER, "dracut"),
        (DRACUT | DRACUTS_UPDATE | LEFT_OVER, "dracut"),
        (DRACUT | {"/usr/bin/mkinitcpio": ""}, "dracut"),
        (DRACUT | MKINITCPIO, "mkinitcpio"),
        (MKINITCPIO, "mkinitcpio"),
        (LEFT_OVER, None),
        ({"/usr/sbin/update-initramfs": ""}, None),
        ({"/etc/mkinitcpio.d/linux.preset": ""}, None),
        ({}, None),
    ],
)
def test_the_generator_in_use(files: dict[str, str], name: str | None, root: Root) -> None:
    write(root, files)
    found = find_generator(root)
    assert (found and found.name) == name


OLDEST_FIRST = [
    *("5.15.160-1-MANJARO", "6.1.0-9-amd64", "6.1.0-56-amd64", "6.1.0-100-amd64"),
    *("6.6-rc7", "6.6", "6.6.32-1-MANJARO"),
    *("6.12~rc8-amd64", "6.12-amd64"),
    *("6.12.0-rc1-00012-gabcdef", "6.12.0-rc10", "6.12.0", "6.12.0+"),
    *("6.12.1-1-default", "6.12.1-2-default"),
    *("7.0.0-0.rc7.56.fc45.x86_64", "7.3.4+deb13-amd64", "7.10.0-1-default"),
]


def test_releases_are_sorted_as_versions() -> None:
    rotated = OLDEST_FIRST[9:] + OLDEST_FIRST[:9]
    assert sorted(rotated, key=order_of_release) == OLDEST_FIRST


def test_names_are_sorted_as_sort_does() -> None:
    names = ["10-b.conf", "9-a.conf", "a.conf", "torpor.conf", "zz.conf", "a-b.conf", "A.conf"]
    said = output("sort", "--version-sort", text="\n".join(names), env={"LC_ALL": "C"})
    assert sorted(names, key=lambda name: order(name.removesuffix(".conf"))) == said.split()


def test_only_kernels_count(root: Root) -> None:
    write(
        root,
        {
            "/lib/modules/6.6.32-1-MANJARO/modules.builtin": "",
            "/lib/modules/6.1.0-56-amd64/left": "",
            "/usr/lib/modules/7.3.3-amd64/modules.dep": "",
            "/boot/vmlinuz-6.1.0-56-amd64": "",
            "/lib/modules/7.3.4-amd64/vmlinuz": "",
            "/lib/modules/7.3.5-amd64/updates/dkms/left.ko": "",
            "/lib/modules/7.3.6-amd64.old/vmlinuz": "",
            "/lib/modules/7.3.6-amd64.dpkg-bak/vmlinuz": "",
            "/lib/modules/extramodules-7.9/vmlinuz": "",
            "/boot/vmlinuz-6.6-x86_64": "",
            "/boot/vmlinuz-9.9.old": "",
        },
    )
    assert installed(root) == [
        *("6.1.0-56-amd64", "6.6.32-1-MANJARO", "7.3.3-amd64", "7.3.4-amd64")
    ]


TOKEN = "0123456789abcdef0123456789abcdef"
KERNELS = {f"/lib/modules/{name}/vmlinuz": "" for name in ("6.12.1-arch1-1", "6.6.9-1-lts")}
KERNEL_INSTALL = {"/usr/bin/kernel-install": "", "/etc/machine-id": TOKEN, **KERNELS}
CAPITALS = {"/etc/machine-id": TOKEN.upper()}
ON_DEBIAN = {
    "/usr/bin/kernel-install": "",
    "/etc/kernel/entry-token": "debian\n",
    "/boot/vmlinuz-6.12.1-amd64": "",
    "/lib/modules/6.12.1-amd64/modules.dep": "",
    "/boot/efi/debian/6.12.1-amd64/initrd": "",
}
ADDED = [
    f"kernel-install add {name} /lib/modules/{name}/vmlinuz"
    for name in ("6.6.9-1-lts", "6.12.1-arch1-1")
]
MINE = {"/etc/kernel/entry-token": "mine\n"}
UKI = {"/etc/kernel/install.conf": "layout=uki\n"}
UEFI = {"/etc/dracut.conf.d/uefi.conf": "uefi=yes\n"}
NO_PRESETS = {"/usr/bin/mkinitcpio": ""}
ALL = "dracut --regenerate-all --force"
DEBIAN = {
    **DRACUT,
    "/etc/kernel/postinst.d/dracut": "",
    "/etc/machine-id": TOKEN,
    "/etc/os-release": "ID=debian\n",
    "/boot/vmlinuz-6.12.1-amd64": "",
    "/boot/vmlinuz-6.12.9-amd64": "",
    "/lib/modules/6.12.1-amd64/modules.dep": "",
    "/lib/modules/6.12.9-amd64/modules.dep": "",
}
BOTH = [
    command.format(release)
    for release in ("6.12.1-amd64", "6.12.9-amd64")
    for command in (
        "dracut --force /boot/initrd.img-{0} {0}",
        "kernel-install add {0} /boot/vmlinuz-{0}",
    )
]
ESP = f"/boot/efi/{TOKEN}/6.12.9-amd64/initrd"
SUSES_MODULES = "/usr/lib/modules/6.12.1-1-default"
SUSE = {
    **DRACUT,
    "/usr/bin/sdbootutil": "",
    "/usr/bin/kernel-install": "",
    "/etc/machine-id": TOKEN,
    "/etc/os-release": 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n',
    f"{SUSES_MODULES}/vmlinuz": "",
}


def run(root: Root) -> list[str]:
    """Return what is run, a command each."""
    generator = find_generator(root)
    assert generator is not None
    return [" ".join(command) for command in commands(root, generator)]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (INITRAMFS_TOOLS, ["update-initramfs -u -k all"]),
        (INITRAMFS_TOOLS | KERNEL_INSTALL, ["update-initramfs -u -k all"]),
        (DRACUT, [ALL]),
        (DRACUT | LEFT_OVER, [ALL]),
        (DRACUT | DRACUTS_UPDATE | LEFT_OVER, ["update-initramfs -u -k all"]),
        (DRACUT | DRACUTS_UPDATE | KERNEL_INSTALL, ["update-initramfs -u -k all"]),
        # Fedora: kernel-install, but dracut knows the places itself.
        (DRACUT | KERNEL_INSTALL | {"/usr/lib/kernel/install.conf": "layout=bls\n"}, [ALL]),
        (DRACUT | KERNEL_INSTALL | {f"/boot/efi/{TOKEN}/6.12.1-arch1-1/initrd": ""}, [ALL]),
        (DRACUT | KERNEL_INSTALL | CAPITALS | {f"/boot/{TOKEN}/6.12.1-arch1-1/initrd": ""}, [ALL]),
        (DRACUT | KERNEL_INSTALL | UKI, ADDED),
        (DRACUT | KERNEL_INSTALL | MINE | {"/efi/mine/6.12.1-arch1-1/initrd": ""}, ADDED),
        (DRACUT | ON_DEBIAN, ["kernel-install add 6.12.1-amd64 /boot/vmlinuz-6.12.1-amd64"]),
        # EndeavourOS
        (DRACUT | KERNEL_INSTALL | {"/usr/bin/reinstall-kernels": ""}, ["reinstall-kernels"]),
        (DRACUT | {"/usr/bin/dracut-rebuild": ""}, ["dracut-rebuild"]),
        (MKINITCPIO, ["mkinitcpio -P"]),
        (MKINITCPIO | KERNEL_INSTALL, ["mkinitcpio -P"]),
        (MKINITCPIO | {"/usr/bin/limine-mkinitcpio": ""}, ["limine-mkinitcpio"]),
        (MKINITCPIO | DRACUT, ["mkinitcpio -P"]),
        (MKINITCPIO | DRACUT | {"/etc/kernel/install.conf": "initrd_generator=dracut"}, [ALL]),
        (NO_PRESETS | DRACUT | {"/usr/bin/limine-mkinitcpio": ""}, ["limine-mkinitcpio"]),
        (NO_PRESETS | KERNEL_INSTALL, ADDED),
        (NO_PRESETS, []),
        # Without kernel-install dracut knows its place on Debian.
        (DEBIAN | {ESP: ""}, [ALL]),
        # Without a boot loader of sdbootutil's the rest is as elsewhere.
        (SUSE | UKI, [f"kernel-install add 6.12.1-1-default {SUSES_MODULES}/vmlinuz"]),
    ],
)
def test_what_is_run(files: dict[str, str], expected: list[str], root: Root) -> None:
    write(root, files)
    assert run(root) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, [ALL]),
        ({"/boot/efi/EFI/debian/grubx64.efi": ""}, [ALL]),
        ({"/etc/kernel/postinst.d/zz-systemd-boot": ""}, [ALL]),
        ({ESP: ""}, BOTH),
        ({"/efi/Default/6.12.9-amd64/initrd": ""}, BOTH),
        ({"/etc/kernel/entry-token": "debian\n", "/boot/debian/6.12.1-amd64/linux": ""}, BOTH),
        (UKI, BOTH),
        (UKI | {ESP: ""}, BOTH),
        # dracut makes the unified kernel images, and would make one there, too.
        (UEFI | {ESP: ""}, [ALL]),
        (UEFI | UKI, BOTH[1::2]),
        (DRACUTS_UPDATE | {ESP: ""}, ["update-initramfs -u -k all"]),
    ],
)
def test_on_debian_kernel_install_takes_what_lies_in_boot(
    files: dict[str, str], expected: list[str], root: Root
) -> None:
    """By itself dracut would write elsewhere, and the old one in /boot would be laid over it."""
    write(root, DEBIAN | {"/usr/bin/kernel-install": ""} | files)
    assert run(root) == expected


ENTRIES = {"/boot/efi/opensuse-tumbleweed/6.12.1-1-default/initrd-1b2c": ""}
SDBOOTUTIL = ["sdbootutil mkinitrd"]


@pytest.mark.parametrize("entries", [{}, ENTRIES], ids=["none", "entries"])
@pytest.mark.parametrize(
    ("loader", "expected"),
    [
        ("LOADER_TYPE=systemd-boot", SDBOOTUTIL),
        ('## Type: list(grub,grub2)\nLOADER_TYPE="grub2-bls"\nSECURE_BOOT="yes"', SDBOOTUTIL),
        ('LOADER_TYPE="grub2-efi"', [ALL]),
        ("LOADER_TYPE=grub2-bls\nLOADER_TYPE=grub2", [ALL]),
        ("LOADER_TYPE=none", [ALL]),
        (None, None),
        ('LOADER_TYPE=""', None),
        ("#LOADER_TYPE=grub2-efi", None),
        ("[[ -e /x ]] && LOADER_TYPE=grub2-efi", None),
    ],
)
def test_on_opensuse_the_boot_loader_decides(
    loader: str | None, expected: list[str] | None, entries: dict[str, str], root: Root
) -> None:
    """sdbootutil is installed with the classic GRUB, too; where none is named, its files tell."""
    write(root, SUSE | entries)
    if loader is not None:
        write(root, {"/etc/sysconfig/bootloader": loader})
    assert run(root) == (expected or (SDBOOTUTIL if entries else [ALL]))


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        ({}, ""),
        ({"/usr/lib/kernel/install.conf": "# layout=x\nlayout=bls\n"}, "bls"),
        ({"/usr/lib/kernel/install.conf": "layout=bls\n", "/etc/kernel/install.conf": "x=y"}, ""),
        (
            {
                "/etc/kernel/install.conf": "layout=bls\nlayout = 'uki'\n",
                "/usr/lib/kernel/install.conf.d/10.conf": "layout=other\n",
                "/etc/kernel/install.conf.d/10.conf": "",
                "/run/kernel/install.conf.d/20.txt": "layout=no\n",
            },
            "uki",
        ),
        ({"/usr/lib/kernel/install.conf.d/10.conf": "layout=other\n"}, "other"),
    ],
)
def test_settings_of_kernel_install(files: dict[str, str], layout: str, root: Root) -> None:
    write(root, files)
    assert kernels.setting(root, "layout") == layout


def test_boot_partitions_and_tokens(root: Root) -> None:
    mounts = (
        "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n25 21 8:2 / /boot/efi rw - vfat /dev/sda2 rw\n"
        "26 21 8:3 / /my\\040esp rw - vfat /dev/sda3 rw\n"
    )
    release = 'NAME="Arch Linux"\nID="arch"\n\nVERSION=1\n'
    write(root, {"/proc/self/mountinfo": mounts, "/etc/os-release": release})
    assert kernels.folders(root) == ["/boot", "/efi", "/boot/efi", "/my esp"]
    write(root, {"/etc/machine-id": TOKEN, "/etc/kernel/entry-token": f"{TOKEN}\n"})
    assert list(kernels.tokens(root)) == [TOKEN, "arch", "Default"]
