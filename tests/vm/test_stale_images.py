"""An image is refused once another system has written to what it holds mounted, and only then."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ENDED
from tests.vm.conftest import SWAP_MIB, Boot, Nest, Nursery, Recorder
from tests.vm.cuts import check_continues, refusals, words
from tests.vm.image import is_marked
from vm.disks import blank_disk, check_disk, file_system_disk, root_disk, swap_disk
from vm.machine import Machine, Result

pytestmark = pytest.mark.vm

CHANGED = 19
KINDS = ("xfs", "btrfs", "vfat", "exfat")
"""On vdc, vdd, vde and vdf; the root is ext4."""
MODULES = (*KINDS, "nls_cp437", "nls_ascii")
DEVICES = {
    "ext4": "vda",
    **{kind: f"vd{letter}" for kind, letter in zip(KINDS, "cdef", strict=True)},
}
REPAIRABLE = ("ext4", "xfs", "btrfs")
"""Once vfat or exfat was not unmounted, its mark of that stays."""


@pytest.fixture(scope="session")
def everything_mounted(nursery: Nursery) -> Nest:
    """A machine that hibernated with a file system of each kind mounted."""
    folder = nursery.folder("stale")
    append = f"resume=UUID={swap_disk(folder / 'swap.img', SWAP_MIB)} kinds={','.join(KINDS)}"
    disks = [file_system_disk(folder / f"{kind}.img", kind) for kind in KINDS]
    machine = nursery.machine("stale", "6.1", append, folder / "swap.img", *disks, modules=MODULES)
    nest = nursery.first_life(machine, "mounted")
    assert not any("failed" in line for line in nest.first.report), nest.first.report
    return nest


Visit = Callable[[Machine, Sequence[str], str], None]


@pytest.fixture
def visit(boot: Boot, tmp_path: Path) -> Visit:
    """Boot another system with some of a machine's disks, but not the one with the image."""

    def go(machine: Machine, kinds: Sequence[str], options: str) -> None:
        folder = tmp_path / "elsewhere"
        folder.mkdir()
        root = root_disk(folder / "root.img")
        names = ["root" if kind == "ext4" else kind for kind in kinds]
        visited = [disk for name in names for disk in machine.disks if disk.stem == name]
        result = boot(
            replace(
                machine,
                disks=[root, blank_disk(folder / "blank.img", 1), *visited],
                append=f"kinds={','.join(kinds)} options={options} scenario=elsewhere",
                log=folder / "console.log",
            )
        )
        assert f"visited={','.join(kinds)}" in result.report, result.report
        assert not any("failed" in line for line in result.report), result.report

    return go


def check_resumed(nest: Nest, machine: Machine, result: Result) -> None:
    assert result.status == 0
    check_continues(nest.first, result)
    check_data(nest, machine, result)


def check_refused(nest: Nest, machine: Machine, result: Result, kind: str) -> None:
    """The boot was cold and named the device, the image is gone, all data is there."""
    assert result.status == 0
    assert words(result.report, "resumer-exit ")["code"] == str(CHANGED)
    (refusal,) = refusals(result)
    assert re.search(rf"/dev/{DEVICES[kind]}\b", refusal), refusal
    assert any(line.startswith("cold-boot") for line in result.report)
    assert not is_marked(machine.disks[1])
    check_data(nest, machine, result)


def check_data(nest: Nest, machine: Machine, result: Result) -> None:
    assert not any("failed" in line for line in result.report), result.report
    assert result.told("sums") == nest.first.told("sums") is not None
    for disk in machine.disks:
        kind = "ext4" if disk.stem == "root" else disk.stem
        if kind in REPAIRABLE:
            check_disk(disk, kind)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        pytest.param("all mounted elsewhere, ro", ("ext4", *KINDS), id="looked-at"),
        pytest.param("untouched", (), id="untouched"),
    ],
)
@pytest.mark.long
def test_nobody_wrote(
    name: str,
    kinds: Sequence[str],
    everything_mounted: Nest,
    visit: Visit,
    boot: Boot,
    tmp_path: Path,
    record_property: Recorder,
) -> None:
    """Another system had all of it mounted, read-only; xfs without recovery, which writes."""
    machine = everything_mounted.copy(tmp_path / "machine", "look")
    if kinds:
        visit(machine, kinds, "ro")
    check_resumed(everything_mounted, machine, boot(machine))
    record_property(ENDED, (name, "swap", "-", "resumed, with nonce"))


@pytest.mark.parametrize(
    "kind", ["ext4", *(pytest.param(kind, marks=pytest.mark.long) for kind in KINDS)]
)
def test_somebody_wrote(
    kind: str,
    everything_mounted: Nest,
    visit: Visit,
    boot: Boot,
    tmp_path: Path,
    record_property: Recorder,
) -> None:
    machine = everything_mounted.copy(tmp_path / "machine", "look")
    visit(machine, [kind], "rw")
    check_refused(everything_mounted, machine, boot(machine), kind)
    record_property(ENDED, (f"{kind} written elsewhere", "swap", "-", "refused"))
