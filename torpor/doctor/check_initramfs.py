"""Checks that the initramfs holds the resumer, of this version, and runs it at the right time."""

import re
from collections.abc import Callable, Iterator

from initramfs.archive.initramfs import Initramfs
from initramfs.archive.program import fingerprint
from initramfs.generators import dracut
from initramfs.generators.rebuild import generator_of
from state.location import PATH as LOCATION
from torpor.doctor import check_mkinitcpio
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, ok, problem, stock_first, warning

NEEDS = "/usr/lib/torpor/resume.needs"
RESUMER = "/usr/lib/torpor/resume/torpor-resume"
BOOT = "/usr/lib/torpor/torpor-boot"
_OURS = "/usr/lib/torpor/"
_UNITS = "/usr/lib/systemd/system"
_GENERATOR = "/usr/lib/systemd/system-generators/torpor-resume-generator"
_GPU = ("i915", "xe", "amdgpu", "radeon", "nouveau", "nvidia", "nvidia-current")


def generator(facts: Facts) -> Iterator[Finding]:
    """See that there is one for `torpor enable` to run; after that what it made counts."""
    if not facts.is_enabled:
        yield ok(f"the initramfs is made by {generator_of(facts.machine).name}")


def resumer(facts: Facts) -> Iterator[Finding]:
    """See that all that the resumer needs is in the image."""
    needs = (facts.machine.text(NEEDS) or "").split()
    if not needs:
        yield problem(f"Torpor is not installed: there is no {NEEDS}", "install it anew")
        return
    image, path = facts.initramfs, facts.image_path
    if RESUMER not in image or BOOT not in image:
        enabling = f"put the resumer into {path}" if _enable_adds_it(facts) else ""
        yield problem(f"{path} does not hold the resumer", _how_to_add(facts), enabling)
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
        yield problem(
            f"{path} lacks {missing[0]}{more}, which the resumer needs", facts.again, facts.anew
        )
    else:
        yield ok(f"{path} holds the resumer and the {len(needs)} files that it needs")


def _how_to_add(facts: Facts) -> str:
    """Say how the resumer gets into the image."""
    image, machine = facts.initramfs, facts.machine
    if facts.generator is not None and not machine.exists(facts.generator.part):
        return _reinstall(facts)
    if "/usr/lib/dracut" in image:
        if path := dracut.leaves_out(machine):
            return f"take torpor out of omit_dracutmodules in {path}, and {facts.again}"
        return facts.again if facts.is_enabled else "run torpor enable"
    if check_mkinitcpio.made(image):
        return check_mkinitcpio.how_to_add(facts)
    return facts.again


def _enable_adds_it(facts: Facts) -> bool:
    """Return whether enable will put the resumer into the image, as far as files tell."""
    generator, machine = facts.generator, facts.machine
    if generator is None or not machine.exists(generator.part) or dracut.leaves_out(machine):
        return False
    return not check_mkinitcpio.made(facts.initramfs) or check_mkinitcpio.enable_adds_it(facts)


def _reinstall(facts: Facts) -> str:
    return f"install Torpor's package again, and {facts.again}"


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
        yield problem(
            f"{facts.image_path} holds another version of {other[0]}", facts.again, facts.anew
        )
    elif RESUMER in image:
        yield ok("the resumer in it is the installed one")


def kept_location(facts: Facts) -> Iterator[Finding]:
    """Compare the image's copy of the location with the machine's."""
    here, there = facts.machine.text(LOCATION), facts.initramfs.text(LOCATION)
    if here == there:
        if here is not None:
            yield ok(f"{LOCATION} in it is the current one")
    elif there is None:
        yield problem(f"{facts.image_path} does not hold {LOCATION}", facts.again)
    elif here is None:
        yield warning(
            f"{facts.image_path} holds a {LOCATION} that is gone here", facts.again, facts.anew
        )
    else:
        yield problem(f"{facts.image_path} holds an older {LOCATION}", facts.again)


def order(facts: Facts) -> Iterator[Finding]:
    """See that the image runs us, in front of the stock resume."""
    image = facts.initramfs
    if RESUMER not in image:
        if check_mkinitcpio.made(image):
            yield from check_mkinitcpio.mixed(facts)
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
            _reinstall(facts),
        )
    elif "resume" in scripts[: ours[0]]:
        yield stock_first(facts.image_path, _reinstall(facts))


def _systemd(facts: Facts) -> Iterator[Finding]:
    image = facts.initramfs
    for path in (f"{_UNITS}/torpor-resume.service", _GENERATOR):
        if path not in image:
            yield problem(
                f"{facts.image_path} holds the resumer but not {path}, which starts it",
                _how_to_add(facts),
            )
    for unit in ("systemd-hibernate-resume.service", "systemd-hibernate-resume@.service"):
        drop_in = f"{_UNITS}/{unit}.d/torpor.conf"
        if f"{_UNITS}/{unit}" in image and drop_in not in image:
            yield problem(
                f"{facts.image_path} does not order {unit} behind Torpor: no {drop_in}", facts.again
            )
    if check_mkinitcpio.made(image):
        yield from check_mkinitcpio.configuration(facts)


def _dracut(facts: Facts) -> Iterator[Finding]:
    image = facts.initramfs
    hooks = [name for name in image.entries if "dracut/hooks/pre-mount/" in name]
    ours = [name for name in hooks if "torpor" in name]
    stock = [name for name in hooks if name.endswith("-resume.sh") and name not in ours]
    if not ours:
        yield problem(
            f"{facts.image_path} holds the resumer but does not run it: no hook in pre-mount",
            _reinstall(facts),
        )
    elif stock and min(stock) < min(ours):
        yield stock_first(facts.image_path, _reinstall(facts))


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
    (check_mkinitcpio.made, check_mkinitcpio.order),
)
