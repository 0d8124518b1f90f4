"""HOOKS of mkinitcpio: what its files lead to, where the drop-in puts ours, what doctor says."""

import pytest

from initramfs.generators.generator import Target
from initramfs.generators.hooks import (
    CONF,
    DROP_IN,
    Hooks,
    Preset,
    corrected,
    hooks_of,
    preset_of,
    presets,
)
from initramfs.generators.mkinitcpio import MKINITCPIO
from linux.root import Root
from state.location import Location
from tests.tools import output, put
from tests.unit.fake_machine import IMAGE, FakeMachine
from tests.unit.fake_root import write
from tests.unit.test_doctor_kinds import mkinitcpio as boots_by_mkinitcpio
from torpor.doctor.finding import Level
from torpor.enable.system import NOTE

OURS = NOTE + MKINITCPIO.text(Target(Location("UUID=1", 0)))
OLDER = f'{NOTE}case " ${{HOOKS[*]}} " in *" torpor "*) ;; *) HOOKS+=(torpor) ;; esac\n'
RUNTIME = {"udev", "encrypt", "lvm2", "openswap", "torpor", "resume", "keymap", "consolefont"}
"""Hooks that have something to run in the initramfs; others only add files to it."""


RESUME_BEFORE_ENCRYPT = (
    "base udev resume block encrypt resume filesystems",
    "base udev block resume encrypt filesystems",
)
STOCK = (
    f"{IMAGE} runs the stock resume before Torpor's, which then waits in vain for a device that "
    "does not come"
)
_START = "base udev autodetect microcode modconf kms keyboard"
PLACES = {
    # Arch's own of 2026, of 2023, and with systemd
    f"{_START} keymap consolefont block filesystems fsck": 10,
    "base udev autodetect modconf block filesystems keyboard fsck": 7,
    f"{_START.replace('udev', 'systemd')} sd-vconsole block sd-encrypt filesystems fsck": 10,
    "base udev block encrypt lvm2 resume filesystems": 5,
    "base udev resume block filesystems": 2,
    "base udev resume block encrypt resume filesystems": 5,
    "base udev block resume encrypt filesystems": 5,
    "base udev block encrypt openswap resume filesystems": 5,
    "base udev block encrypt mine resume filesystems": 5,
    "base udev block encrypt mine": 5,
    "base": 1,
    "filesystems base": 0,
    "": 0,
}
"""Hooks, and where ours goes."""


def by_bash(conf: str) -> list[str]:
    """Return the hooks that mkinitcpio has after the file, which it reads twice."""
    script = (
        f'{conf}\n[[ ${{HOOKS@a}} != *a* ]] && IFS=" " read -r -a HOOKS <<<"$HOOKS"\n'
        f'printf "%s\\n" ${{_torpor_hook+left}} "${{HOOKS[@]}}"\n{conf}'
    )
    return output("bash", "-c", script).split()


@pytest.mark.parametrize("form", ["HOOKS=({})", 'HOOKS="{}"', "HOOKS=()\nHOOKS+=({})"])
@pytest.mark.parametrize("hooks", PLACES)
def test_the_drop_in_puts_ours_in_its_place(hooks: str, form: str, root: Root) -> None:
    name = "sd-torpor" if "systemd" in hooks else "torpor"
    before = hooks.split()
    after = [*before[: PLACES[hooks]], name, *before[PLACES[hooks] :]]
    conf = form.format(hooks)
    assert by_bash(conf + "\n" + OURS) == after
    write(root, {CONF: conf, DROP_IN: OURS})
    assert hooks_of(root) == Hooks(tuple(after), CONF)


@pytest.mark.parametrize(
    "hooks", ["base udev torpor resume", "base systemd sd-torpor", "torpor base"]
)
def test_hooks_that_have_ours_stay(hooks: str, root: Root) -> None:
    assert by_bash(f"HOOKS=({hooks})\n{OURS}") == hooks.split()
    write(root, {CONF: f"HOOKS=({hooks})", DROP_IN: OURS})
    assert hooks_of(root).names == tuple(hooks.split())


@pytest.mark.parametrize("hooks", [each for each in PLACES if each and "systemd" not in each])
def test_doctor_does_not_mind_what_enable_made(hooks: str, fake: FakeMachine, root: Root) -> None:
    boots_by_mkinitcpio(fake)
    fake.write(CONF, f"HOOKS=({hooks})")
    fake.write(DROP_IN, OURS)
    built = [hook for hook in hooks_of(root).names or () if hook in RUNTIME]
    fake.initramfs["config"] = f'HOOKS="{" ".join(built)}"\n'.encode()
    expected = [STOCK] if hooks in RESUME_BEFORE_ENCRYPT else []
    assert fake.complaints() == expected


FILES: dict[str, tuple[dict[str, str], Hooks]] = {
    "the last one counts": (
        {CONF: "HOOKS=(base udev)\nHOOKS=(base systemd)"},
        Hooks(("base", "systemd"), CONF),
    ),
    "in drop-ins, too": (
        {CONF: "HOOKS=(a)", f"{CONF}.d/1.conf": "HOOKS=(b)", f"{CONF}.d/2.conf": "HOOKS+=(c)"},
        Hooks(("b", "c"), f"{CONF}.d/2.conf"),
    ),
    "drop-ins by version": (
        {CONF: "HOOKS=(a)", f"{CONF}.d/9.conf": "HOOKS=(b)", f"{CONF}.d/10.conf": "HOOKS+=(c)"},
        Hooks(("b", "c"), f"{CONF}.d/10.conf"),
    ),
    "no other names": (
        {CONF: "HOOKS=(a)", f"{DROP_IN}.pacsave": "HOOKS=(torpor)", f"{CONF}.d/x": "HOOKS=(y)"},
        Hooks(("a",), CONF),
    ),
    "no comments": ({CONF: "HOOKS=(a # torpor\n)\n#HOOKS=(torpor)"}, Hooks(("a",), CONF)),
    "a string": ({CONF: "HOOKS='a b'"}, Hooks(("a", "b"), CONF)),
    "other variables": ({CONF: "TORPOR=torpor HOOKS=(a)\nX=(torpor)"}, Hooks(("a",), CONF)),
    "ours is not the last": (
        {CONF: "HOOKS=(a)", DROP_IN: OURS, f"{CONF}.d/zz.conf": "HOOKS=(b)"},
        Hooks(("b",), f"{CONF}.d/zz.conf"),
    ),
    "ours of another version": ({CONF: "HOOKS=(a)", DROP_IN: OLDER}, Hooks(None, DROP_IN)),
    "a condition": ({CONF: "HOOKS=(a)\n[[ -e /x ]] && HOOKS+=(b)"}, Hooks(None, CONF)),
    "a condition about something else": (
        {CONF: "HOOKS=(a)\n[[ -e /x ]] && MODULES+=(b) # HOOKS"},
        Hooks(("a",), CONF),
    ),
    "other files": (
        {CONF: "HOOKS=(a)", f"{CONF}.d/1.conf": "source /etc/hooks"},
        Hooks(None, f"{CONF}.d/1.conf"),
    ),
    "no files": ({}, Hooks((), CONF)),
    "no hooks": ({CONF: "MODULES=()"}, Hooks((), CONF)),
}


@pytest.mark.parametrize("name", FILES)
def test_what_the_files_lead_to(name: str, root: Root) -> None:
    files, expected = FILES[name]
    write(root, files)
    assert hooks_of(root) == expected


PRESET = "/etc/mkinitcpio.d/linux.preset"


def test_a_file_that_a_preset_names_is_alone(root: Root) -> None:
    write(root, {CONF: "HOOKS=(a)", DROP_IN: OURS, "/etc/mine.conf": "HOOKS=(b)"})
    for config, names in (("/etc/mine.conf", ("b",)), (CONF, ("a",)), ("/etc/gone.conf", ())):
        preset = Preset(PRESET, "", config, "", "")
        assert hooks_of(root, preset) == Hooks(names, config, PRESET)


def test_presets(root: Root) -> None:
    lts = "/etc/mkinitcpio.d/linux-lts.preset"
    files = {
        PRESET: "# a preset\nALL_config=/etc/all.conf\nALL_kver='/boot/vmlinuz-linux'\n"
        "PRESETS=('default' 'fallback')\ndefault_image=\"/boot/initramfs-linux.img\"\n"
        "fallback_config=/etc/fall.conf\nfallback_uki='/efi/EFI/Linux/Arch-fallback.efi'\n"
        'fallback_options="-S autodetect"\n',
        lts: "PRESETS=default\ndefault_kver=6.6.1-1-lts\ndefault_efi_image=/efi/lts.efi\n",
        f"{PRESET}.pacsave": "PRESETS=(x)",
        "/etc/mkinitcpio.d/odd.preset": "PRESETS=(a)\na_image=$(echo x)\n",
    }
    write(root, files)
    first = Preset(lts, "6.6.1-1-lts", "", "", "/efi/lts.efi", "default")
    kernel, all_conf = "/boot/vmlinuz-linux", "/etc/all.conf"
    second = Preset(PRESET, kernel, all_conf, "/boot/initramfs-linux.img", "", "default")
    fallback = ("/efi/EFI/Linux/Arch-fallback.efi", "fallback", (), ("autodetect",))
    third = Preset(PRESET, kernel, "/etc/fall.conf", "", *fallback)
    assert list(presets(root))[:3] == [first, second, third]
    assert preset_of(root, "/boot/initramfs-linux.img") == second
    assert preset_of(root, "/boot/EFI/LINUX/ARCH-FALLBACK.EFI") == third
    assert preset_of(root, "/boot/other.img") == first


OPTIONS = {
    "": ["a", "b", "a"],
    "-S a": ["b"],
    "-v -Sa,c --skiphooks=b -z zstd": [],
    "-A c,b": ["a", "b", "a", "c", "b"],
    "--addhooks c --add d -S c": ["a", "b", "a", "d"],
    "--splash /x.bmp -c /etc/mine.conf": ["mine"],
    "-A": ["a", "b", "a"],
}
"""Options of a preset, and the hooks that it takes (process_preset, compute_hookset)."""


@pytest.mark.parametrize("form", ['"{}"', "({})"])
@pytest.mark.parametrize("options", OPTIONS)
def test_options_of_a_preset(options: str, form: str, root: Root) -> None:
    text = f"PRESETS=(fallback default)\ndefault_options={form.format(options)}\n"
    write(root, {CONF: "HOOKS=(a b a)", "/etc/mine.conf": "HOOKS=(mine)", PRESET: text})
    assert hooks_of(root, preset_of(root, "/boot/other.img")).taken == OPTIONS[options]


@pytest.mark.parametrize("hook", ["torpor", "sd-torpor"])
def test_ours_that_a_preset_skips(hook: str, fake: FakeMachine) -> None:
    boots_by_mkinitcpio(fake)
    base = "systemd" if hook == "sd-torpor" else "udev"
    fake.write(CONF, f"HOOKS=({base} {hook})")
    fake.write(PRESET, f'PRESETS=(default)\ndefault_options="-S {hook}"\n')
    (found,) = [one.remedy for one in fake.bad() if "HOOKS has no torpor" in one.message]
    assert f"take {hook} out of -S in the options of a preset in /etc/mkinitcpio.d" in found


def test_a_wrong_order_is_corrected() -> None:
    assert corrected(("base", "resume", "torpor", "udev", "encrypt", "filesystems")) == [
        *("base", "udev", "encrypt", "torpor", "resume", "filesystems")
    ]
    assert corrected(("base", "systemd", "torpor")) == ["base", "systemd", "sd-torpor"]


REMEDIES: dict[str, tuple[dict[str, str], str, str]] = {
    "not among the hooks": ({CONF: "HOOKS=(udev encrypt)"}, "udev encrypt", CONF),
    "behind resume": ({CONF: "HOOKS=(udev resume torpor)"}, "udev resume torpor", CONF),
    "before what opens": ({CONF: "HOOKS=(torpor udev encrypt)"}, "torpor udev encrypt", CONF),
    "a preset has a file of its own": (
        {
            CONF: "HOOKS=(udev torpor)",
            DROP_IN: OURS,
            PRESET: "PRESETS=(default)\nALL_config=/etc/mine.conf\n",
            "/etc/mine.conf": "HOOKS=(udev encrypt resume)",
        },
        "udev encrypt resume",
        f"/etc/mine.conf, which {PRESET} names",
    ),
    "the preset's file is the usual one": (
        {
            CONF: "HOOKS=(udev encrypt resume)",
            DROP_IN: OURS,
            PRESET: f"PRESETS=(default)\nALL_config={CONF}\n",
        },
        "udev encrypt resume",
        f"{CONF}, which {PRESET} names",
    ),
    "another file has the last word": (
        {CONF: "HOOKS=(udev)", DROP_IN: OURS, f"{CONF}.d/zz.conf": "HOOKS=(udev encrypt)"},
        "udev encrypt",
        f"{CONF}.d/zz.conf",
    ),
}


@pytest.mark.parametrize("with_resumer", [True, False])
@pytest.mark.parametrize("name", REMEDIES)
def test_a_remedy_that_is_followed_leaves_nothing_to_say(
    name: str, fake: FakeMachine, *, with_resumer: bool
) -> None:
    files, built, source = REMEDIES[name]
    boots_by_mkinitcpio(fake)
    put(fake.root, files)
    fake.initramfs["config"] = f'HOOKS="{built}"\n'.encode()
    resumer = "usr/lib/torpor/resume/torpor-resume"
    if not with_resumer:
        if "torpor" in built:
            return
        held = fake.initramfs.pop(resumer)
    found = fake.bad()
    remedy = next(one.remedy for one in found if "say in" in one.remedy)
    where, _, line = remedy.removeprefix("say in ").partition(": ")
    assert where == source
    hooks = line.partition(";")[0]
    fake.write(where.partition(",")[0], hooks)
    if not with_resumer:
        fake.initramfs[resumer] = held
    fake.initramfs["config"] = hooks.replace("(", '"').replace(")", '"\n').encode()
    assert fake.bad() == []


def test_enable_is_the_remedy_where_it_helps(fake: FakeMachine) -> None:
    boots_by_mkinitcpio(fake)
    fake.write(CONF, "HOOKS=(base udev)")
    fake.write(DROP_IN, OLDER)
    (found,) = fake.bad()
    assert "the HOOKS that this leads to are unknown" in found.message
    assert found.remedy.startswith("run torpor enable")


@pytest.mark.parametrize("text", ["HOOKS=(", "HOOKS=('", "HOOKS=$(", "\0", "HOOKS=\\", "}{)("])
def test_a_damaged_file_is_said_and_no_more(text: str, fake: FakeMachine) -> None:
    boots_by_mkinitcpio(fake)
    fake.write(CONF, text)
    for finding in fake.bad():
        assert "are unknown" in finding.message
        assert finding.level == Level.WARNING
