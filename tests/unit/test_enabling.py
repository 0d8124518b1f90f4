"""What enable will do is no problem to doctor, what it cannot do is one.

And enable believes no generator: what it made is looked into, and undone if we are not in it.
"""

import argparse
import json
import os
from collections.abc import Callable

import pytest

from errors import NoGeneratorError, NotReadyError, SetupError
from linux.root import Root
from tests.tools import put
from tests.unit.boot_layouts import ESP, UKI, stub
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
from tests.unit.fake_machine import IMAGE, MOUNTS, UUID_TEXT, FakeMachine
from tests.unit.test_doctor_kinds import DASHED, LUKS, ROOT_UUID
from torpor.commands import rebuild
from torpor.commands.doctor import report
from torpor.doctor.finding import Finding, Level
from torpor.doctor.rebuilt import after_disable, after_rebuild

PUT = f"torpor enable will put the resumer into {IMAGE}"
OTHERS = [
    "torpor enable will tell the next boot where /dev/sda2 is",
    "torpor enable will make systemctl hibernate use Torpor",
]


def bad(fake: FakeMachine) -> list[Finding]:
    fake.initramfs = {}  # what is in the file that is there counts
    return fake.bad()


GENERATORS = [by_initramfs_tools, by_dracut, by_mkinitcpio]
Generator = Callable[[Enabled, str], None]


@pytest.mark.parametrize("generator", GENERATORS)
def test_what_enable_will_do_it_does(
    generator: Generator, machine: Enabled, capsys: pytest.CaptureFixture[str]
) -> None:
    generator(machine, "")
    found = bad(machine.fake)
    assert {one.level for one in found} == {Level.ENABLE}
    assert sorted(one.message for one in found) == sorted([PUT, *OTHERS])
    report(found, as_json=False)
    assert f"not yet  {PUT}\n" in capsys.readouterr().out
    report(found, as_json=True)
    first = json.loads(capsys.readouterr().out)[0]
    assert first == {"level": "enable", "message": OTHERS[0], "remedy": ""}
    assert machine.enable() == []
    assert bad(machine.fake) == []


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_resumer_that_is_there_is_not_spoken_of(generator: Generator, machine: Enabled) -> None:
    """initramfs-tools puts it there with the package; but not the location."""
    generator(machine, "")
    tree = {name: data for name, data in machine.tree.items() if not name.endswith("location")}
    machine.fake.initramfs = tree
    found = machine.fake.bad()
    hooks = ["torpor enable will put torpor into HOOKS of mkinitcpio"]
    more = hooks if generator is by_mkinitcpio else []
    assert sorted(one.message for one in found) == sorted([*OTHERS, *more])


def remains(fake: FakeMachine) -> Finding:
    """Return the one finding that enable will not see to."""
    (found,) = [one for one in bad(fake) if one.level != Level.ENABLE]
    assert found.level == Level.PROBLEM
    with pytest.raises(NotReadyError):
        report([found], as_json=True)
    return found


OMITS = 'omit_dracutmodules+=" torpor "\n'
LATER, MINE = f"{CONF}.d/zz.conf", "/etc/dracut.conf.d/mine.conf"


@pytest.mark.parametrize(
    ("generator", "path", "text", "message", "remedy"),
    [
        (by_mkinitcpio, LATER, "HOOKS=(base udev)", "", f"say in {LATER}: HOOKS=(base udev tor"),
        (by_mkinitcpio, CONF, "HOOKS=(base systemd encrypt)", "has encrypt beside systemd", ""),
        (by_mkinitcpio, CONF, "HOOKS=(udev sd-encrypt)", "has sd-encrypt without systemd", ""),
        (by_mkinitcpio, PRESET, None, "nothing says what images mkinitcpio should make", ""),
        (by_dracut, MINE, OMITS, "", f"out of omit_dracutmodules in {MINE}"),
    ],
)
def test_what_a_file_says_remains(
    generator: Generator, path: str, text: str | None, message: str, remedy: str, machine: Enabled
) -> None:
    generator(machine, "")
    machine.fake.remove(path) if text is None else machine.fake.write(path, text)
    found = remains(machine.fake)
    assert message in found.message
    assert remedy in found.remedy


def test_a_part_that_is_not_installed_remains(machine: Enabled) -> None:
    by_initramfs_tools(machine, "made=without")
    machine.fake.remove("/usr/share/initramfs-tools/hooks/torpor")
    assert "install Torpor's package again" in remains(machine.fake).remedy
    with pytest.raises(SetupError, match="does not hold the resumer") as caught:
        machine.enable()
    assert caught.value.hint.startswith("install Torpor's package again, and run torpor enable")


def test_no_generator_remains(machine: Enabled) -> None:
    by_initramfs_tools(machine, "")
    machine.fake.remove("/usr/sbin/mkinitramfs")
    said = [one.message for one in bad(machine.fake) if one.level == Level.PROBLEM]
    assert "no initramfs generator is installed: initramfs-tools, mkinitcpio, dracut" in said


def test_a_stale_resume_remains(machine: Enabled) -> None:
    by_initramfs_tools(machine, "")
    machine.fake.write("/etc/torpor.conf", f"store = UUID={UUID_TEXT}\n")
    machine.fake.replace("/proc/cmdline", "quiet", f"resume=UUID={ROOT_UUID}")
    said = f"resume=UUID={ROOT_UUID} on the kernel command line names /dev/sda1, but the store"
    assert said in remains(machine.fake).message


HOOK = {"/usr/share/initramfs-tools/hooks/cryptroot": ""}
CONF_HOOK = "/etc/cryptsetup-initramfs/conf-hook"
PATTERN = "KEYFILE_PATTERN="
SYSTEMD = {"/usr/lib/systemd/systemd": ""}
NONE, KEY = "swap_crypt /dev/sda2 none luks", "swap_crypt /dev/sda2 /keys/a luks"
IN_HOOK, IN_ITEMS = f"name it in KEYFILE_PATTERN= of {CONF_HOOK}", "name it in install_items+="
NOT_IN = "swap_crypt is not in /etc/crypttab"
ADD = f"add rd.luks.name={DASHED}=swap_crypt to the boot loader's configuration"


def in_hook(*lines: str) -> dict[str, str]:
    return HOOK | {CONF_HOOK: "".join(f"{line}\n" for line in lines)}


def items(path: str) -> dict[str, str]:
    return {"/etc/dracut.conf.d/mine.conf": f'install_items+=" {path} "\n'}


@pytest.mark.parametrize(
    ("generator", "crypttab", "files", "words", "remedy"),
    [
        (by_initramfs_tools, NONE, {}, "", "install cryptsetup-initramfs"),
        (by_initramfs_tools, NONE, HOOK, "", ""),
        (by_initramfs_tools, KEY, in_hook(f"{PATTERN}/keys/*"), "", ""),
        (by_initramfs_tools, KEY, in_hook(f"#{PATTERN}/keys/*"), "", IN_HOOK),
        (by_initramfs_tools, KEY, in_hook(f'{PATTERN}"/else/*"'), "", IN_HOOK),
        (by_initramfs_tools, KEY, in_hook(f"{PATTERN}/keys/*", f"{PATTERN}'/else/*'"), "", IN_HOOK),
        (by_initramfs_tools, KEY, in_hook(f"{PATTERN}/else", f"{PATTERN}/keys/?"), "", ""),
        (by_initramfs_tools, KEY, in_hook(f"[ -e /x ] && {PATTERN}y"), "", ""),
        (by_initramfs_tools, f"#{NONE}\nother UUID=y none\n", HOOK, "", NOT_IN),
        (by_dracut, KEY, SYSTEMD, "", IN_ITEMS),
        (by_dracut, KEY, SYSTEMD | items("/keys/b"), "", IN_ITEMS),
        (by_dracut, KEY, SYSTEMD | items("/keys/a"), "", ""),
        (by_dracut, f"#{NONE}", SYSTEMD, "", NOT_IN),
        (by_dracut, NONE, SYSTEMD, "", ""),
        (by_dracut, NONE, SYSTEMD, f"rd.luks.uuid=luks-{ROOT_UUID}", ADD),
        (by_dracut, "", SYSTEMD, f"rd.luks.uuid={ROOT_UUID} rd.luks.uuid=luks-{DASHED}", ""),
        (by_dracut, "", SYSTEMD, f"rd.luks.name={DASHED}=swap_crypt", ""),
        # Its shell is told by enable, and asks for a passphrase.
        (by_dracut, "", {}, "", ""),
        (by_mkinitcpio, "", {}, "", "say in /etc/mkinitcpio.conf: HOOKS=(base udev encrypt"),
    ],
)
def test_what_keeps_luks_shut_remains(
    generator: Generator,
    crypttab: str,
    files: dict[str, str],
    words: str,
    remedy: str,
    machine: Enabled,
) -> None:
    """By what the generator will do, since the initramfs of before has nothing of it."""
    machine.fake.mapped("swap_crypt", LUKS)
    generator(machine, "")
    machine.fake.replace("/proc/cmdline", "quiet", words)
    put(machine.fake.root, {"/etc/crypttab": crypttab + "\n"} | files)
    if remedy:
        assert remedy in remains(machine.fake).remedy
    else:
        opens = "torpor enable will have the initramfs open swap_crypt, on which the store lies"
        assert opens in [one.message for one in bad(machine.fake) if one.level == Level.ENABLE]


def test_dracut_is_told_of_volumes(machine: Enabled) -> None:
    machine.fake.mapped("vg-swap", "LVM-abc")
    by_dracut(machine, "")
    assert "has no lvm to activate vg-swap" in remains(machine.fake).message
    machine.fake.write("/usr/sbin/lvm", "")
    assert {one.level for one in bad(machine.fake)} == {Level.ENABLE}


def test_an_older_version_is_made_anew(machine: Enabled) -> None:
    by_initramfs_tools(machine, "")
    machine.fake.initramfs = machine.tree | {"usr/lib/torpor/resume/torpor-resume": b"older"}
    del machine.fake.initramfs["var/lib/torpor/location"]
    found = [one.message for one in machine.fake.examine() if one.level == Level.ENABLE]
    assert f"torpor enable will rebuild {IMAGE}" in found


# enable looks into what was made


STAYS = f"{IMAGE} still holds the resumer, which finds no image: it goes with Torpor's package"


@pytest.mark.parametrize(
    ("generator", "remarks"), [(by_initramfs_tools, [STAYS]), (by_mkinitcpio, [])]
)
def test_what_is_in_it_is_fine(generator: Generator, remarks: list[str], machine: Enabled) -> None:
    generator(machine, "")
    assert machine.enable() == []
    assert machine.disable() == remarks


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
    generator: Generator, script: str, message: str, hint: str, machine: Enabled
) -> None:
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
    by_mkinitcpio(machine, f"ALL_config={config}\n")
    machine.fake.write(config, "HOOKS=(base udev resume filesystems)\n")
    found, before = remains(machine.fake), machine.files()
    with pytest.raises(SetupError, match="does not hold the resumer") as caught:
        machine.enable()
    assert machine.files() == before
    hooks = "HOOKS=(base udev torpor resume filesystems)"
    line = f"say in {config}, which {PRESET} names: {hooks}"
    assert caught.value.hint == f"{line}; and run torpor enable again"
    assert found.message == f"{IMAGE} does not hold the resumer"
    assert found.remedy.startswith(f"{line}; and rebuild it")
    machine.fake.write(config, hooks)
    assert {one.level for one in bad(machine.fake)} == {Level.ENABLE}
    assert machine.enable() == []
    assert machine.disable() == [
        f"{IMAGE} still holds the resumer, which finds no image: HOOKS in {config} has it"
    ]


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
    by_mkinitcpio(machine, "")
    machine.fake.write("/proc/self/mountinfo", MOUNTS + ESP.format("/efi"))
    uki = machine.fake.root / UKI[1:]
    stale = (machine.folder / "without").read_bytes()
    machine.fake.write(UKI, unified_kernel_image([(b".initrd", stale)]))
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
    stale_remark, older = machine.enable()
    assert stale_remark.startswith(f"{UKI} was not rebuilt: find out what makes it, and")
    assert older == f"{UKI} holds an older /var/lib/torpor/location"


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
