"""Layers that remember more than their table: a store or a file system on each, over a hibernation.

What store/stateful.py allows goes on after the resume, and after a crash of what went on; what it
refuses is named, and nothing is done.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ENDED
from tests.vm.conftest import (
    MEMORY_WITHOUT_SWAP_MIB,
    Boot,
    Nest,
    Nursery,
    Recorder,
    copied,
)
from tests.vm.cuts import check_continues, words
from vm.disks import blank_disk
from vm.machine import Machine, Result

pytestmark = pytest.mark.vm

ANYWHERE = ("striped", "crypt", "mirror", "raid")
"""A store may lie there, too."""
NO_STORE = ("thin", "origin", "snapshot", "integrity", "direct")
NEVER = ("cache", "writecache", "bitmap", "era")
TARGETS = {
    "origin": "dm-snapshot-origin",
    "direct": "dm-integrity",
    "bitmap": "dm-integrity",
}
"""What those of vm/guest/layers.sh are called that have another name there."""
MODULES = (
    *("dm_crypt", "crypto_null", "dm_mirror", "dm_raid", "raid1", "dm_thin_pool", "dm_snapshot"),
    *("dm_integrity", "dm_cache", "dm_cache_smq", "dm_writecache", "dm_era"),
)
STORE_MIB, LAYER_MIB = 320, 40
"""As vm/guest/layers.sh takes of the disks."""


@pytest.fixture(scope="module")
def machine(nursery: Nursery) -> Machine:
    """A machine that is off, with room for all layers; its root has what makes file systems."""
    folder = nursery.folder("stacks")
    layers = LAYER_MIB * len({*ANYWHERE, *NO_STORE, *NEVER}) + 1
    disks = [blank_disk(folder / "store.img", STORE_MIB), blank_disk(folder / "layers.img", layers)]
    parts = {"modules": MODULES, "early": ("layers.sh",), "programs": ("mke2fs", "e2fsck")}
    machine = nursery.machine(folder.name, "6.1", "", *disks, **parts)
    return replace(machine, memory=MEMORY_WITHOUT_SWAP_MIB)


def on_layers(layers: tuple[str, ...], store: str = "") -> str:
    place = f"resume=/dev/mapper/store store-layer={store}" if store else "noresume"
    return f"{place} layers={','.join(layers)}"


def check_crashed(machine: Machine, boot: Boot, written: str | None) -> Result:
    """Boot after a crash: all is there, and sound."""
    result = boot(replace(machine, append=f"{machine.append} noresume scenario=crashed"))
    assert result.status == 0
    assert "cold-boot" in result.report
    assert not any("failed" in line for line in result.report), result.report
    assert result.told("written") == written is not None
    return result


@pytest.mark.long
@pytest.mark.parametrize("store", ANYWHERE)
def test_what_goes_on(
    store: str,
    machine: Machine,
    nursery: Nursery,
    boot: Boot,
    tmp_path: Path,
    record_property: Recorder,
) -> None:
    """A boot sets all layers up before it resumes; the machine then writes on, and crashes."""
    layers = (*ANYWHERE, *NO_STORE)
    living = copied(machine, nursery.folder(f"on-{store}"), on_layers(layers, store))
    nest = nursery.first_life(replace(living, append=f"{living.append} new=1"), "layered")
    wrong = [line for line in nest.first.report if "failed" in line or "hibernate-exit" in line]
    assert wrong == [], nest.first.console[-2000:]
    off = Nest(living, nest.first).copy(tmp_path / "machine", "crashed")
    resumed = boot(off)
    check_continues(nest.first, resumed)
    assert not any("failed" in line for line in resumed.report), resumed.report
    assert resumed.told("kept") == nest.first.told("kept") is not None
    check_crashed(replace(off, append=living.append), boot, resumed.told("written"))
    for kind in layers:
        record_property(ENDED, (f"layer: {kind}", store, "-", "resumed, with nonce"))


@pytest.mark.long
def test_what_a_boot_changes(machine: Machine, nursery: Nursery, boot: Boot) -> None:
    """By setting a layer up, and no more: else a restored kernel remembers what is not there."""
    folder = nursery.folder("set-up")
    layers = on_layers((*ANYWHERE, *NO_STORE, *NEVER))
    died = boot(copied(machine, folder, f"{layers} new=1 scenario=layered"))
    assert died.status is None
    off = replace(machine, disks=[folder / disk.name for disk in machine.disks])
    off = replace(off, log=folder / "crashed.log", append=f"{layers} sums=1")
    result = check_crashed(off, boot, died.told("written"))
    changed = {
        kind for kind in (*ANYWHERE, *NO_STORE, *NEVER) if result.told(f"changed-{kind}") == "1"
    }
    assert changed == {"raid", "cache", "bitmap", "era"}


@pytest.mark.parametrize(
    ("no_store", "never"),
    [(("thin",), ("cache",)), pytest.param(NO_STORE[1:], NEVER[1:], marks=pytest.mark.long)],
)
def test_what_is_refused(
    no_store: tuple[str, ...], never: tuple[str, ...], machine: Machine, boot: Boot, tmp_path: Path
) -> None:
    """As a store, and while it is set up; the machine goes on."""
    names, usable = ",".join((*no_store, *never)), ",".join(no_store)
    append = f"noresume new=1 refused={names} usable={usable} scenario=refused-layers"
    result = boot(copied(machine, tmp_path / "machine", append))
    assert result.status == 0, result.report
    ended = [words([line], "ended=") for line in result.report if line.startswith("ended=")]
    told = {each["ended"]: (each["exit"], each["said"]) for each in ended}
    assert len(told) == len(no_store) + 2 * len(never)
    for kind in (*no_store, *never):
        target = TARGETS.get(kind, f"dm-{kind}")
        code, said = told[f"store-{kind}"]
        assert code == "8", said
        assert said.startswith(f"torpor:_/dev/mapper/{kind}_is_on_/dev/mapper/{kind}_({target}),")
    for kind in never:
        target = TARGETS.get(kind, f"dm-{kind}")
        code, said = told[f"use-{kind}"]
        assert code == "13", said
        assert said.startswith(f"torpor:_/dev/mapper/{kind}_is_{target},_which_a_boot_changes")
