"""HOOKS and presets of mkinitcpio: what its configuration leads to, as version 41 reads it."""

from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from initramfs.generators import shell
from initramfs.generators.kernels import order
from linux.root import Root

CONF = "/etc/mkinitcpio.conf"
DROP_IN = f"{CONF}.d/torpor.conf"
PRESETS = "/etc/mkinitcpio.d"

OURS = ("torpor", "sd-torpor")
OPENERS = (
    *("udev", "systemd", "mdadm", "mdadm_udev", "dmraid", "lvm2", "sd-lvm2"),
    *("encrypt", "sd-encrypt", "encryptssh", "plymouth-encrypt", "openswap"),
)
"""The hooks that have to come before ours: they make devices appear, and ask how to open them."""
_FILES = ("block", "keyboard")
"""Those that only put files there: ours comes behind them, too, unless resume does not."""
_FOLLOWERS = ("resume", "filesystems", "fsck")
"""Those that ours goes before, where they come after the openers."""


def _place(hooks: list[str]) -> list[str]:
    """Return the hooks with ours among them, as the drop-in below puts it there."""
    if set(OURS) & set(hooks):
        return hooks
    at, resume = 0, None
    for number, hook in enumerate(hooks):
        if hook in (*OPENERS, *_FILES):
            at = number + 1
        if hook in OPENERS:
            resume = None
        elif hook == "resume" and resume is None:
            resume = number
    at = at if resume is None else resume
    while at < len(hooks) and hooks[at] not in _FOLLOWERS:
        at += 1
    return [*hooks[:at], "sd-torpor" if "systemd" in hooks else "torpor", *hooks[at:]]


def corrected(hooks: tuple[str, ...]) -> list[str]:
    """Return the hooks with ours where it belongs, and the stock resume behind it."""
    placed = _place([hook for hook in hooks if hook not in (*OURS, "resume")])
    if "resume" in hooks:
        at = next(at for at, hook in enumerate(placed, 1) if hook in OURS)
        placed.insert(at, "resume")
    return placed


TEXT = f"""# Puts Torpor's hook behind those that open devices, before resume and filesystems.
HOOKS=(${{HOOKS[*]}})
_torpor_hook=torpor _torpor_at=0 _torpor_resume=
for _torpor_number in "${{!HOOKS[@]}}"; do
    case ${{HOOKS[_torpor_number]}} in
        {" | ".join(OPENERS)}) _torpor_at=$((_torpor_number + 1)) _torpor_resume= ;;
        {" | ".join(_FILES)}) _torpor_at=$((_torpor_number + 1)) ;;
        resume) _torpor_resume=${{_torpor_resume:-$_torpor_number}} ;;
    esac
    case ${{HOOKS[_torpor_number]}} in
        {" | ".join(OURS)}) _torpor_hook= ;;
        systemd) _torpor_hook=${{_torpor_hook:+sd-torpor}} ;;
    esac
done
for ((_torpor_at = ${{_torpor_resume:-_torpor_at}}; _torpor_at < ${{#HOOKS[@]}}; _torpor_at++)); do
    case ${{HOOKS[_torpor_at]}} in
        {" | ".join(_FOLLOWERS)}) break ;;
    esac
done
HOOKS=("${{HOOKS[@]:0:_torpor_at}}" $_torpor_hook "${{HOOKS[@]:_torpor_at}}")
unset _torpor_hook _torpor_at _torpor_resume _torpor_number
"""
# Read after mkinitcpio.conf, by `cat` into one file; and twice: for the images, and for /config in
# them. HOOKS may be a string there.


class Hooks(NamedTuple):
    """The hooks that the next initramfs is made of."""

    names: tuple[str, ...] | None
    """None where it cannot be told what bash makes of the files."""
    source: str
    """The file that has the last word on them, or which cannot be understood."""
    preset: str = ""
    """The file of the preset, if that names a configuration."""
    added: tuple[str, ...] = ()
    """What the preset's options add behind these."""
    skipped: tuple[str, ...] = ()
    """What they leave out of all."""

    @property
    def taken(self) -> list[str]:
        """Those that mkinitcpio takes, by the preset's options (compute_hookset)."""
        return [one for one in (*(self.names or ()), *self.added) if one not in self.skipped]

    @property
    def has_ours(self) -> bool:
        """Whether ours is one of them."""
        return bool({*OURS} & {*self.taken})


def hooks_of(root: Root, preset: "Preset | None" = None, *, with_ours: bool = False) -> Hooks:
    """Return the hooks that the files of configuration lead to, those that a preset reads.

    With `with_ours` as if the drop-in that enable writes were there.
    """
    hooks = _configured(root, preset, with_ours=with_ours)
    return hooks._replace(added=preset.added, skipped=preset.skipped) if preset else hooks


def _configured(root: Root, preset: "Preset | None", *, with_ours: bool) -> Hooks:
    variables: dict[str, shell.Value] = {}
    source, *_ = paths = conf_files(root, preset, with_ours=with_ours)
    file = preset.file if preset and preset.config else ""
    for path in paths:
        text = root.text(path) or ""
        if path == DROP_IN and (with_ours or text.endswith(TEXT)):
            variables["HOOKS"] = _place(words(variables.get("HOOKS")))
            continue
        before = variables.get("HOOKS")
        rest = shell.assign(text, variables)
        if shell.names(rest, "HOOKS"):
            return Hooks(None, path, file)
        if variables.get("HOOKS") != before:
            source = path
            if variables["HOOKS"] is None:
                return Hooks(None, path, file)
    return Hooks(tuple(words(variables.get("HOOKS"))), source, file)


def words(value: shell.Value) -> list[str]:
    """Return the words of a variable, an array or a string."""
    return value.split() if isinstance(value, str) else value or []


def conf_files(root: Root, preset: "Preset | None", *, with_ours: bool = False) -> list[str]:
    """Return the files of configuration, in order, perhaps as if our drop-in were there.

    A preset that names a file makes mkinitcpio read that one alone (mkinitcpio(8), --config).
    """
    if preset and preset.config:
        return [preset.config]
    names = {name[:-5] for name in root.names(f"{CONF}.d") if name.endswith(".conf")}
    names |= {"torpor"} if with_ours else set()
    return [CONF, *(f"{CONF}.d/{name}.conf" for name in sorted(names, key=order))]


class Preset(NamedTuple):
    """One of the images that `mkinitcpio -P` makes; "" for what is not said."""

    file: str
    kernel: str
    """A release, or the path of a kernel."""
    config: str
    image: str
    uki: str
    name: str = ""
    added: tuple[str, ...] = ()
    """The hooks that its options add."""
    skipped: tuple[str, ...] = ()
    """Those that they leave out."""


def presets(root: Root) -> Iterator[Preset]:
    """Yield what the files of presets say, as far as it is plain."""
    for name in root.names(PRESETS):
        if name.endswith(".preset"):
            variables: dict[str, shell.Value] = {}
            shell.assign(root.text(f"{PRESETS}/{name}") or "", variables)
            for preset in words(variables.get("PRESETS")):
                yield _preset(f"{PRESETS}/{name}", preset, variables)


def preset_of(root: Root, path: str) -> Preset | None:
    """Return the preset that makes a file of this name, else the first; None if there is none.

    That is one which is no fallback, if it can be.
    """
    name = path.rpartition("/")[2].lower()
    found = sorted(presets(root), key=lambda one: one.name == "fallback")
    made = [
        one
        for one in found
        if name in [each.rpartition("/")[2].lower() for each in (one.image, one.uki)]
    ]
    return next(iter(made or found), None)


def _preset(file: str, name: str, variables: dict[str, shell.Value]) -> Preset:
    def said(*names: str) -> str:
        values = (variables.get(one) for one in names)
        return next((value for value in values if isinstance(value, str) and value), "")

    options = _options(words(variables.get(f"{name}_options")))
    return Preset(
        file,
        said(f"{name}_kver", "ALL_kver"),
        options.config or said(f"{name}_config", "ALL_config"),
        said(f"{name}_image"),
        said(f"{name}_uki", f"{name}_efi_image"),
        name,
        tuple(options.addhooks),
        tuple(options.skiphooks),
    )


def _options(given: Sequence[str]) -> Namespace:
    """Return what options of mkinitcpio say of the configuration and of hooks.

    Nothing where one lacks its value: mkinitcpio makes no image then.
    """
    parser = ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", default="")
    for names in (("-A", "--addhooks", "--add"), ("-S", "--skiphooks")):
        parser.add_argument(*names, action="extend", type=lambda text: text.split(","), default=[])
    try:
        return parser.parse_known_args(given)[0]
    except ArgumentError:
        return parser.parse_args([])


def has_presets(root: Root) -> bool:
    """Return whether `mkinitcpio -P` has anything to do."""
    return any(name.endswith(".preset") for name in root.names(PRESETS))
