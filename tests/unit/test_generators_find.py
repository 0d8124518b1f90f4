"""Which generator a system uses, and which of its kernels is the newest."""

import subprocess

import pytest

from initramfs.generators.find import find_generator
from initramfs.generators.kernels import installed, order, order_of_release
from linux.root import Root
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
    sort = ["sort", "--version-sort"]
    said = subprocess.run(
        sort,
        input="\n".join(names),
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C"},
    )
    assert sorted(names, key=lambda name: order(name.removesuffix(".conf"))) == said.stdout.split()


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
