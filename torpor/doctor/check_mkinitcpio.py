"""Checks of the hooks of mkinitcpio: those in the image, and those that its files lead to."""

from collections.abc import Iterator

from initramfs.archive.initramfs import Initramfs
from initramfs.generators import shell
from initramfs.generators.mkinitcpio import (
    DROP_IN,
    OPENERS,
    OURS,
    Hooks,
    corrected,
    hooks_of,
    preset_of,
)
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, problem, stock_first, warning


def made(image: Initramfs) -> bool:
    """Return whether mkinitcpio made the image."""
    return "/init_functions" in image or "/buildconfig" in image


def order(facts: Facts) -> Iterator[Finding]:
    """See that busybox's init runs us behind what opens devices, before the stock resume."""
    said: dict[str, shell.Value] = {}
    shell.assign(facts.initramfs.text("/config") or "", said)
    found = said.get("HOOKS")
    run = found.split() if isinstance(found, str) else []
    path = facts.image_path
    if "torpor" not in run:
        yield problem(
            f"{path} holds the resumer but does not run it: no torpor among its hooks",
            how_to_add(facts),
        )
        return
    at = run.index("torpor")
    late = [hook for hook in run[at:] if hook in OPENERS]
    if late:
        yield problem(
            f"{path} runs torpor before {late[0]}, which has to come first", _say_hooks(facts)
        )
    elif "resume" in run[:at]:
        yield stock_first(path, _say_hooks(facts))
    yield from configuration(facts)


def configuration(facts: Facts) -> Iterator[Finding]:
    """See that the next image will hold us, too."""
    next_hooks, _ = hooks(facts)
    source, names = next_hooks.source, next_hooks.names
    if names is None:
        yield warning(f"{source}: it cannot be told what HOOKS this leads to", how_to_add(facts))
        return
    found = list(mixed(facts))
    yield from found
    if names and not found and not set(OURS) & set(names):
        yield problem(
            f"{source}: HOOKS has no torpor, so the next initramfs will not resume",
            how_to_add(facts),
            "put torpor into HOOKS of mkinitcpio" if enable_adds_it(facts) else "",
        )


def mixed(facts: Facts) -> Iterator[Finding]:
    """See that no hook stands where it never runs: enable leaves these to the user."""
    source, names = hooks(facts)[0].source, hooks(facts)[0].names or ()
    never = ("encrypt", "torpor") if "systemd" in names else ("sd-encrypt", "sd-torpor")
    for hook in names:
        if hook in never:
            which = "beside systemd, which" if "systemd" in names else "without systemd: busybox"
            yield problem(
                f"{source}: HOOKS has {hook} {which} never runs it",
                "with systemd put sd-torpor for torpor, and sd-encrypt for encrypt; without it "
                f"the other way round; and {facts.again}",
            )
            return


def enable_adds_it(facts: Facts) -> bool:
    """Return whether enable will put our hook among those of the next image."""
    config, _ = _configuration(facts)
    names = hooks_of(facts.machine, config, with_ours=True).names
    return names is None or bool(set(OURS) & set(names))


def how_to_add(facts: Facts) -> str:
    """Say how our hook gets into the next image."""
    next_hooks, preset_file = hooks(facts)
    is_for_enable = not facts.is_enabled and enable_adds_it(facts)
    if next_hooks.source == DROP_IN or (is_for_enable and not preset_file):
        return "run torpor enable, which puts torpor into HOOKS of mkinitcpio"
    if next_hooks.names is None:
        return f"see that it puts torpor there (with systemd, sd-torpor), and {facts.again}"
    if set(OURS) & set(next_hooks.names):
        return facts.again
    return _say_hooks(facts)


def _say_hooks(facts: Facts) -> str:
    next_hooks, preset_file = hooks(facts)
    source = next_hooks.source + (f", which {preset_file} names" if preset_file else "")
    if next_hooks.names is None:
        return f"put torpor into HOOKS of {source} behind them, before resume, and {facts.again}"
    return f"say in {source}: HOOKS=({' '.join(corrected(next_hooks.names))}); and {facts.again}"


def hooks(facts: Facts) -> tuple[Hooks, str]:
    """Return the hooks of the next image, and the preset's file if that names a configuration."""
    config, preset_file = _configuration(facts)
    return hooks_of(facts.machine, config), preset_file


def _configuration(facts: Facts) -> tuple[str, str]:
    """Return the configuration that the image's preset names, and the preset's file; or "", ""."""
    preset = preset_of(facts.machine, facts.image_path)
    return (preset.config, preset.file) if preset is not None and preset.config else ("", "")
