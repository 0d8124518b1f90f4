"""The demonstration: a machine hibernates, powers off, and comes back with what only it knew."""

import argparse
import dataclasses
import json
import sys

from vm.accel import KVM, accelerator
from vm.disks import ext4_complaints, swap_disk
from vm.host import BUILD, ROOT, HostError, run
from vm.initramfs import new_machine
from vm.kernels import Kernel, find_kernel, newest_known
from vm.lives import GuestError
from vm.machine import Machine, MachineError, Result, tail, told
from vm.story import Story, mib

FOLDER = BUILD / "demo"
TORPOR = BUILD / "torpor/torpor"
MEMORY_MIB = 512
SWAP_MIB = 512
LIMIT_SECONDS = 120.0
WARM = 0.9
"""The share of the page cache that has to be there again: some files change at a resume."""


def main() -> int:
    """Run the demonstration; return 0 only if all of it held."""
    parser = argparse.ArgumentParser(prog="vm.demo", description=__doc__)
    parser.add_argument("--kernel", help="series in Debian's archive, or a file")
    parser.add_argument("--store", choices=["s3"], help="where the image goes, if not to a disk")
    story, arguments = Story(), parser.parse_args()
    try:
        if arguments.store:
            from vm.demo_server import demonstrate

            held = demonstrate(story, arguments.kernel)
        else:
            held = _demonstrate(story, arguments.kernel)
    except (HostError, MachineError, GuestError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(f"{'All of it held' if held else 'It did NOT hold'}, {story.seconds['total']:.0f} s.")
    return 0 if held else 1


def _demonstrate(story: Story, which: str | None) -> bool:
    with story.part("prepare", "Preparing a kernel, an initramfs with the resumer, and two disks"):
        kernel = find_kernel(which or newest_known())
        machine = _prepare(story, kernel)
    with story.part("hibernate", "First life: the machine boots, works and hibernates"):
        first = _first_life(story, machine)
    with story.part("verify", "It is off. On this host: torpor verify build/demo/swap.img"):
        image = (FOLDER / "swap.img").relative_to(ROOT)
        story.say(run(TORPOR, "verify", image, cwd=ROOT))
        sizes = json.loads(run(TORPOR, "inspect", image, "--json", cwd=ROOT))
        saved, stored = sizes["stream_bytes"], sizes["stored_bytes"]
        story.say(f"{mib(saved)} of memory, {mib(stored)} on disk")
    with story.part("resume", "Second life: power on, and the resumer finds the image"):
        second = _second_life(story, machine)
    with story.part("check", "Off again. What has to hold:"):
        found = _outcome(first, second)
        held = story.judge(_verdicts(found))
    sizes = {"stream_bytes": saved, "stored_bytes": stored}
    story.report(FOLDER / "report.json", {**found, **sizes, "kernel": kernel.release})
    if not held:
        print(f"The console of the second life ended:\n{tail(second.console)}\n")
    return held


def _prepare(story: Story, kernel: Kernel) -> Machine:
    """Make the machine, and tell of it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    swap = swap_disk(FOLDER / "swap.img", SWAP_MIB)
    append = f"resume=UUID={swap} scenario=demo"
    machine = new_machine(kernel, FOLDER, [FOLDER / "swap.img"], append, MEMORY_MIB)
    how = "with KVM" if accelerator(kernel) == KVM else "emulated"
    story.say(f"Linux {kernel.release}, {machine.memory} MiB, {machine.cpus} CPUs, {how}")
    story.say(f"initramfs {mib(machine.initramfs.stat().st_size)}, unpacked")
    return dataclasses.replace(machine, log=FOLDER / "first-life.log")


def _first_life(story: Story, machine: Machine) -> Result:
    with machine.start(LIMIT_SECONDS) as running:
        running.wait_report("^resumer-exit code=3")
        story.say("torpor-resume, in the initramfs, finds no image: an ordinary boot")
        running.wait_report("^before .*$")
        _tell_state(story, running.report)
        taken = running.wait_console(r"torpor: (snapshot of .*)")
        story.say(f"torpor hibernate: tasks and file systems are frozen, {taken[1].strip()}")
        stored = running.wait_console(r"torpor: (\d.* stored as .* s)")
        story.say(f"torpor hibernate: {stored[1]}, powering off")
        first = running.wait()
    if first.status is not None:
        code = first.told("code")
        raise MachineError(
            f"torpor hibernate failed with exit status {code}\n{tail(first.console)}"
        )
    return first


def _second_life(story: Story, machine: Machine) -> Result:
    # Were this boot a cold one, its init would read this command line and run this scenario.
    append = machine.append.replace("scenario=demo", "scenario=cold")
    again = dataclasses.replace(machine, append=append, log=FOLDER / "second-life.log")
    with again.start(LIMIT_SECONDS) as running:
        said = running.wait_console(r"torpor-resume: (.*)")
        story.say(f"torpor-resume, before the root is mounted: {said[1].strip()}")
        replayed = running.wait_report("^(replayed .*said: (.*)|cold-boot .*)$")
        if replayed[2] is None:
            raise MachineError(f"the second boot was a cold one\n{tail(running.console)}")
        story.say(f"torpor status: {replayed[2]}")
        running.wait_report("^after .*$")
        _tell_state(story, running.report)
        return running.wait()


def _tell_state(story: Story, report: list[str]) -> None:
    story.say(f"a process holds the random number {told(report, 'nonce')} in its memory")
    story.say(f"and has counted to {told(report, 'counter')}; boot id {told(report, 'boot_id')}")
    cached = told(report, "cached-again") or told(report, "cached")
    story.say(f"the page cache holds {cached} MiB of files")


def _outcome(first: Result, second: Result) -> dict[str, int]:
    """Return what the demonstration found, as report.json has it; cached is in MiB of files."""

    def same(key: str) -> bool:
        return first.told(key) == second.told(key) is not None

    return {
        "resumed": second.told("code") == "0" and second.status == 0,
        "boot_id_same": same("boot_id"),
        "nonce_same": same("nonce"),
        "data_same": same("data"),
        "counter_before": int(first.told("counter") or 0),
        "counter_after": int(second.told("counter") or 0),
        "swap_in_use": second.told("swaps") == "1",
        "fs_clean": not ext4_complaints(FOLDER / "root.img"),
        "cached_before": int(first.told("cached") or 0),
        "cached_first": int(second.told("cached-first") or 0),
        "cached_again": int(second.told("cached-again") or 0),
    }


def _verdicts(found: dict[str, int]) -> list[tuple[bool, str]]:
    """Return whether each thing that has to hold does, in words.

    `cached_first` is when hibernate returned, with little of the working set back.
    """
    before, after = found["counter_before"], found["counter_after"]
    cached, back, again = (found[f"cached_{when}"] for when in ("before", "first", "again"))
    return [
        (bool(found["resumed"]), "torpor hibernate returned 0 and the machine powered off itself"),
        (bool(found["boot_id_same"]), "the same boot id: the kernel is the one that hibernated"),
        (bool(found["nonce_same"]), "the same random number, which no disk ever held as a file"),
        (bool(found["data_same"]), "over 100 MiB of files in memory are the same"),
        (after > before > 0, f"the count went on from {before} to {after}"),
        (bool(found["swap_in_use"]), "swap is in use again"),
        (
            again >= WARM * cached > 0,
            f"page cache: {cached} MiB before, {back} when it resumed, {again} at last",
        ),
        (bool(found["fs_clean"]), "e2fsck -fn finds the root file system clean"),
    ]


if __name__ == "__main__":
    sys.exit(main())
