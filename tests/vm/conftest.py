"""Machines that have hibernated, made once, to be booted in many ways.

Each test starts from disks that a machine left behind, copies them, breaks something, and boots.
A machine has a hard time limit; a test that fails shows the guest's console.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import pytest
from _pytest.runner import runtestprotocol

from tests.vm.whole_lives import use_swap
from vm.debian import SEALING, installed
from vm.disks import blank_disk, copy_disk, copy_disks, partitioned_swap_disk, swap_disk
from vm.initramfs import new_machine
from vm.kernels import find_kernel
from vm.laptop import LaptopGuest, laptop
from vm.lives import LIMIT_SECONDS as GUEST_LIMIT_SECONDS
from vm.lives import Guest
from vm.machine import Machine, Result, RunningMachine
from vm.suites import suites_from_here
from vm.tpm import Tpm

LIMIT_SECONDS = 240
MEMORY_MIB = 384
MEMORY_WITHOUT_SWAP_MIB = 720
"""Half of the memory, less 2 * 16 MiB for the writer (hibernate/reserve.py), has to hold what
cannot be dropped without swap: 275 MiB in on_store. At 634 MiB it mostly does. Once in four times
the kernel reclaims 7 MiB less, and 656 MiB are the least; the rest is to spare."""
SWAP_MIB = 512
CONSOLE_LINES = 150
LAPTOP_SUITE = "13"
SWAP_PARTITION_MIB = 768
LONG_LIMIT_SECONDS = 1200.0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Try a test once more whose machine hung until its time was up, and say so.

    The emulator keeps breakpoints that the kernel has taken away (vm.machine.STUCK), and a
    processor then runs into one for ever. A hang of ours would be there the second time, too.
    """
    if item.get_closest_marker("vm") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any(each.failed and "MachineTimeoutError" in each.longreprtext for each in reports):
        print(f"\n{item.nodeid}: its machine hung, once more", file=sys.__stderr__, flush=True)
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def copied(machine: Machine, folder: Path, append: str) -> Machine:
    """Return a machine on copies of the disks in a folder."""
    disks = copy_disks(machine.disks, folder)
    return replace(machine, disks=disks, log=folder / "console.log", append=append)


def throttle(running: RunningMachine, **limits: int) -> None:
    """Make the second disk slow from now on; without limits, fast again."""
    kinds = ("bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr")
    every = dict.fromkeys(kinds, 0) | limits
    running.monitor("block_set_io_throttle", device="virtio1", **every)


@dataclass(frozen=True, slots=True)
class Nest:
    """A machine that is off, hibernated or not: to be booted from copies of its disks."""

    machine: Machine
    first: Result
    """How its first life went."""

    def copy(self, folder: Path, scenario: str = "cold") -> Machine:
        """Return a machine on copies of the disks that tells it boots cold, if it does."""
        return copied(self.machine, folder, f"{self.machine.append} scenario={scenario}")


Boot = Callable[[Machine], Result]
Recorder = Callable[[str, object], None]
"""Notes a row of a table (tests/conftest.py)."""


def show(request: pytest.FixtureRequest, log: Path, when: str = "teardown") -> None:
    """Have the report of a test that fails end with this console."""
    console = log.read_text(errors="replace").splitlines()[-CONSOLE_LINES:]
    request.node.add_report_section(when, str(log), "\n".join(console))


@pytest.fixture
def boot(request: pytest.FixtureRequest) -> Iterator[Boot]:
    """Run a machine until it is off; its console is shown if the test fails."""
    machines: list[Machine] = []

    def run(machine: Machine) -> Result:
        machines.append(machine)
        return machine.run(LIMIT_SECONDS)

    yield run
    for machine in machines:
        show(request, machine.log)


@pytest.fixture(scope="session")
def package(packages: Path) -> Path:
    """Return the Debian package of what is here."""
    (deb,) = packages.glob("*.deb")
    return deb


class Guests:
    """Makes Debian machines with the package installed, until their power is cut at the end."""

    def __init__(self, package: Path, folder: Path) -> None:
        self.package = package
        self.folder = folder
        self.made: list[Guest] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for guest in self.made:
            guest.kill()

    def make(
        self,
        generator: str,
        series: str,
        disks: Sequence[Path] = (),
        append: str = "",
        suite: str | None = None,
    ) -> Guest:
        """Return a machine that is off, with these disks as vdb, vdc, …

        Unless a suite is named it is the oldest on which the package runs, with its oldest kernel
        where it has none of this series. On an older one the test is skipped. One of SEALING has a
        TPM of its own.
        """
        oldest = suites_from_here()[0]
        if suite is None:
            suite = oldest.name
            series = series if series in oldest.series else oldest.series[0]
        self._see_that_it_runs_on(suite)
        root = installed(generator, suite, series, self.package)
        folder = self.folder / f"guest{len(self.made)}"
        tpm = Tpm(folder / "tpm") if generator in SEALING else None
        guest = Guest(root, folder, disks, append, tpm=tpm)
        self.made.append(guest)
        return guest

    def with_swap(
        self,
        generator: str = "initramfs-tools",
        series: str = "6.1",
        append: str = "",
        suite: str | None = None,
        options: str = "sw",
        limit: float = GUEST_LIMIT_SECONDS,
    ) -> Guest:
        """Return a machine that runs, on its second disk a partition of swap that it uses."""
        disk = self.folder / "swap.img"
        name = partitioned_swap_disk(disk, SWAP_PARTITION_MIB)
        guest = self.make(generator, series, [disk], append, suite)
        guest.limit = limit
        guest.boot()
        use_swap(guest, name, options)
        return guest

    def laptop(self) -> LaptopGuest:
        """Return a laptop that is off, the package's file in its /boot."""
        self._see_that_it_runs_on(LAPTOP_SUITE)
        disk = laptop(installed("laptop", LAPTOP_SUITE, "6.12", None))
        guest = LaptopGuest(disk, self.folder / f"guest{len(self.made)}")
        guest.give(self.package)
        self.made.append(guest)
        return guest

    def _see_that_it_runs_on(self, suite: str) -> None:
        if suite not in [each.name for each in suites_from_here()]:
            pytest.skip(f"made here, the package wants a newer C library than Debian {suite} has")


@pytest.fixture
def guests(request: pytest.FixtureRequest, package: Path, tmp_path: Path) -> Iterator[Guests]:
    """Make machines for one test, and show what they said if it fails."""
    with Guests(package, tmp_path) as made:
        yield made
    for log in [log for guest in made.made for log in guest.logs]:
        show(request, log)


class Nursery:
    """Makes machines in folders of their own and lets them live their first lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def machine(
        self,
        name: str,
        series: str,
        append: str,
        *disks: Path,
        **parts: Sequence[str],
    ) -> Machine:
        """Return a machine with a fresh root and these disks behind it; see new_machine."""
        kernel, folder = find_kernel(series), self.folder(name)
        return new_machine(kernel, folder, disks, append, MEMORY_MIB, **parts)

    def folder(self, name: str) -> Path:
        """Return the folder of the machine with that name."""
        (self._folder / name).mkdir(exist_ok=True)
        return self._folder / name

    def first_life(self, machine: Machine, scenario: str) -> Nest:
        """Run the scenario, which hibernates the machine; once more if the emulator fails."""
        living = replace(machine, append=f"{machine.append} scenario={scenario}")
        spare = copy_disks(machine.disks, machine.log.parent / "spare")
        result = living.run(LIMIT_SECONDS)
        if result.is_emulators_fault:
            for kept, disk in zip(spare, machine.disks, strict=True):
                copy_disk(kept, disk)
            result = living.run(LIMIT_SECONDS)
        assert result.status is None, (
            f"did not hibernate: {result.report}\n{result.console[-4000:]}"
        )
        assert result.told("nonce"), result.console[-4000:]
        return Nest(machine, result)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Nursery:
    return Nursery(tmp_path_factory.mktemp("machines"))


@pytest.fixture(scope="session")
def on_swap(nursery: Nursery) -> Nest:
    """Kernel 6.1, hibernated to a swap partition that resume=UUID= names."""
    disk = nursery.folder("swap") / "swap.img"
    name = partitioned_swap_disk(disk, SWAP_MIB)
    return nursery.first_life(nursery.machine("swap", "6.1", f"resume=UUID={name}", disk), "demo")


@pytest.fixture(scope="session")
def on_store(nursery: Nursery) -> Nest:
    """Kernel 6.1, hibernated to a store device that resume= names by path; it has no swap."""
    disk = blank_disk(nursery.folder("store") / "store.img", SWAP_MIB)
    machine = nursery.machine("store", "6.1", "resume=/dev/vdb", disk)
    # Without swap, half of the memory has to be free for the snapshot.
    return nursery.first_life(replace(machine, memory=MEMORY_WITHOUT_SWAP_MIB), "store")


@pytest.fixture(scope="session")
def on_new_kernel(nursery: Nursery) -> Nest:
    """Kernel 6.12, hibernated to a swap disk with a snapshot that ends in zero pages."""
    disk = nursery.folder("zeros") / "swap.img"
    name = swap_disk(disk, SWAP_MIB)
    return nursery.first_life(
        nursery.machine("zeros", "6.12", f"resume=UUID={name}", disk), "zeros"
    )
