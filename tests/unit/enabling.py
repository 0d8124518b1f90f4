"""A machine before `torpor enable`, and stand-ins for generators that make one of two images."""

import os
from functools import partial
from pathlib import Path

from initramfs.generators.generator import Target
from linux.root import Root
from state.location import Location
from tests.unit.fake_initramfs import Link, archive
from tests.unit.fake_machine import IMAGE, MACHINE_ID, UUID_TEXT, FakeMachine
from tests.unit.test_doctor_kinds import dracut, mkinitcpio
from torpor.doctor.rebuilt import after_disable, after_rebuild
from torpor.enable.enable import Change, disable, enable
from torpor.enable.system import System

TARGET = Target(Location(f"UUID={UUID_TEXT}", 0, MACHINE_ID))
CONF = "/etc/mkinitcpio.conf"
PRESET = "/etc/mkinitcpio.d/linux.preset"
OLD = 1_000_000_000
"""When the images were made that are there before."""

# As mkinitcpio does it: the configuration that a preset names, or the usual one with its drop-ins.
MKINITCPIO = """
. "$ROOT/etc/mkinitcpio.d/linux.preset"
if [[ ${ALL_config-} ]]; then . "$ROOT$ALL_config"
else for file in "$ROOT"/etc/mkinitcpio.conf{,.d/*.conf}; do . "$file"; done; fi
[[ " ${HOOKS[*]} " != *" torpor "* ]] && made=without
"""


class Enabled:
    """A machine before enable, and a generator that writes one of two images."""

    def __init__(self, folder: Path) -> None:
        self.fake = FakeMachine(folder / "root")
        self.folder = folder
        self.said: list[str] = []
        self.tree: dict[str, bytes | Link] = {}
        self.fake.disabled()
        (folder / "bin").mkdir()

    def generator(self, program: str, script: str) -> None:
        """Install a stand-in: $made is the image that it writes, `with` us or `without`."""
        tree = self.fake.initramfs | {"var/lib/torpor/location": TARGET.location.build().encode()}
        self.tree = tree
        (self.folder / "with").write_bytes(archive(tree))
        bare = {name: data for name, data in tree.items() if "torpor" not in name}
        bare |= {"config": b'HOOKS="udev"\n'} if "config" in tree else {}
        (self.folder / "without").write_bytes(archive(bare))
        image = self.fake.root / IMAGE[1:]
        image.write_bytes((self.folder / "without").read_bytes())
        os.utime(image, (OLD, OLD))
        path = self.folder / "bin" / program
        head = f"#!/bin/bash\nROOT={self.fake.root} made=with\n"
        path.write_text(f"{head}{script}\n[[ -z $made ]] || cp {self.folder}/$made {image}\n")
        path.chmod(0o755)

    def enable(self, first: Change | None = None) -> list[str]:
        root = str(self.fake.root)
        look = partial(after_rebuild, Root(root), "torpor enable", OLD + 1000)
        return enable(System(root), TARGET, self.said.append, look, first)

    def disable(self) -> list[str]:
        root = str(self.fake.root)
        look = partial(after_disable, Root(root), OLD + 1000)
        return disable(System(root), self.said.append, look)

    def files(self) -> dict[str, bytes]:
        """Return all files that there are."""
        root = self.fake.root
        return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def by_dracut(machine: Enabled, script: str) -> None:
    dracut(machine.fake)
    machine.generator("dracut", script)


def by_mkinitcpio(machine: Enabled, preset: str) -> None:
    """Have it made by a preset that says this, too."""
    mkinitcpio(machine.fake)
    machine.fake.write(CONF, "HOOKS=(base udev resume filesystems)\n")
    machine.fake.write(PRESET, f"PRESETS=(default)\n{preset}")
    machine.generator("mkinitcpio", MKINITCPIO)


def by_initramfs_tools(machine: Enabled, script: str) -> None:
    machine.generator("update-initramfs", script)
