"""The tarball's install.sh on a copy of this system, with a stand-in for the command."""

import shutil
from pathlib import Path

import pytest

from package import tree as tree_module
from package.tree import Flavour, make_tree
from tests.initramfs.installed import ROOT, on_a_copy
from tests.unit.test_package import make_repository

COMMAND = """#!/bin/sh
echo "torpor $*" >&2
case $* in *--print) echo "echo first rebuild"; echo "false second rebuild" ;; esac
"""


def test_install_and_uninstall_rebuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "ROOT", make_repository(tmp_path / "repository"))
    tree, result = tmp_path / "system", tmp_path / "result"
    result.mkdir()
    make_tree(tree / "tarball/root", Flavour.TARBALL, 1_800_000_000)
    shutil.copy(ROOT / "package/install.sh", tree / "tarball")
    command = tree / "tarball/root/usr/lib/torpor/torpor/torpor"
    command.write_text(COMMAND)
    command.chmod(0o755)
    both = "/tarball/install.sh && /tarball/install.sh --uninstall && ! [ -e /usr/bin/torpor ]"
    said = on_a_copy(tree, result, "sh", "-c", both).splitlines()
    assert "torpor rebuild" in said
    assert said[-5:] == [
        "install.sh: removed",
        "install.sh: rebuilding the initramfs: echo first rebuild",
        "first rebuild",
        "install.sh: rebuilding the initramfs: false second rebuild",
        "install.sh: false second rebuild failed: run it again",
    ]
