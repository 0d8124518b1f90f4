"""The fingerprint of the resumer: another version has another one, strip(1) changes nothing."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from initramfs.archive.initramfs import fingerprint
from tests.test_structure import ROOT


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
