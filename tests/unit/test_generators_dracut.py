"""What dracut's own configuration says: of unified kernel images, of what it leaves out."""

import subprocess
from pathlib import Path

import pytest

from initramfs.archive.initramfs import Initramfs
from initramfs.generators import dracut
from initramfs.generators.generator import Boot, Target
from initramfs.generators.layers import Crypt, Volume
from linux.root import Root
from state.location import Location
from tests.unit.fake_root import write
from torpor.enable.system import NOTE

ETC, LIB = "/etc/dracut.conf.d", "/usr/lib/dracut/dracut.conf.d"
RUN = "/run/initramfs/dracut.conf.d"
OPENED = (
    Crypt("luks-swap", "11111111-2222-3333-4444-555555555555", "sda2"),
    Volume("vg-swap", "vg/swap"),
)
OURS = {f"{ETC}/torpor.conf": NOTE + dracut.DRACUT.text(Target(Location("x"), OPENED))}
YES, NO = 'uefi="yes"\n', "uefi=no\n"
ONLY_A_SHELL = "if [[ -e /efi ]]; then uefi=yes; fi\n"
OMITS = 'omit_dracutmodules+=" torpor "\n'


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, False),
        ({"/etc/dracut.conf": YES}, True),
        ({f"{ETC}/uefi.conf": YES}, True),
        ({f"{ETC}/9-a.conf": NO, f"{ETC}/10-b.conf": YES}, True),
        ({f"{ETC}/9-a.conf": YES, f"{ETC}/10-b.conf": NO}, False),
        ({f"{LIB}/50-uki.conf": YES}, True),
        ({f"{RUN}/50-uki.conf": YES}, True),
        ({f"{LIB}/50-uki.conf": YES, f"{ETC}/10-mine.conf": NO}, True),
        ({f"{LIB}/50-uki.conf": YES, f"{ETC}/50-uki.conf": ""}, False),
        ({f"{LIB}/50-uki.conf": NO, f"{RUN}/50-uki.conf": YES}, False),
        ({f"{ETC}/uefi.conf.rpmsave": YES, f"{ETC}/uefi": YES, f"{ETC}/.uefi.conf": YES}, False),
        ({f"{ETC}/a.conf": ONLY_A_SHELL}, False),
        ({f"{ETC}/a.conf": ONLY_A_SHELL, f"{ETC}/b.conf": YES}, True),
        ({f"{ETC}/a.conf": YES, f"{ETC}/b.conf": ONLY_A_SHELL}, False),
        ({f"{ETC}/a.conf": YES, f"{ETC}/b.conf": "[[ -e /x ]] && compress=xz\n"}, True),
        ({f"{ETC}/a.conf": YES, f"{ETC}/b.conf": ". /etc/more\n"}, False),
    ],
)
def test_unified_kernel_images(files: dict[str, str], expected: bool, root: Root) -> None:
    """As files have it that dracut reads; and our own file, which has an if, changes nothing."""
    write(root, files)
    assert dracut.makes_unified(root) is expected
    write(root, OURS)
    assert dracut.makes_unified(root) is expected


def test_a_link_to_nothing_hides_nothing(root: Root) -> None:
    write(root, {f"{LIB}/a.conf": YES, f"{LIB}/b.conf": OMITS, f"{ETC}/other.conf": ""})
    Path(root.path(f"{ETC}/a.conf")).symlink_to("gone")
    assert dracut.makes_unified(root)
    Path(root.path(f"{ETC}/b.conf")).symlink_to("/dev/null")
    assert not kept_out(root)


def kept_out(root: Root) -> str:
    return dracut.DRACUT.keeps_out(Boot(root, "", Initramfs(), []))


@pytest.mark.parametrize(
    ("path", "is_read"),
    [
        ("/etc/dracut.conf", True),
        (f"{ETC}/x.conf", True),
        (f"{LIB}/x.conf", True),
        (f"{ETC}/x.conf.rpmsave", False),
        (f"{ETC}/x.conf~", False),
        (f"{LIB}/generic/x.conf", False),
    ],
)
def test_the_file_that_leaves_us_out(path: str, is_read: bool, root: Root) -> None:
    write(root, OURS | {path: OMITS})
    assert kept_out(root) == (f"take torpor out of omit_dracutmodules in {path}" * is_read)
    assert (path in dracut.files(root)) is is_read


READ = """
for d in "$@"; do
    for i in "$d/"*.conf; do if [[ -e $i ]]; then echo "${i##*/}"; fi; done
done | sort -Vu | while read -r f; do
    for d in "$@"; do if [[ -e $d/$f ]]; then cat "$d/$f"; continue 2; fi; done
done
"""
"""dropindirs_sort of dracut 112."""


def test_files_are_read_as_dracut_does(root: Root) -> None:
    names = ("10-b", "9-a", "a", "torpor", "zz", "a-b", "A", "01-dist", "1.2", "1.10", "a_b")
    for number, folder in enumerate((ETC, LIB, RUN)):
        files = {f"{folder}/{name}.conf": f"{folder}/{name}\n" for name in names[number * 3 :]}
        write(root, files | {f"{folder}/none": "no"})
    folders = [root.path(folder) for folder in (ETC, LIB, RUN)]
    said = subprocess.run(
        ["bash", "-c", READ, "bash", *folders],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    read = [(root.text(path) or "").strip() for path in dracut.files(root)[1:]]
    assert read == said.stdout.split() != []
