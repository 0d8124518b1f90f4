"""Checks that the initramfs holds the resumer, of this version, and runs it at the right time."""

import re
from collections.abc import Callable, Iterator

from doctor.facts import REBUILD, Facts
from doctor.finding import Finding, ok, problem, warning
from doctor.initramfs import Initramfs
from doctor.program import fingerprint
from state.location import PATH as LOCATION

NEEDS = "/usr/lib/torpor/resume.needs"
RESUMER = "/usr/lib/torpor/resume/torpor-resume"
BOOT = "/usr/lib/torpor/torpor-boot"
_OURS = "/usr/lib/torpor/"
_UNITS = "/usr/lib/systemd/system"
_GENERATOR = "/usr/lib/systemd/system-generators/torpor-resume-generator"
_GPU = ("i915", "xe", "amdgpu", "radeon", "nouveau", "nvidia", "nvidia-current")
_BUSYBOX_HOOKS = ("encrypt", "torpor")
"""Of those that matter to us; lvm2 goes with both."""
_BEFORE_US = ("udev", "block", "keyboard", "encrypt", "lvm2", "mdadm_udev")
_MKINITCPIO = "/etc/mkinitcpio.conf"


def resumer(facts: Facts) -> Iterator[Finding]:
    """See that all that the resumer needs is in the image."""
    needs = (facts.machine.text(NEEDS) or "").split()
    if not needs:
        yield problem(f"Torpor is not installed: there is no {NEEDS}", "install it anew")
        return
    image, path = facts.initramfs, facts.image_path
    if RESUMER not in image or BOOT not in image:
        yield problem(f"{path} does not hold the resumer", f"{_module(image)}, and {REBUILD}")
        return
    names = {name.rpartition("/")[2] for name in image.entries}
    missing = [
        need
        for need in needs
        if need not in image
        # Generators put a library where the loader's own search finds it.
        and (need.startswith(_OURS) or need.rpartition("/")[2] not in names)
    ]
    if missing:
        more = f" and {len(missing) - 1} more files" if len(missing) > 1 else ""
        yield problem(f"{path} lacks {missing[0]}{more}, which the resumer needs", REBUILD)
    else:
        yield ok(f"{path} holds the resumer and the {len(needs)} files that it needs")


def _module(image: Initramfs) -> str:
    """Say where the resumer's module has to be switched on."""
    if "/usr/lib/dracut" in image:
        return "run torpor enable: dracut then takes its module in"
    if "/hooks" in image or "/init_functions" in image:
        return "run torpor enable, which puts torpor into HOOKS of mkinitcpio"
    return "install Torpor's package again"


def version(facts: Facts) -> Iterator[Finding]:
    """Compare the resumer in the image with the installed one."""
    image = facts.initramfs
    paths = [path for path in (facts.machine.text(NEEDS) or "").split() if path.startswith(_OURS)]
    other = []
    for path in [*paths, BOOT]:
        kept = image.contents(path)
        data = None if kept is None else facts.machine.data(path)
        if data is not None and fingerprint(data) != kept:
            other.append(path)
    if other:
        yield problem(f"{facts.image_path} holds another version of {other[0]}", REBUILD)
    elif RESUMER in image:
        yield ok("the resumer in it is the installed one")


def kept_location(facts: Facts) -> Iterator[Finding]:
    """Compare the image's copy of the location with the machine's."""
    here, there = facts.machine.text(LOCATION), facts.initramfs.text(LOCATION)
    if here == there:
        if here is not None:
            yield ok(f"{LOCATION} in it is the current one")
    elif there is None:
        yield problem(f"{facts.image_path} does not hold {LOCATION}", REBUILD)
    elif here is None:
        yield warning(f"{facts.image_path} holds a {LOCATION} that is gone here", REBUILD)
    else:
        yield problem(f"{facts.image_path} holds an older {LOCATION}", REBUILD)


def order(facts: Facts) -> Iterator[Finding]:
    """See that the image runs us, in front of the stock resume."""
    image = facts.initramfs
    if RESUMER not in image:
        return
    for is_kind, faults in _KINDS:
        if is_kind(image):
            found = list(faults(facts))
            yield from found or [ok("the initramfs runs it before the stock resume")]
            return
    yield warning(
        f"{facts.image_path} was made by a generator that torpor doctor does not know",
        f"see that it runs {BOOT} before the root is mounted",
    )


def _initramfs_tools(facts: Facts) -> Iterator[Finding]:
    text = facts.initramfs.text("/scripts/local-premount/ORDER") or ""
    scripts = re.findall(r"^/scripts/local-premount/(\S+)", text, re.MULTILINE)
    ours = [at for at, name in enumerate(scripts) if "torpor" in name]
    if not ours:
        yield problem(
            f"{facts.image_path} holds the resumer but does not run it: it is not in "
            "scripts/local-premount/ORDER",
            f"install Torpor's package again, and {REBUILD}",
        )
    elif "resume" in scripts[: ours[0]]:
        yield _stock_first(facts, "install Torpor's package again")


def _systemd(facts: Facts) -> Iterator[Finding]:
    image = facts.initramfs
    for path in (f"{_UNITS}/torpor-resume.service", _GENERATOR):
        if path not in image:
            yield problem(
                f"{facts.image_path} holds the resumer but not {path}, which starts it",
                f"{_module(image)}, and {REBUILD}",
            )
    for unit in ("systemd-hibernate-resume.service", "systemd-hibernate-resume@.service"):
        drop_in = f"{_UNITS}/{unit}.d/torpor.conf"
        if f"{_UNITS}/{unit}" in image and drop_in not in image:
            yield problem(
                f"{facts.image_path} does not order {unit} behind Torpor: no {drop_in}", REBUILD
            )
    yield from _mkinitcpio_conf(facts)


def _dracut(facts: Facts) -> Iterator[Finding]:
    image = facts.initramfs
    hooks = [name for name in image.entries if "dracut/hooks/pre-mount/" in name]
    ours = [name for name in hooks if "torpor" in name]
    stock = [name for name in hooks if name.endswith("-resume.sh") and name not in ours]
    if not ours:
        yield problem(
            f"{facts.image_path} holds the resumer but does not run it: no hook in pre-mount",
            f"install Torpor's package again, and {REBUILD}",
        )
    elif stock and min(stock) < min(ours):
        yield _stock_first(facts, "install Torpor's package again")


def _stock_first(facts: Facts, remedy: str) -> Finding:
    # The kernel declines our signature, so that the image is not lost.
    return warning(
        f"{facts.image_path} runs the stock resume before Torpor's, which then waits in vain for "
        "a device that does not come",
        f"{remedy}, and {REBUILD}",
    )


def _mkinitcpio(facts: Facts) -> Iterator[Finding]:
    text = facts.initramfs.text("/config") or ""
    found = re.search(r"^HOOKS=[\"'(]*([^\"')\n]*)", text, re.MULTILINE)
    hooks = found[1].split() if found else []
    if "torpor" not in hooks:
        yield problem(
            f"{facts.image_path} holds the resumer but does not run it: no torpor among its hooks",
            f"put torpor into HOOKS of {_MKINITCPIO}, and {REBUILD}",
        )
        return
    at = hooks.index("torpor")
    late = [hook for hook in hooks[at:] if hook in _BEFORE_US]
    if late:
        yield problem(
            f"{facts.image_path} runs torpor before {late[0]}, which has to come first",
            f"change HOOKS in {_MKINITCPIO}, and {REBUILD}",
        )
    elif "resume" in hooks[:at]:
        yield _stock_first(facts, f"put torpor before resume in HOOKS of {_MKINITCPIO}")
    yield from _mkinitcpio_conf(facts)


def _mkinitcpio_conf(facts: Facts) -> Iterator[Finding]:
    text = facts.machine.text(_MKINITCPIO) or ""
    folder = f"{_MKINITCPIO}.d"
    parts = facts.machine.names(folder)
    added = "".join(facts.machine.text(f"{folder}/{name}") or "" for name in parts)
    found = re.search(r"^HOOKS=[\"'(]*([^\"')]*)", text, re.MULTILINE)
    hooks = found[1].split() if found else []
    mixed = [hook for hook in hooks if hook in _BUSYBOX_HOOKS] if "systemd" in hooks else []
    if mixed:
        yield problem(
            f"{_MKINITCPIO}: HOOKS has {mixed[0]} beside systemd, which never runs it",
            "with systemd put sd-torpor for torpor, and sd-encrypt for encrypt",
        )
    elif hooks and not {"torpor", "sd-torpor"} & set(hooks) and "torpor" not in added:
        yield problem(
            f"{_MKINITCPIO}: HOOKS has no torpor, so the next initramfs will not resume",
            "put torpor after encrypt and lvm2, or sd-torpor after systemd",
        )


def gpu(facts: Facts) -> Iterator[Finding]:
    """Warn of graphics drivers that run in both the kernel that loads and the one restored."""
    pattern = re.compile(r"lib/modules/.*/([\w-]+)\.ko(\.\w+)?$")
    names = {
        found[1] for name in facts.initramfs.entries if (found := pattern.search(name)) is not None
    }
    loaded = [name for name in _GPU if name in names and facts.machine.exists(_module_of(name))]
    if loaded:
        yield warning(
            f"{facts.image_path} holds the graphics driver {', '.join(loaded)}: some machines "
            "hang or stay dark after a resume",
            "if yours does: leave it out of the initramfs (early KMS), or boot with nomodeset once",
        )
    else:
        yield ok("no graphics driver runs in the initramfs")


def _module_of(name: str) -> str:
    return f"/sys/module/{name.partition('-')[0]}"


_KINDS: tuple[tuple[Callable[[Initramfs], bool], Callable[[Facts], Iterator[Finding]]], ...] = (
    (lambda image: "/usr/lib/systemd/systemd" in image, _systemd),
    (lambda image: "/usr/lib/dracut" in image, _dracut),
    (lambda image: "/scripts/local-premount" in image, _initramfs_tools),
    (lambda image: "/init_functions" in image, _mkinitcpio),
)
