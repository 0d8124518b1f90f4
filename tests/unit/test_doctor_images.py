"""The initramfs that boots is found: what was booted, what is configured, what is named so."""

import os
from pathlib import Path

import pytest

from errors import InitramfsError
from initramfs.archive.initramfs import Source
from initramfs.loaders.find import find_initramfs
from linux.root import Root
from tests.unit.boot_layouts import (
    BLS,
    BOOTED,
    FRESH,
    MANJARO,
    PKGBASE,
    UKI,
    UNTOLD,
    VENDOR,
    Files,
    Layout,
    What,
    chosen,
    cmdline,
    entry,
    mounted,
    preset,
    stub,
    variable,
)
from tests.unit.fake_initramfs import archive
from torpor.doctor.facts import Facts


@pytest.mark.parametrize("name", [*BOOTED, *UNTOLD])
def test_the_initramfs_that_boots(name: str, tmp_path: Path) -> None:
    files, expected = (BOOTED | UNTOLD)[name]
    assert Layout(tmp_path, *files).found() == Source((expected,))


@pytest.mark.parametrize("name", BOOTED)
def test_what_was_booted_comes_before_what_is_there(name: str, tmp_path: Path) -> None:
    """A fresh file of the usual name beside a stale one that boots."""
    files, expected = BOOTED[name]
    usual = preset(f"default_image={FRESH}")
    assert Layout(tmp_path, FRESH, PKGBASE, usual, *files).found() == Source((expected,))


def test_several_files_and_profiles(tmp_path: Path) -> None:
    words = "initrd=\\intel-ucode.img initrd=\\initramfs-linux.img"
    files: list[What] = ["/boot/intel-ucode.img", "/boot/initramfs-linux.img", cmdline(words)]
    paths = ("/boot/intel-ucode.img", "/boot/initramfs-linux.img")
    assert Layout(tmp_path / "1", *files).found() == Source(paths)
    text = "initrd /intel-ucode.img\ninitrd /initramfs-linux.img"
    files = [*files[:2], mounted("/boot"), entry("/boot/loader/entries/a.conf", text)]
    files.append(chosen("a.conf"))
    assert Layout(tmp_path / "2", *files).found() == Source(paths)
    told = stub("\\EFI\\Linux\\arch-linux.efi")
    files = [UKI, told, variable("StubProfile", "1")]
    assert Layout(tmp_path / "3", *files).found() == Source((UKI,), 1)


@pytest.mark.parametrize(
    ("order", "expected"),
    [(("ucode", "small"), "small"), (("small", "ucode"), "small"), (("ucode", "broken"), "broken")],
)
def test_of_several_files_that_with_init_is_spoken_of(
    order: tuple[str, str], expected: str, tmp_path: Path
) -> None:
    """Not the largest: microcode may be larger than an initramfs for one machine."""
    files = {
        "/boot/ucode": archive({"kernel/x86/microcode/GenuineIntel.bin": bytes(9999)}),
        "/boot/small": archive({"init": b"#!/bin/sh"}),
        "/boot/broken": b"\x1f\x8b",
    }
    words = " ".join(f"initrd=/boot/{name}" for name in order)
    Layout(tmp_path, files, cmdline(words))
    assert Facts(Root(str(tmp_path))).initramfs_path == f"/boot/{expected}"


@pytest.mark.parametrize(
    "told",
    [
        stub("\\EFI\\Linux\\arch-linux.efi"),
        chosen("arch-linux.efi"),
        chosen("arch.conf"),
        cmdline("initrd=\\EFI\\arch\\initramfs-linux.img"),
    ],
)
def test_a_partition_that_is_not_mounted_is_said(told: Files, tmp_path: Path) -> None:
    """What is found by name is not judged in place of it; mounted, it is found."""
    layout = Layout(tmp_path, FRESH, told)
    with pytest.raises(InitramfsError, match="lies on a partition that is not mounted") as caught:
        layout.found()
    assert "mount the boot partition" in caught.value.hint
    layout.write({UKI: "", "/efi/EFI/arch/initramfs-linux.img": ""})
    layout.write(entry("/efi/loader/entries/arch.conf", "efi /EFI/Linux/arch-linux.efi"))
    assert layout.found().paths[0].startswith("/efi/EFI/")


@pytest.mark.parametrize(
    "path", ["\\EFI\\debian\\initrd.img", "\\EFI\\boot\\initrd.img", "\\debian\\initrd.img"]
)
def test_what_efi_told_is_not_looked_for_on_the_root(path: str, tmp_path: Path) -> None:
    layout = Layout(
        tmp_path, "/initrd.img", "/boot/initrd.img", mounted(), cmdline(f"initrd={path}")
    )
    layout.write({"/sys/firmware/efi/efivars/x": ""})
    with pytest.raises(InitramfsError, match="lies on a partition that is not mounted"):
        layout.found()


def test_the_newest_of_several(tmp_path: Path) -> None:
    layout = Layout(tmp_path, f"{BLS}/initrd-aa", f"{BLS}/initrd-bb", f"{BLS}/linux")
    os.utime(tmp_path / f"{BLS[1:]}/initrd-bb", (1, 1))
    assert layout.found() == Source((f"{BLS}/initrd-aa",))


@pytest.mark.parametrize("data", [b"", b"\6\0\0", b"\6\0\0\0", b"\6\0\0\0x", b"\6\0\0\0\0\xd8a\0"])
def test_a_damaged_variable_is_no_traceback(data: bytes, tmp_path: Path) -> None:
    path = f"/sys/firmware/efi/efivars/LoaderEntrySelected-{VENDOR}"
    assert Layout(tmp_path, FRESH, {path: data}).found() == Source((FRESH,))


def test_another_kernel_is_not_what_was_booted(tmp_path: Path) -> None:
    told = stub("\\EFI\\Linux\\arch-linux.efi")
    Layout(tmp_path, UKI, told, f"/boot/initrd.img-{MANJARO}")
    machine = Root(str(tmp_path))
    assert find_initramfs(machine, MANJARO) == Source((f"/boot/initrd.img-{MANJARO}",))
    with pytest.raises(InitramfsError, match=r"no initramfs of the kernel 9\.9 is found"):
        find_initramfs(machine, "9.9")
