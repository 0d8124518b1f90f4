"""enable believes no generator: what it made is looked into, and undone if we are not in it."""

import argparse
import os

import pytest

from errors import NoGeneratorError, NotReadyError, SetupError
from linux.root import Root
from tests.tools import put
from tests.unit.boot_layouts import ESP, stub
from tests.unit.enabling import (
    CONF,
    OLD,
    PRESET,
    TARGET,
    Enabled,
    by_dracut,
    by_initramfs_tools,
    by_mkinitcpio,
)
from tests.unit.fake_initramfs import unified_kernel_image
from tests.unit.fake_machine import IMAGE, MOUNTS, UUID_TEXT
from torpor.commands import rebuild
from torpor.doctor.rebuilt import after_disable, after_rebuild


def test_what_is_in_it_is_fine(machine: Enabled) -> None:
    by_initramfs_tools(machine, "")
    assert machine.enable() == []
    assert machine.disable() == [
        f"{IMAGE} still holds the resumer, which finds no image: it goes with Torpor's package"
    ]


@pytest.mark.parametrize(
    ("generator", "script", "message", "hint"),
    [
        (
            by_initramfs_tools,
            "made=without",
            "does not hold the resumer",
            "rebuild it: update-init",
        ),
        (by_dracut, "made=without", "does not hold the resumer", "rebuild it: dracut --r"),
        (by_initramfs_tools, "made=", "was not rebuilt, and does not hold", "what makes it"),
        (by_dracut, "made=", "was not rebuilt, and does not hold", "what makes it"),
    ],
)
def test_an_image_without_us_undoes_everything(
    generator: "object", script: str, message: str, hint: str, machine: Enabled
) -> None:
    assert callable(generator)
    generator(machine, script)
    before = machine.files()
    with pytest.raises(SetupError, match=message) as caught:
        machine.enable()
    assert hint in caught.value.hint
    assert machine.files() == before
    command = next(line for line in machine.said if line.startswith("rebuilding"))
    assert machine.said == [command, "undoing that, the initramfs too", command]


@pytest.mark.parametrize("config", [CONF, "/etc/mine.conf"])
def test_the_remedy_for_a_preset_with_a_configuration_helps(machine: Enabled, config: str) -> None:
    by_mkinitcpio(machine, f"PRESETS=(default)\nALL_config={config}\n")
    machine.fake.write(config, "HOOKS=(base udev resume filesystems)\n")
    before = machine.files()
    with pytest.raises(SetupError, match="does not hold the resumer") as caught:
        machine.enable()
    assert machine.files() == before
    where, line = caught.value.hint.removeprefix("say in ").split(": ")
    assert where == f"{config}, which {PRESET} names"
    hooks, again = line.split("; ")
    assert again == "and run torpor enable again"
    machine.fake.write(config, hooks)
    assert machine.enable() == []
    assert machine.disable() == [
        f"{IMAGE} still holds the resumer, which finds no image: HOOKS in {config} has it"
    ]


def test_mkinitcpio_with_its_usual_files(machine: Enabled) -> None:
    by_mkinitcpio(machine, "PRESETS=(default)\n")
    assert machine.enable() == []
    assert machine.disable() == []


def test_lesser_findings_are_remarks(machine: Enabled) -> None:
    order = b'/scripts/local-premount/resume "$@"\n/scripts/local-premount/0torpor "$@"\n'
    machine.fake.initramfs["scripts/local-premount/ORDER"] = order
    by_initramfs_tools(machine, "")
    (remark,) = machine.enable()
    assert "runs the stock resume before Torpor's" in remark
    assert remark.endswith("and run torpor enable again")


def test_an_image_that_cannot_be_read_is_a_remark(machine: Enabled) -> None:
    by_initramfs_tools(machine, f"echo nonsense >{machine.folder}/with")
    (remark,) = machine.enable()
    assert "cannot be used: it has something unknown in it" in remark


def test_the_undo_may_fail_too(machine: Enabled) -> None:
    by_initramfs_tools(
        machine,
        f"made=without; echo x >>{machine.folder}/n; "
        f"[[ $(wc -l <{machine.folder}/n) == 1 ]] || {{ echo full >&2; exit 1; }}",
    )
    with pytest.raises(SetupError, match="does not hold the resumer"):
        machine.enable()
    assert machine.said[-1].startswith(
        "the initramfs cannot be rebuilt: update-initramfs -u -k all"
    )


def test_a_rebuild_before_enable_may_leave_us_out(machine: Enabled) -> None:
    """A host-only dracut takes the resumer in only once it knows where images are."""
    by_dracut(machine, "made=without")
    root = Root(str(machine.fake.root))
    assert after_rebuild(root, "torpor rebuild", OLD) == []
    machine.fake.write("/etc/dracut.conf", "omit_dracutmodules=torpor")
    (remark,) = after_rebuild(root, "torpor rebuild", OLD)
    assert remark.startswith(f"{IMAGE} does not hold the resumer: take torpor out of omit_drac")
    machine.fake.write("/var/lib/torpor/location", TARGET.location.build())
    with pytest.raises(NotReadyError, match="does not hold the resumer"):
        after_rebuild(root, "torpor rebuild", OLD)


def test_no_image_says_nothing_after_disable(machine: Enabled) -> None:
    machine.fake.initramfs = {}
    assert after_disable(machine.fake.machine(), 0) == []


def test_what_boots_is_looked_into(machine: Enabled) -> None:
    """A stale unified kernel image boots, and beside it a fresh initramfs is made."""
    by_mkinitcpio(machine, "PRESETS=(default)\n")
    machine.fake.write("/proc/self/mountinfo", MOUNTS + ESP.format("/efi"))
    uki = machine.fake.root / "efi/EFI/Linux/arch-linux.efi"
    stale = (machine.folder / "without").read_bytes()
    machine.fake.write("/efi/EFI/Linux/arch-linux.efi", unified_kernel_image([(b".initrd", stale)]))
    os.utime(uki, (OLD, OLD))
    put(machine.fake.root, stub("\\EFI\\LINUX\\ARCH-LINUX.EFI"))
    with pytest.raises(SetupError, match=r"^/efi/EFI/Linux/arch-linux\.efi was not rebuilt"):
        machine.enable()
    fresh = (machine.folder / "with").read_bytes()
    uki.write_bytes(unified_kernel_image([(b".initrd", fresh)]))
    assert machine.enable() == []
    machine.fake.write("/var/lib/torpor/location", "# Written by torpor enable\nresume=/dev/x\n")
    old = fresh.replace(UUID_TEXT.encode(), UUID_TEXT.replace("1", "2").encode())
    uki.write_bytes(unified_kernel_image([(b".initrd", old)]))
    os.utime(uki, (OLD, OLD))
    uki_path = "/efi/EFI/Linux/arch-linux.efi"
    stale_remark, older = machine.enable()
    assert stale_remark.startswith(f"{uki_path} was not rebuilt: find out what makes it, and")
    assert older == f"{uki_path} holds an older /var/lib/torpor/location"


def test_the_newest_kernel_is_looked_at_too(machine: Enabled) -> None:
    by_initramfs_tools(machine, "")
    machine.fake.write("/lib/modules/7.0.0-1-amd64/vmlinuz", "")
    (remark,) = machine.enable()
    assert remark.startswith("no initramfs of the kernel 7.0.0-1-amd64 is found: mount /boot")
    machine.fake.write("/boot/initrd.img-7.0.0-1-amd64", (machine.folder / "without").read_bytes())
    with pytest.raises(SetupError, match=r"^/boot/initrd\.img-7\.0\.0-1-amd64 does not hold"):
        machine.enable()


# torpor rebuild


def run_rebuild(machine: Enabled, *, as_text: bool = False) -> None:
    rebuild.run(argparse.Namespace(print=as_text), str(machine.fake.root))


def test_commands_are_printed(machine: Enabled, capsys: pytest.CaptureFixture[str]) -> None:
    by_dracut(machine, "exit 1")
    run_rebuild(machine, as_text=True)
    assert capsys.readouterr().out == "dracut --regenerate-all --force\n"


def test_what_is_made_is_looked_into(machine: Enabled, capsys: pytest.CaptureFixture[str]) -> None:
    by_initramfs_tools(machine, "")
    run_rebuild(machine)
    said = capsys.readouterr()
    assert said.out == "rebuilding the initramfs: update-initramfs -u -k all\n"
    assert said.err == ""
    machine.fake.write("/usr/lib/torpor/resume/torpor-resume", "newer")
    machine.fake.write("/var/lib/torpor/location", "# Written by torpor enable\nresume=/dev/x\n")
    run_rebuild(machine)
    assert capsys.readouterr().err.splitlines() == [
        (
            f"torpor: {IMAGE} holds another version of /usr/lib/torpor/resume/torpor-resume: "
            "run torpor rebuild again"
        ),
        f"torpor: {IMAGE} holds an older /var/lib/torpor/location: run torpor rebuild again",
    ]


def test_no_generator(machine: Enabled) -> None:
    machine.fake.remove("/usr/sbin/mkinitramfs")
    for as_text in (False, True):
        with pytest.raises(NoGeneratorError, match="no initramfs generator is installed"):
            run_rebuild(machine, as_text=as_text)
