"""Checks that the initramfs opens the encryption and the volume groups that a resume needs.

Those below the store, and those below each mounted file system, which the guard compares.
"""

import re
from collections.abc import Iterator
from uuid import UUID

from initramfs.generators.dracut import DRACUT
from initramfs.generators.initramfs_tools import INITRAMFS_TOOLS
from linux import stack
from linux.mounts import parse_mounts
from store import crypttab
from store.locate import node_of_number
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, ok, problem

_CRYPTSETUP = (
    "/sbin/cryptsetup",
    "/usr/sbin/cryptsetup",
    "/usr/bin/cryptsetup",
    "/usr/lib/systemd/systemd-cryptsetup",
    "/usr/bin/systemd-cryptsetup",
)
_SYSTEMD = "/usr/lib/systemd/systemd"
_LVM = ("/sbin/lvm", "/usr/sbin/lvm", "/usr/bin/lvm")
_CRYPTTABS = ("/cryptroot/crypttab", "/etc/crypttab")
_OPEN_ALL = (("rd.auto", ""), ("rd.auto", "1"))
"""Has dracut open whatever it finds."""
_UUID_DIGITS = 32
_STORE = "the store"


def layers(facts: Facts) -> Iterator[Finding]:
    """Walk from the store and from the mounted file systems down to the disks."""
    is_plain = True
    for device, what in _needed(facts).items():
        for layer in stack.layers(device, facts.machine):
            dm_name = layer.dm_name
            kind, _, rest = layer.dm_uuid.partition("-")
            if kind == "CRYPT":
                is_plain = False
                yield from _crypt(facts, dm_name, rest, what)
            elif kind == "LVM":
                is_plain = False
                yield from _lvm(facts, dm_name, what)
    if is_plain:
        yield ok("the store and all file systems lie on disks or partitions, nothing is to open")


def _needed(facts: Facts) -> dict[str, str]:
    """Return the paths of the devices, and what lies on each: the store, or a mount point."""
    found = {facts.store.place.device: _STORE}
    for mount in parse_mounts(facts.machine.text("/proc/self/mountinfo") or ""):
        on_btrfs = mount.source if mount.fs_type == "btrfs" else ""
        if on_btrfs:
            device = on_btrfs if facts.machine.device_number(on_btrfs) else None
        else:
            device = node_of_number(mount.device, facts.machine)
        if device:
            found.setdefault(device, mount.mount_point)
    return found


def _crypt(facts: Facts, name: str, uuid_words: str, what: str) -> Iterator[Finding]:
    """`uuid_words` is the rest of dm/uuid: LUKS2-0123…cdef-name; `what` lies on it."""
    uuid = uuid_words.split("-")[1][:_UUID_DIGITS] if uuid_words.startswith("LUKS") else ""
    if not any(path in facts.initramfs for path in _CRYPTSETUP):
        yield _shut(
            facts,
            what,
            (name, uuid),
            f"{facts.image_path} has no cryptsetup to open {name}, on which {what} lies",
            "install cryptsetup-initramfs, or dracut's crypt module; torpor enable, and "
            f"{facts.again}",
        )
        return
    if key := _lost_key(facts, name):
        yield problem(
            f"{facts.image_path} does not hold the key file {key}, which opens {name}",
            "name it in KEYFILE_PATTERN= of /etc/cryptsetup-initramfs/conf-hook, or in "
            f"install_items+= of /etc/dracut.conf.d, and {facts.again}",
        )
    elif _is_left_out(facts, uuid):
        yield problem(
            f"rd.luks.uuid= on the kernel command line leaves out {name}, on which {what} lies",
            f"add rd.luks.uuid={uuid} to the boot loader's configuration",
        )
    elif _is_asked_for(facts, name, uuid):
        yield ok(f"the initramfs opens {name}, on which {what} lies")
    else:
        yield _shut(
            facts,
            what,
            (name, uuid),
            f"nothing tells {facts.image_path} to open {name}, on which {what} lies",
            f"run torpor enable, or give {name} the option initramfs (Debian) or x-initrd.attach "
            f"in /etc/crypttab, and {facts.again}",
        )


def _shut(facts: Facts, what: str, luks: tuple[str, str], message: str, remedy: str) -> Finding:
    """Return a problem with what the user has to do, or else with what enable will do."""
    name, digits = luks
    is_told = what == _STORE and facts.generator in (INITRAMFS_TOOLS, DRACUT)
    if facts.generator is None or not is_told or not re.fullmatch("[0-9a-f]{32}", digits):
        return problem(message, remedy)
    command_line = facts.machine.line("/proc/cmdline")
    told = list(facts.generator.remarks(facts.machine, ((name, str(UUID(digits))),), command_line))
    if told:
        return problem(message, told[0])
    return problem(message, remedy, f"have the initramfs open {name}, on which the store lies")


def _lost_key(facts: Facts, name: str) -> str:
    """Return the key file that the image's crypttab names and the image does not hold, or ""."""
    for path in _CRYPTTABS:
        line = crypttab.parse(facts.initramfs.text(path) or "").get(name)
        if line and line.key.startswith("/") and "keyscript=" not in line.options:
            held = line.key.startswith("/dev/") or line.key in facts.initramfs
            return "" if held else line.key
    return ""


def _is_left_out(facts: Facts, uuid: str) -> bool:
    """Return whether systemd in the image is told of other devices, and so opens no more.

    src/cryptsetup/cryptsetup-generator.c: it reads the real command line only.
    """
    words = facts.machine.line("/proc/cmdline").split()
    told = [word for word in words if word.startswith(("rd.luks.uuid=", "luks.uuid="))]
    plain = [word.partition("=")[2].replace("-", "").removeprefix("luks") for word in told]
    return bool(told and uuid) and _SYSTEMD in facts.initramfs and uuid not in plain


def _is_asked_for(facts: Facts, name: str, uuid: str) -> bool:
    """Return whether a crypttab in the image or the kernel command line names the device."""
    if any(name in crypttab.parse(facts.initramfs.text(path) or "") for path in _CRYPTTABS):
        return True
    for option, value in _options(facts):
        plain = value.replace("-", "").replace("luks", "").lower()
        if option in ("rd.luks.uuid", "rd.luks.name", "rd_LUKS_UUID", "luks.uuid", "luks.name"):
            # dracut takes the beginning of a UUID, too
            stem = plain.partition("=")[0]
            if uuid and stem and (uuid.startswith(stem) or stem.startswith(uuid)):
                return True
        elif (option, value) in _OPEN_ALL or (option == "cryptdevice" and f":{name}" in value):
            return True
    return False


def _options(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the options of the kernel command line and of those that dracut put into the image."""
    image = facts.initramfs
    texts = [image.text(path) or "" for path in image.below("/etc/cmdline.d")]
    for word in " ".join([facts.machine.line("/proc/cmdline"), *texts]).split():
        option, _, value = word.partition("=")
        yield option, value.strip("\"'")


def _lvm(facts: Facts, name: str, what: str) -> Iterator[Finding]:
    if not any(path in facts.initramfs for path in _LVM):
        yield problem(
            f"{facts.image_path} has no lvm to activate {name}, on which {what} lies",
            f"install lvm2, and dracut's lvm module or mkinitcpio's lvm2 hook, and {facts.again}",
            _activating(facts, name, what),
        )
        return
    chosen = [
        value.replace("-", "--").replace("/", "-") + ("-" if option == "rd.lvm.vg" else "")
        for option, value in _options(facts)
        if option in ("rd.lvm.lv", "rd.lvm.vg")
    ]
    # Where dracut is told of some volumes, it activates no others.
    if chosen and not any(name == volume or _is_in(name, volume) for volume in chosen):
        yield problem(
            f"rd.lvm.lv= or rd.lvm.vg= on the kernel command line leaves out {name}, on which "
            f"{what} lies",
            "add rd.lvm.lv=GROUP/VOLUME for it to the boot loader's configuration",
            _activating(facts, name, what),
        )
    else:
        yield ok(f"the initramfs activates {name}, on which {what} lies")


def _activating(facts: Facts, name: str, what: str) -> str:
    """Return what enable will do: it tells dracut of the store's volumes."""
    is_told = what == _STORE and facts.generator is DRACUT
    if not is_told or not any(facts.machine.exists(path) for path in _LVM):
        return ""
    return f"have the initramfs activate {name}, on which the store lies"


def _is_in(name: str, group: str) -> bool:
    """Return whether a volume's name in device-mapper is of a group, given as `vg-`."""
    return group.endswith("-") and re.match(re.escape(group) + "(?!-)", name) is not None
