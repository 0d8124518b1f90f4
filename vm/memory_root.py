"""A root in memory on this machine: what an initramfs holds runs there as it does at boot.

It has no devices but those that it is given: nothing there finds those of the machine.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from vm.host import HostError
from vm.tree import Tree

_SCRIPT = Path(__file__).with_suffix(".sh")
_KLIBC = Path("/usr/lib/klibc/bin")
_APPLETS = ["sh", "cat", "env", "grep", "kill", "mkdir", "mknod", "sleep"]


def initramfs_tree(resumer: Path, shell: str) -> Tree:
    """Return the files of one with the frozen resumer and a shell: busybox, klibc, dash or bash.

    Raises HostError if that is not here.
    """
    tree = Tree()
    tree.busybox(_APPLETS)
    tree.program("/usr/lib/torpor/resume", resumer, ())
    if shell == "klibc":
        if not _KLIBC.exists():
            raise HostError("klibc-utils is not installed")
        for tool in _KLIBC.iterdir():
            tree.copy(f"/bin/{tool.name}", tool)
        for library in Path("/lib").glob("klibc-*.so"):
            tree.copy(str(library), library)
    elif shell != "busybox":
        tree.link("/bin/sh", tree.host_program(shell))
    return tree


def lay_out(tree: Tree, folder: Path, devices: Mapping[str, int] | None = None) -> None:
    """Write what `command` needs to a folder; block devices by their names in /dev, as st_rdev."""
    (folder / "files").mkdir(parents=True)
    tree.write_folder(folder / "files")
    nodes = ["null c 1 3\n"]
    for name, number in (devices or {}).items():
        nodes.append(f"{name} b {os.major(number)} {os.minor(number)}\n")
    (folder / "devices").write_text("".join(nodes))


def command(folder: Path, cmdline: str, *words: str) -> list[str | Path]:
    """Return what runs these words in the root of `folder`, for a kernel with that command line.

    What the variable AROUND holds runs them from outside. It takes root.
    """
    return ["unshare", "--mount", _SCRIPT, folder, cmdline, *words]
