"""RESUME= of initramfs-tools, as mkinitramfs reads it."""

from pathlib import Path

import pytest

from initramfs.generators.initramfs_tools import stock_resume
from linux.root import Root

CONF = "/etc/initramfs-tools/initramfs.conf"
PART = "/etc/initramfs-tools/conf.d/{}"
SHARED = "/usr/share/initramfs-tools/conf.d/{}"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, ""),
        ({CONF: "RESUME=auto\n"}, "auto"),
        ({CONF: "#RESUME=/dev/a\nMODULES=most\n"}, ""),
        ({PART.format("resume"): "RESUME='LABEL=my swap'\n"}, "LABEL=my swap"),
        ({PART.format("resume"): 'RESUME="LABEL=my swap" # here\n'}, "LABEL=my swap"),
        ({PART.format("resume"): "RESUME=/dev/mapper/vg-swap#1\n"}, "/dev/mapper/vg-swap#1"),
        ({PART.format("resume"): "export RESUME=/dev/a\n"}, ""),
        ({PART.format("resume"): "RESUME=$(findmnt swap)\n"}, ""),
        ({CONF: "RESUME=/dev/a\n", PART.format("resume"): "if true; then RESUME=b; fi\n"}, ""),
        ({CONF: "RESUME=/dev/a\n", PART.format("resume"): "RESUME=\n"}, ""),
        ({CONF: "RESUME=/dev/a\n", PART.format("resume"): "RESUME=/dev/b\n"}, "/dev/b"),
        ({PART.format("a"): "RESUME=/dev/a\n", PART.format("b"): "RESUME=/dev/b\n"}, "/dev/b"),
        ({PART.format("resume~"): "RESUME=/dev/a\n"}, ""),
        ({PART.format(".resume"): "RESUME=/dev/a\n"}, ""),
        ({PART.format("resume.dpkg-old"): "RESUME=/dev/a\n"}, ""),
        ({SHARED.format("z"): "RESUME=/dev/z\n"}, "/dev/z"),
        ({SHARED.format("z"): "RESUME=/dev/z\n", PART.format("a"): "RESUME=/dev/a\n"}, "/dev/a"),
        ({SHARED.format("z"): "RESUME=/dev/z\n", PART.format("z"): "\n"}, ""),
    ],
)
def test_which_one_counts(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        (tmp_path / name[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name[1:]).write_text(text)
    value, source = stock_resume(Root(str(tmp_path)))
    assert value == said
    assert bool(source) == bool(said)
    assert not source or said.rsplit("=", maxsplit=1)[-1] in files[source]
