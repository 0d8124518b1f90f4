"""Checks that the running kernel can take a snapshot, and will be the one that boots next."""

from collections.abc import Iterator

from initramfs.generators import kernels
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, ok, problem, warning

LOCKDOWN = "/sys/kernel/security/lockdown"
_CONFIG = ("CONFIG_HIBERNATION", "CONFIG_HIBERNATION_SNAPSHOT_DEV")


def kernel_support(facts: Facts) -> Iterator[Finding]:
    """Look at /sys/power/state, /dev/snapshot and what can take them away."""
    root = facts.root
    if "nohibernate" in facts.parameters or facts.parameters.get("hibernate") == "no":
        yield problem(
            "the kernel command line forbids hibernation",
            "take nohibernate or hibernate=no off it and boot again",
        )
        return
    release = root.release
    config = root.text(f"/boot/config-{release}") or root.text(f"/lib/modules/{release}/config")
    absent = [name for name in _CONFIG if config and f"{name}=y" not in config.splitlines()]
    if absent:
        yield problem(
            f"the kernel is built without {' and '.join(absent)}",
            "boot a kernel with it: the distribution's own has it, as a rule",
        )
    elif not root.exists("/dev/snapshot"):
        yield problem(
            "there is no /dev/snapshot",
            "boot a kernel with CONFIG_HIBERNATION_SNAPSHOT_DEV",
        )
    elif "disk" not in root.line("/sys/power/state").split() and not _locked_down(facts):
        yield problem(
            "the kernel offers no hibernation now: there is no disk in /sys/power/state",
            "end programs with secret memory (memfd_secret), or boot a kernel with "
            "CONFIG_HIBERNATION",
        )
    else:
        yield ok("the kernel supports hibernation from user space")


def _locked_down(facts: Facts) -> bool:
    lockdown = facts.root.line(LOCKDOWN)
    return bool(lockdown) and "[none]" not in lockdown


def lockdown(facts: Facts) -> Iterator[Finding]:
    """Lockdown closes /dev/snapshot; Secure Boot is what switches it on."""
    if not _locked_down(facts):
        yield ok("the kernel is not locked down")
        return
    yield problem(
        f"the kernel is locked down, as it is under Secure Boot: {facts.root.line(LOCKDOWN)}",
        "switch Secure Boot off in the firmware's setup, or lockdown= on the kernel command line",
    )


def next_kernel(facts: Facts) -> Iterator[Finding]:
    """See that the next boot starts the very same kernel: no other can restore the image."""
    root, release = facts.root, facts.root.release
    folder = f"/lib/modules/{release}"
    if not root.exists(folder):
        yield problem(
            f"the running kernel {release} is not installed any more: the next boot starts another",
            "boot once, then hibernate",
        )
        return
    kernel = kernels.kernel_of(root, release)
    build = kernels.build_of(root, kernel) if kernel else ""
    newest = max([release, *kernels.installed(root)], key=kernels.order_of_release)
    if newest != release:
        yield warning(
            f"kernel {newest} is newer than the running {release}: if the boot loader starts it, "
            "the image is lost",
            "boot it once, then hibernate",
        )
    elif build not in ("", root.line("/proc/sys/kernel/version")):
        yield warning(
            f"{kernel} is another build of the running {release}: if the boot loader starts it, "
            "the image is not restored",
            "boot it once, then hibernate",
        )
    else:
        yield ok(f"the running kernel {release} is the newest installed")


def power_off(facts: Facts) -> Iterator[Finding]:
    """Compare the configured mode with what the firmware offers."""
    modes = facts.root.line("/sys/power/disk").replace("[", "").replace("]", "").split()
    if facts.conf.mode == "platform" and "platform" not in modes:
        yield problem(
            "/etc/torpor.conf asks for mode = platform, which the firmware does not offer",
            "take that line out, or say mode = shutdown",
        )
    elif facts.conf.mode == "reboot":
        yield warning(
            "/etc/torpor.conf asks for mode = reboot: the machine will not stay off",
            "take that line out",
        )
    elif "platform" in modes and facts.conf.mode != "shutdown":
        yield ok("the machine is switched off by its firmware (S4)")
    else:
        yield ok("the machine is switched off as by a shutdown")
