"""mkinitcpio (Arch and what comes from it)."""

import os
from collections.abc import Iterator, Sequence
from itertools import takewhile

from initramfs.archive.initramfs import Initramfs
from initramfs.generators import hooks as conf
from initramfs.generators import shell, systemd
from initramfs.generators.generator import (
    CRYPTSETUP,
    LOADER,
    LVM,
    MDADM,
    ONLY_LUKS,
    SYSTEMD,
    Boot,
    Fault,
    Generator,
    Target,
    add_word,
    foresee,
)
from initramfs.generators.layers import Crypt, Opened, Volume
from linux.root import Root
from state.location import PATH as LOCATION
from store import crypttab

_PROGRAM = "/usr/bin/mkinitcpio"
_OPENED_BY = ("encrypt", "encryptssh", "plymouth-encrypt")
"""The hooks of busybox that open what cryptdevice= names."""
_BEHIND = ("lvm2", "sd-lvm2", "openswap", *conf.OURS, "resume", "filesystems", "fsck")
"""The hooks that one which opens devices goes before."""
_OF_SYSTEMD = {
    **dict.fromkeys((*_OPENED_BY, "openswap"), "sd-encrypt"),
    **dict.fromkeys(("keymap", "consolefont"), "sd-vconsole"),
    "udev": "systemd",
    "torpor": "sd-torpor",
    "resume": "",
    "usr": "",
}
"""What a hook of busybox's is with systemd."""
_TABLE = "/etc/crypttab.initramfs"
_OPENSWAP = "/openswap.conf"


class _Mkinitcpio(Generator):
    """mkinitcpio, with busybox in the initramfs or with systemd."""

    name = "mkinitcpio"
    rebuild = ("mkinitcpio", "-P")
    part = "/usr/lib/initcpio/install/torpor"
    configuration = conf.DROP_IN
    add_module = "name {} in MODULES of /etc/mkinitcpio.conf"
    marks = ("/init_functions", "/buildconfig")
    texts = ("config", "etc/crypttab", "openswap.conf")

    def is_used(self, root: Root) -> bool:
        """Return whether it is all there, and the one that makes this system's initramfs.

        Without presets it may be left over, or called by kernel-install or limine-mkinitcpio.
        """
        is_called = root.exists("/usr/bin/limine-mkinitcpio") or not root.exists("/usr/bin/dracut")
        return root.exists(_PROGRAM) and (conf.has_presets(root) or is_called)

    def text(self, _target: Target) -> str:
        return conf.TEXT

    def order(self, boot: Boot) -> Iterator[Fault]:
        """Yield what keeps the resumer from being run, at the right time, and in the next one."""
        run, off = _run(boot), _heard(boot).get("disablehooks", "")
        if SYSTEMD in boot.initramfs:
            yield from systemd.order(boot)
        elif missed := {*run} & {*off.split(",")} & {"torpor", *conf.OPENERS}:
            message = f"disablehooks={off} keeps {boot.path} from running {min(missed)}"
            yield Fault(message, f"take disablehooks={off} off {LOADER}", in_initramfs=False)
        elif "torpor" in run:
            yield from _misplaced(boot, run)
        else:
            message = (
                f"{boot.path} holds the resumer but does not run it: no torpor among its hooks"
            )
            yield Fault(message, *_adding(boot))
            return
        yield from _next(boot)

    def amiss(self, boot: Boot) -> Iterator[Fault]:
        """Yield a hook that stands where it never runs: enable leaves these to the user."""
        hooks = hooks_for(boot)
        names = hooks.taken
        never = ("encrypt", "torpor") if "systemd" in names else ("sd-encrypt", "sd-torpor")
        which = "beside systemd, which" if "systemd" in names else "without systemd: busybox"
        for hook in [name for name in names if name in never][:1]:
            yield Fault(
                f"{hooks.source}: HOOKS has {hook} {which} never runs it",
                "with systemd put sd-torpor for torpor, and sd-encrypt for encrypt; without it "
                "the other way round;",
            )

    def crypt(self, boot: Boot, one: Crypt) -> Fault | None:
        if SYSTEMD in boot.initramfs:
            if not boot.holds(systemd.CRYPTSETUP):
                return boot.no_cryptsetup(one, _say_hooks(boot, "sd-encrypt"))
            untold = add_word(f"rd.luks.name={one.uuid}={one.name}") if one.uuid else ONLY_LUKS
            return systemd.crypt(boot, one, boot.lines(systemd.TABLE), untold, _keep(boot), _TABLE)
        if not boot.holds(CRYPTSETUP):
            return boot.no_cryptsetup(one, _say_hooks(boot, "encrypt"))
        return _by_busybox(boot, one)

    def volume(self, boot: Boot, one: Volume) -> Fault | None:
        return boot.no_lvm(one, _say_hooks(boot, "lvm2"))

    def foreseen(
        self, boot: Boot, _store: Sequence[Opened], _system: Sequence[Opened]
    ) -> Initramfs:
        """Return what decides of the one that it will make: what the hooks put there."""
        root = boot.root
        hooks = hooks_for(boot, with_ours=True)
        names, is_systemd = hooks.taken, "systemd" in hooks.taken
        added = {
            SYSTEMD: is_systemd,
            systemd.CRYPTSETUP[0]: is_systemd and "sd-encrypt" in names,
            CRYPTSETUP[0]: not is_systemd and bool({*_OPENED_BY} & {*names}),
            MDADM: bool({"mdadm", "mdadm_udev"} & {*names}),
            LVM[0]: bool({"lvm2", "sd-lvm2"} & {*names}),
        }
        files = {path: "" for path, is_there in added.items() if is_there}
        said = shell.value_of("FILES", (root.text(path) or "" for path in _conf_files(boot)))
        files |= dict.fromkeys(conf.words(said), "")
        texts = {"/config": f'HOOKS="{" ".join(names)}"\n', systemd.TABLE: root.text(_TABLE) or ""}
        if "openswap" in names:
            texts[_OPENSWAP] = root.text(f"/etc{_OPENSWAP}") or ""
        return foresee(files | texts)

    def lacking(self, boot: Boot) -> Fault:
        found = super().lacking(boot)
        if found.remedy:
            return found
        enabling = found.enabling if _enable_adds_it(boot) else ""
        return Fault(found.message, *_adding(boot), enabling=enabling)


MKINITCPIO = _Mkinitcpio()


def hooks_for(boot: Boot, *, with_ours: bool = False) -> conf.Hooks:
    """Return the next initramfs's hooks."""
    preset = conf.preset_of(boot.root, boot.path)
    return conf.hooks_of(boot.root, preset, with_ours=with_ours)


def _conf_files(boot: Boot) -> list[str]:
    return conf.conf_files(boot.root, conf.preset_of(boot.root, boot.path))


def _keep(boot: Boot) -> str:
    return f"name it in FILES of {_conf_files(boot)[0]}"


def _run(boot: Boot) -> list[str]:
    """Return the hooks that busybox's init runs."""
    return conf.words(shell.value_of("HOOKS", [boot.initramfs.text("/config") or ""]))


def _heard(boot: Boot) -> dict[str, str]:
    """Return the parameters that busybox's init reads, by name."""
    return dict(takewhile(lambda word: not _is_comment(*word), boot.words))


def _is_comment(name: str, value: str) -> bool:
    """Return whether it reads nothing from here on (init_functions, parse_cmdline)."""
    return name.startswith("#") and not value


def _misplaced(boot: Boot, run: list[str]) -> Iterator[Fault]:
    at = run.index("torpor")
    if late := [hook for hook in run[at:] if hook in conf.OPENERS]:
        message = f"{boot.path} runs torpor before {late[0]}, which has to come first"
        yield Fault(message, _say_hooks(boot))
    elif "resume" in run[:at]:
        yield boot.stock_first(_say_hooks(boot))


def _next(boot: Boot) -> Iterator[Fault]:
    """See that the next initramfs will hold us, too."""
    hooks = hooks_for(boot)
    if hooks.names is None:
        message = f"{hooks.source}: the HOOKS that this leads to are unknown"
        yield Fault(message, *_adding(boot), is_lesser=True)
        return
    found = list(MKINITCPIO.amiss(boot))
    yield from found
    if hooks.names and not found and not hooks.has_ours:
        message = f"{hooks.source}: HOOKS has no torpor, so the next initramfs will not resume"
        enabling = "put torpor into HOOKS of mkinitcpio" if _enable_adds_it(boot) else ""
        yield Fault(message, *_adding(boot), enabling=enabling)


def _enable_adds_it(boot: Boot) -> bool:
    """Return whether enable will put our hook among those of the next initramfs."""
    hooks = hooks_for(boot, with_ours=True)
    return hooks.names is None or hooks.has_ours


def _adding(boot: Boot) -> tuple[str, bool]:
    """Return what puts our hook into the next initramfs, and if that has to be rebuilt then."""
    hooks = hooks_for(boot)
    is_enabled = boot.root.exists(LOCATION)
    if hooks.source == conf.DROP_IN or not (
        is_enabled or hooks.preset or not _enable_adds_it(boot)
    ):
        return "run torpor enable, which puts torpor into HOOKS of mkinitcpio", False
    if hooks.names is None:
        return "see that it puts torpor there (with systemd, sd-torpor)", True
    return ("" if hooks.has_ours else _say_hooks(boot)), True


def _say_hooks(boot: Boot, missing: str = "") -> str:
    """Return what to write, with one hook more, and ours in its place."""
    hooks = hooks_for(boot)
    if skipped := {missing or "torpor", missing or "sd-torpor"} & {*hooks.skipped}:
        return f"take {min(skipped)} out of -S in the options of a preset in {conf.PRESETS}"
    source = hooks.source + (f", which {hooks.preset} names" if hooks.preset else "")
    if hooks.names is None:
        what = missing or "torpor"
        return f"put {what} into HOOKS of {source} behind what opens devices, before resume"
    names = list(hooks.names)
    if missing and missing not in names:
        at = next((at for at, name in enumerate(names) if name in _BEHIND), len(names))
        names.insert(at, missing)
    return f"say in {source}: HOOKS=({' '.join(conf.corrected(tuple(names)))});"


def _by_busybox(boot: Boot, one: Crypt) -> Fault | None:
    """Return why busybox's hooks do not open a device, None if they do: encrypt opens one alone.

    hooks/encrypt; parse_cmdline_item in init_functions: the last cryptdevice= counts.
    """
    run, said = _run(boot), _heard(boot)
    if "openswap" in run and _by_openswap(boot, one):
        return None
    device, name = [*said.get("cryptdevice", "").split(":"), ""][:2]
    is_old = not device
    if is_old:
        device, name = said.get("root", ""), "root"
    add = add_word(f"cryptdevice=UUID={one.uuid}:{one.name}") if one.uuid else ONLY_LUKS
    if not {*run} & {*_OPENED_BY}:
        return boot.nothing_tells(one, f"{add}, and {_say_hooks(boot, 'encrypt')}")
    if _is_meant(boot.root, one, device, name):
        source, _, key = said.get("cryptkey", "").partition(":")
        line = crypttab.line_of(key if source == "rootfs" else "", "")
        return boot.lost_file(one, line, _keep(boot))
    if "cryptdevice" not in said and "cryptdevice" in dict(boot.words):
        comment = next(name for name, value in boot.words if _is_comment(name, value))
        return boot.forbidden(one, comment)
    if is_old:
        return boot.nothing_tells(one, add, in_initramfs=False)
    instead = _go_to_systemd(boot, one) if one.uuid else ONLY_LUKS
    return boot.left_out(one, "cryptdevice=", instead, in_initramfs=True)


def _by_openswap(boot: Boot, one: Crypt) -> bool:
    """Return whether Manjaro's hook opens it: the one that its file names."""
    said: dict[str, shell.Value] = {}
    shell.assign(boot.initramfs.text(_OPENSWAP) or "", said)
    device, name = said.get("swap_device"), said.get("crypt_swap_name")
    return _is_meant(boot.root, one, f"{device or ''}", f"{name or ''}")


def _is_meant(root: Root, one: Crypt, device: str, name: str) -> bool:
    """Return whether a device is meant that something opens under a name."""
    path = crypttab.udev_path(device)
    folder, _, uuid = path.rpartition("/")
    if folder == "/dev/disk/by-uuid":
        return uuid == one.uuid
    if root.exists(path):
        return os.path.basename(os.path.realpath(root.path(path))) == one.below
    return name == one.name


def _go_to_systemd(boot: Boot, one: Crypt) -> str:
    """Return what to do where busybox would have to open a second device."""
    hooks = hooks_for(boot)
    names = dict.fromkeys(filter(None, (_OF_SYSTEMD.get(name, name) for name in hooks.names or ())))
    return (
        "name every device by rd.luks.name=UUID=NAME in place of cryptdevice= (this one by "
        f"rd.luks.name={one.uuid}={one.name}) in {LOADER}, and say in {hooks.source}: "
        f"HOOKS=({' '.join(conf.corrected(tuple(names)))});"
    )
