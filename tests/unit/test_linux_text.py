r"""Text of the kernel: any user may name a mount, and a name may hold all bytes but / and NUL."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from linux import cgroups, memory, proc
from linux.mounts import Mount, parse_mounts
from linux.swap import SwapArea, parse_swaps

MOUNTINFO = r"""21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:5 / /dev rw,nosuid - devtmpfs udev rw
30 21 0:40 /sub /mnt/with\040blank rw shared:9 master:2 - btrfs /dev/sdb rw
31 21 0:41 / /fuse rw - fuseblk.ntfs /dev/sdc1 rw
"""
MOUNTS = [
    Mount(21, "8:1", "/", "ext4", "/dev/sda1"),
    Mount(22, "0:5", "/dev", "devtmpfs", "udev"),
    Mount(30, "0:40", "/mnt/with blank", "btrfs", "/dev/sdb", "/sub"),
    Mount(31, "0:41", "/fuse", "fuseblk.ntfs", "/dev/sdc1"),
]
SWAPS = """Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority
/dev/sda2                               partition\t1048572\t\t256\t\t-2
/swap\\040file                           file\t\t524284\t\t0\t\t-3
/dev/zram0                              partition\t4000000\t\t0\t\t100
/gone\\040(deleted)                      file\t\t8\t\t0\t\t-4
"""
AREAS = [
    SwapArea("/dev/sda2", is_partition=True, size=1048572 << 10, used=256 << 10),
    SwapArea("/swap file", is_partition=False, size=524284 << 10, used=0),
    SwapArea("/dev/zram0", is_partition=True, size=4000000 << 10, used=0),
    SwapArea("/gone (deleted)", is_partition=False, size=8 << 10, used=0),
]

NAMES = st.binary(max_size=60).map(lambda name: os.fsdecode(b"/" + name.replace(b"\0", b"")))
"""What a path may be, as Python has it."""
ODD = "/\x0ca\rb\x0bc\x1cd\x85e\u00a0f\u2028g\udc80 \t\n\\#\udcff\r"
"""Ends of lines and blanks to Python, and what is no UTF-8: nothing of it to the kernel."""
NO_LINES = ["", "what", "1 2", " - ", "a b c d e f - g h i", "1 2 8:x / / rw - ext4 s rw", "\0" * 9]


def escaped(name: str) -> str:
    """Write a name as the kernel does (fs/seq_file.c, mangle_path)."""
    return "".join(f"\\{ord(c):03o}" if c in " \t\n\\#" else c for c in name)


@given(NAMES)
@example(ODD)
def test_names_come_back_as_they_are(name: str) -> None:
    written = escaped(name)
    line = f"22 21 0:5 {written} {written} rw - tmpfs {written} rw\n"
    mount = Mount(22, "0:5", name, "tmpfs", name, name)
    assert parse_mounts(MOUNTINFO + line) == [*MOUNTS, mount]
    line = f"{written:39} file\t\t100\t\t4\t\t-3\n"
    assert parse_swaps(SWAPS + line) == [*AREAS, SwapArea(name, False, 100 << 10, 4 << 10)]


@given(st.binary())
def test_no_text_is_too_odd(data: bytes) -> None:
    text = os.fsdecode(data)
    assert parse_mounts(f"{MOUNTINFO}{text}\n{MOUNTINFO}")[:4] == MOUNTS
    assert parse_swaps(f"{SWAPS}{text}\n")[:4] == AREAS
    proc.unescaped(text)


@pytest.mark.parametrize("line", NO_LINES)
def test_a_line_that_cannot_be_understood_costs_itself_only(line: str) -> None:
    assert parse_mounts(f"{line}\n{MOUNTINFO}{line}") == MOUNTS
    assert parse_swaps(f"{SWAPS}{line}\n") == AREAS


@pytest.mark.parametrize(
    ("written", "name"),
    [
        (r"/a\040b\011c\012d\134e\043f", "/a b\tc\nd\\e#f"),
        (r"\134040", r"\040"),
        (r"\303\244\377", "ä\udcff"),
        (r"\400\08\9\\0401\04", r"\400\08\9\ 1\04"),
        ("\\", "\\"),
    ],
)
def test_escapes(written: str, name: str) -> None:
    assert proc.unescaped(written) == name


def test_other_files(tmp_path: Path) -> None:
    assert proc.lines("a\rb\n\nc\u2028d") == ["a\rb", "c\u2028d"]
    text = "MemTotal:  8 kB\nHugePages: 3\nx\nMemFree: y kB\n"
    assert memory.parse_memory(text) == {"MemTotal": 8192}
    (tmp_path / "memory.stat").write_text("anon 4096\nwhat\nfile x\npgfault 7\n")
    assert cgroups.memory_of(str(tmp_path), "") == {"anon": 4096, "pgfault": 7}
