"""doctor before enable: what enable will do is no problem, what it cannot do is one."""

import json
from collections.abc import Callable

import pytest

from errors import NotReadyError, SetupError
from tests.tools import put
from tests.unit.enabling import CONF, PRESET, Enabled, by_dracut, by_initramfs_tools, by_mkinitcpio
from tests.unit.fake_machine import IMAGE, FakeMachine
from tests.unit.test_doctor_kinds import DASHED, LUKS, ROOT_UUID
from torpor.commands.doctor import report
from torpor.doctor.finding import Finding, Level

PUT = f"torpor enable will put the resumer into {IMAGE}"
OTHERS = [
    "torpor enable will tell the next boot where /dev/sda2 is",
    "torpor enable will make systemctl hibernate use Torpor",
]


def bad(fake: FakeMachine) -> list[Finding]:
    fake.initramfs = {}  # what is in the file that is there counts
    return fake.bad()


def plain_mkinitcpio(machine: Enabled, script: str) -> None:
    by_mkinitcpio(machine, "PRESETS=(default)\n" + script)


GENERATORS = [by_initramfs_tools, by_dracut, plain_mkinitcpio]
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
    more = hooks if generator is plain_mkinitcpio else []
    assert sorted(one.message for one in found) == sorted([*OTHERS, *more])


def remains(fake: FakeMachine) -> Finding:
    """Return the one finding that enable will not see to."""
    (found,) = [one for one in bad(fake) if one.level != Level.ENABLE]
    assert found.level == Level.PROBLEM
    with pytest.raises(NotReadyError):
        report([found], as_json=True)
    return found


def test_a_configuration_of_a_preset_remains(machine: Enabled) -> None:
    by_mkinitcpio(machine, "PRESETS=(default)\nALL_config=/etc/mine.conf\n")
    machine.fake.write("/etc/mine.conf", "HOOKS=(base udev filesystems)")
    found = remains(machine.fake)
    assert found.message == f"{IMAGE} does not hold the resumer"
    line = f"say in /etc/mine.conf, which {PRESET} names: HOOKS=(base udev torpor filesystems)"
    assert found.remedy.startswith(f"{line}; and rebuild it")
    machine.fake.write("/etc/mine.conf", "HOOKS=(base udev torpor filesystems)")
    assert {one.level for one in bad(machine.fake)} == {Level.ENABLE}
    assert machine.enable() == []


OMITS = 'omit_dracutmodules+=" torpor "\n'
LATER, MINE = f"{CONF}.d/zz.conf", "/etc/dracut.conf.d/mine.conf"


@pytest.mark.parametrize(
    ("generator", "path", "text", "message", "remedy"),
    [
        (plain_mkinitcpio, LATER, "HOOKS=(base udev)", "", f"say in {LATER}: HOOKS=(base udev tor"),
        (plain_mkinitcpio, CONF, "HOOKS=(base systemd encrypt)", "has encrypt beside systemd", ""),
        (plain_mkinitcpio, CONF, "HOOKS=(udev sd-encrypt)", "has sd-encrypt without systemd", ""),
        (plain_mkinitcpio, PRESET, None, "nothing says what images mkinitcpio should make", ""),
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
    machine.fake.write("/etc/torpor.conf", "store = /dev/sda2\n")
    machine.fake.replace("/proc/cmdline", "quiet", "resume=/dev/sda1")
    said = "resume=/dev/sda1 on the kernel command line names /dev/sda1, but the store"
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
        (plain_mkinitcpio, "", {}, "", "say in /etc/mkinitcpio.conf: HOOKS=(base udev encrypt"),
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
