"""The reader of initramfs images, over every compression and over damage; and fingerprints.

Another version of the resumer has another fingerprint, strip(1) changes nothing of it.
"""

import shutil
import stat
import struct
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest

from errors import InitramfsError
from initramfs.archive.initramfs import Initramfs, Source, as_text, fingerprint, read_initramfs
from tests.tools import ROOT
from tests.unit.fake_initramfs import (
    COMPRESSIONS,
    MICROCODE,
    TRAILER,
    Link,
    Tree,
    archive,
    lz4_legacy,
    member,
    unified_kernel_image,
)
from tests.vectors.images import noise

NOISE = noise(300_000)
TREE: Tree = {
    "usr/lib/big": NOISE,
    "usr/bin/sh": b"#!",
    "lib": Link("usr/lib"),
    "etc/alias": Link("/lib/big"),
    "etc/up": Link("../usr/bin/sh"),
    "etc/loop": Link("loop"),
    "scripts/ORDER": b"first\nsecond\n",
}


def keep(name: str) -> Callable[[bytes], object] | None:
    return as_text if name.endswith("ORDER") else crc32 if name.endswith("big") else None


@pytest.fixture(name="read")
def _read(tmp_path: Path) -> Callable[[bytes], Initramfs]:
    def read(data: bytes) -> Initramfs:
        path = tmp_path / "initrd"
        path.write_bytes(data)
        return read_initramfs(Source((str(path),)), keep)

    return read


Read = Callable[[bytes], Initramfs]


def check_tree(image: Initramfs) -> None:
    assert image.text("scripts/ORDER") == "first\nsecond\n"
    assert image.contents("/lib/big") == image.contents("etc/alias") == crc32(NOISE)
    assert "/usr/bin/sh" in image
    assert image.resolve("etc/up") == "usr/bin/sh"
    assert "etc/loop" not in image
    assert "usr/bin/bash" not in image
    assert list(image.below("lib")) == ["usr/lib/big"]


@pytest.mark.parametrize("kind", COMPRESSIONS)
@pytest.mark.parametrize("early", [b"", MICROCODE, MICROCODE + bytes(3 * 512)])
def test_compressions(kind: str, early: bytes, read: Read) -> None:
    image = read(early + COMPRESSIONS[kind](archive(TREE)))
    check_tree(image)
    assert ("kernel/x86/microcode/GenuineIntel.bin" in image) == bool(early)


def test_parts_of_all_kinds_in_one_image(read: Read) -> None:
    parts = [pack(archive({f"from/{kind}": b"x"})) for kind, pack in COMPRESSIONS.items()]
    image = read(MICROCODE + b"".join(part + bytes(-len(part) % 4) for part in parts))
    assert list(image.below("from")) == sorted(f"from/{kind}" for kind in COMPRESSIONS)


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_cut_off_anywhere(kind: str, read: Read) -> None:
    whole = COMPRESSIONS[kind](archive({"a": NOISE[:5000], "b": b"x" * 5000}).rstrip(b"\0"))
    for size in {*range(7, 200), *range(200, len(whole) - 4, 301)}:
        with pytest.raises(InitramfsError):
            read(whole[:size])


@pytest.mark.parametrize("kind", COMPRESSIONS)
def test_damage_is_no_traceback(kind: str, read: Read) -> None:
    whole = COMPRESSIONS[kind](archive({"a": NOISE[:3000], "b": b"x" * 5000}))
    found = 0
    for at in range(0, len(whole), 61):
        try:
            read(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        except InitramfsError:
            found += 1
    assert found


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "holds no files"),
        (bytes(4096), "holds no files"),
        (TRAILER, "holds no files"),
        (b"\x89LZO\0\r\n\x1a\n", "lzo"),
        (b"\x04\x22\x4d\x18xxxx", "newer frame"),
        (b"MZ" + bytes(100), "a program for EFI without"),
        (b"MZ", "something unknown"),
        (MICROCODE + b"garbage!", "something unknown"),
        (lz4_legacy(lz4_legacy(archive(TREE))), "something unknown"),
        (member("a", stat.S_IFREG, b"")[:-20] + b"z" * 20, "damaged|cut off"),
        (b"070701" + b"0" * 88 + b"00010000" + b"0" * 8, "a name .* has 65536 bytes"),
        (b"070701" + b"-" * 104, "damaged"),
    ],
)
def test_what_is_no_initramfs(data: bytes, words: str, read: Read) -> None:
    with pytest.raises(InitramfsError, match=words):
        read(data)


def test_names_of_one_file(read: Read) -> None:
    """cpio gives the contents with the last name of a file, others with the first."""
    for order in ((b"", NOISE), (NOISE, b"")):
        data = b"".join(
            member(name, stat.S_IFREG, part, inode=7, links=2)
            for name, part in zip(("one-big", "two-big"), order, strict=True)
        )
        # The same inode number in the next archive is another file.
        image = read(
            data + TRAILER + member("three-big", stat.S_IFREG, b"", inode=7, links=2) + TRAILER
        )
        assert image.contents("one-big") == image.contents("two-big") == crc32(NOISE)
        assert "three-big" in image
        assert image.contents("three-big") is None


@pytest.mark.parametrize("zeros", [1, 2, 4, 3900])
def test_names_end_at_the_first_zero(zeros: int, read: Read) -> None:
    """dracut-cpio pads them, to align the contents (enhanced_cpio=yes)."""
    parts = [
        member("usr", stat.S_IFDIR, b"", zeros=zeros),
        member("usr/big", stat.S_IFREG, NOISE, inode=7, links=2, zeros=zeros),
        member("usr/other-big", stat.S_IFREG, b"", inode=7, links=2, zeros=zeros),
        member("lib", stat.S_IFLNK, b"usr" + bytes(zeros - 1), zeros=zeros),
        member("TRAILER!!!", 0, b"", zeros=zeros),
    ]
    image = read(b"".join(parts) + archive({"etc/next": b"x"}))
    assert image.contents("lib/big") == image.contents("usr/other-big") == crc32(NOISE)
    assert list(image.below("usr")) == ["usr/big", "usr/other-big"]
    assert "etc/next" in image


def test_unified_kernel_image(read: Read) -> None:
    data = COMPRESSIONS["zstd"](archive(TREE))
    whole = unified_kernel_image([(b".initrd", data)])
    check_tree(read(whole))
    with pytest.raises(InitramfsError, match="cut off"):
        read(whole[: -1024 - 600])


def test_profiles_of_a_unified_kernel_image(tmp_path: Path) -> None:
    """A profile has its own initramfs, or that before the first profile, in one part or more."""
    path = tmp_path / "uki.efi"
    parts = [
        (b".initrd", archive({"base": b""})),
        (b".initrd", COMPRESSIONS["xz"](archive({"more": b""}))),
        (b".profile", b"ID=main"),
        (b".cmdline", b"quiet"),
        (b".profile", b"ID=rescue"),
        (b".initrd", archive({"rescue": b""})),
    ]
    path.write_bytes(unified_kernel_image(parts))
    found = [[*read_initramfs(Source((str(path),), at), keep).entries] for at in range(3)]
    assert found == [["base", "more"], ["rescue"], ["base", "more"]]
    path.write_bytes(unified_kernel_image(parts[2:]))
    assert [*read_initramfs(Source((str(path),), 1), keep).entries] == ["rescue"]
    with pytest.raises(InitramfsError, match="without an initramfs"):
        read_initramfs(Source((str(path),), 0), keep)


def test_files_are_laid_over_each_other(tmp_path: Path) -> None:
    """A boot loader loads them one after the other, whatever each of them is."""
    pieces = [MICROCODE, COMPRESSIONS["gzip"](archive(TREE)), archive({"scripts/ORDER": b"last"})]
    paths = []
    for number, data in enumerate(pieces):
        paths.append(str(tmp_path / str(number)))
        Path(paths[-1]).write_bytes(data)
    image = read_initramfs(Source(tuple(paths)), keep)
    assert image.text("scripts/ORDER") == "last"
    assert "kernel/x86/microcode/GenuineIntel.bin" in image
    assert "/usr/bin/sh" in image


def test_later_archive_wins(read: Read) -> None:
    image = read(archive({"x/ORDER": b"old"}) + archive({"x/ORDER": b"new"}))
    assert image.text("x/ORDER") == "new"
    assert read(archive({"x/ORDER": b"old"}) + archive({"x/ORDER": b""})).text("x/ORDER") is None


@pytest.mark.parametrize("kind", [kind for kind in COMPRESSIONS if kind != "none"])
def test_memory_is_bounded(kind: str, read: Read) -> None:
    data = COMPRESSIONS[kind](archive({"zeros": bytes(100 << 20), "last": b""}))
    tracemalloc.start()
    assert "last" in read(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20


TOOLS = {
    "gzip": ["gzip", "-9n"],
    "bzip2": ["bzip2", "-9"],
    "xz": ["xz", "--check=crc32"],
    "lzma": ["lzma"],
    "zstd": ["zstd", "-19"],
    "lz4": ["lz4", "-l", "-9"],
}


@pytest.mark.parametrize("kind", TOOLS)
def test_images_of_the_real_tools(kind: str, read: Read, tmp_path: Path) -> None:
    if not shutil.which("cpio") or not shutil.which(TOOLS[kind][0]):
        pytest.skip(f"no cpio or {TOOLS[kind][0]} here")
    root = tmp_path / "root"
    for name, what in TREE.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, Link):
            path.symlink_to(what.target)
        else:
            path.write_bytes(what)
    names = "\n".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    cpio = ["cpio", "-o", "-H", "newc", "--quiet"]
    plain = subprocess.run(cpio, cwd=root, input=names.encode(), capture_output=True, check=True)
    packed = subprocess.run(TOOLS[kind], input=plain.stdout, capture_output=True, check=True)
    check_tree(read(MICROCODE + packed.stdout))


def elf(archive: bytes, padding: int = 0, name: bytes = b"pydata") -> bytes:
    """Return an ELF file with one section besides that of the names."""
    names = b"\0" + name + b"\0.shstrtab\0"
    offset = 64 + padding
    table = offset + len(archive) + len(names)
    head = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", *(2, 62, 1, 0, 0),
        table, *(0, 64, 0, 0, 64, 3, 2))  # fmt: skip
    sections = bytes(64)
    sections += struct.pack("<IIQQQQIIQQ", 1, 1, 0, 0, offset, len(archive), 0, 0, 1, 0)
    at = offset + len(archive)
    sections += struct.pack("<IIQQQQIIQQ", 2 + len(name), 3, 0, 0, at, len(names), 0, 0, 1, 0)
    return head + bytes(padding) + archive + names + sections


def test_only_the_archive_counts() -> None:
    one = fingerprint(elf(b"modules"))
    assert one == fingerprint(elf(b"modules", padding=99)) != "elf"
    assert one != fingerprint(elf(b"Modules"))
    assert one != fingerprint(elf(b"module"))


def test_other_files() -> None:
    assert fingerprint(elf(b"x", name=b".text")) == fingerprint(elf(b"yy", name=b".text")) == "elf"
    assert fingerprint(b"#!/bin/sh") != fingerprint(b"#!/bin/sh\n")
    assert fingerprint(b"") != "elf"


def test_damaged_files_are_no_traceback() -> None:
    whole = elf(b"modules", padding=50)
    for at in range(len(whole)):
        fingerprint(whole[:at])
        for value in (0, 0xFF):
            fingerprint(whole[:at] + bytes([value]) + whole[at + 1 :])


@pytest.mark.parametrize("option", ["-g", "-s"])
def test_strip_changes_nothing(option: str, tmp_path: Path) -> None:
    program = ROOT / "build/torpor-resume/torpor-resume"
    if not program.exists() or not shutil.which("strip"):
        pytest.skip("no frozen program, or no strip")
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", option, "-o", stripped, program], check=True)
    assert fingerprint(stripped.read_bytes()) == fingerprint(program.read_bytes()) != "elf"
