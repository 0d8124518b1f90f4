"""What a boot opens: each row as the generator's own source has it, and each remedy followed."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.tools import put
from tests.unit.following import (
    ARCH,
    BUSYBOX,
    CONF,
    CRYPTSETUP,
    DASHED,
    DEBIAN,
    HOOK,
    SHELL,
    SYSTEMD,
    TABLES,
    Machine,
)
from tests.unit.test_doctor_kinds import (
    LUKS,
    dracut,
    hold,
    mkinitcpio,
    mkinitcpio_with_systemd,
    systemd,
)
from torpor.doctor.check_devices import layers
from torpor.doctor.facts import Facts
from torpor.doctor.finding import Finding, Level

MAKE = {
    DEBIAN: lambda machine: machine.write(HOOK, ""),
    SHELL: dracut,
    SYSTEMD: systemd,
    BUSYBOX: mkinitcpio,
    ARCH: mkinitcpio_with_systemd,
}
LINE = f"swap_crypt UUID={DASHED} none luks"
BY_PATH = f"swap_crypt /dev/disk/by-uuid/{DASHED} none luks"
OTHER = "11111111-2222-3333-4444-555555555555"
NOTHING, LEFT_OUT, OPENED = "nothing tells", "leaves out swap_crypt", ""
IS_UUID = f"rd.luks.uuid={DASHED}"


@dataclass(frozen=True)
class Row:
    """A boot of a machine whose swap is on LUKS."""

    words: str = ""
    """On the kernel command line."""
    shut: str = OPENED
    """A part of why it is not opened."""
    table: str = LINE
    """What crypttab says, and the initramfs's if `held` is None."""
    held: str | None = None
    in_it: dict[str, str] = field(default_factory=dict)
    """More that is in the initramfs."""
    files: dict[str, str] = field(default_factory=dict)
    """More that is on the machine."""


def key(field_: str, shut: str = OPENED, options: str = "luks", **more: object) -> Row:
    return Row("", shut, f"swap_crypt UUID={DASHED} {field_} {options}", **more)  # type: ignore[arg-type]


LOST = "does not hold the key file /etc/key, which opens swap_crypt"
OPENSWAP = {
    "openswap.conf": f"swap_device=/dev/disk/by-uuid/{DASHED}\ncrypt_swap_name=swap_crypt\n"
}
WITH_OPENSWAP = {"config": 'HOOKS="udev encrypt openswap torpor"\n', **OPENSWAP}
OF_ANOTHER = {"openswap.conf": OPENSWAP["openswap.conf"].replace(DASHED, OTHER)}

# systemd: src/cryptsetup/cryptsetup-generator.c of 252 and 257, the same there.
OF_SYSTEMD = (
    Row(),
    Row(shut=NOTHING, held=""),
    Row(shut=NOTHING, table=""),
    Row(shut=NOTHING, table=f"swap_crypt UUID={OTHER} none luks"),
    Row(f"rd.luks.uuid={DASHED}", held=""),
    Row(f"luks.uuid=luks-{DASHED}", held=""),
    Row(f"rd.luks.name={DASHED}=other", held=""),
    Row(f"luks.name={DASHED}=other"),
    Row(f"rd.luks.name={OTHER}=root rd.luks.uuid={DASHED}"),
    # A name is an allow list as a UUID is.
    Row(f"rd.luks.name={OTHER}=cryptroot", "rd.luks.name= on the kernel command line leaves out"),
    Row(f"luks.uuid={OTHER}", "luks.uuid= on the kernel command line leaves out"),
    Row(f"rd.luks.uuid={OTHER}", LEFT_OUT, held=""),
    Row(f"rd.luks.uuid={OTHER}", LEFT_OUT, "swap_crypt /dev/sda2 none luks"),
    Row("rd.luks.name=root=cryptroot"),
    Row("rd.luks.uuid"),
    # Nothing but the whole of a UUID, with hyphens, is its device's name.
    Row(f"rd.luks.uuid={DASHED[:13]}", LEFT_OUT),
    Row(f"rd.luks.uuid={DASHED.replace('-', '')}", LEFT_OUT, held=""),
    # Lines count by their UUID or the name luks-UUID; others are opened by the command line alone.
    Row(IS_UUID, table="swap_crypt /dev/sda2 none luks"),
    Row(IS_UUID, table=f"luks-{DASHED} /dev/sda2 none luks"),
    Row(IS_UUID, "the option noauto", f"luks-{DASHED} /dev/sda2 none noauto"),
    Row(f"rd.luks.name={OTHER}=root rd.luks.options={DASHED}=discard"),
    Row(f"rd.luks.name={OTHER}=root rd.luks.data={DASHED}=/dev/sda2"),
    Row(f"rd.luks.data={DASHED}=/dev/sda2", NOTHING, held=""),
    # Booleans, of which the last counts.
    Row("rd.luks=0", "rd.luks=0 on the kernel command line keeps"),
    Row("luks=no", "luks=no on the kernel command line keeps"),
    Row(f"luks=off {IS_UUID}", "luks=off on the kernel command line keeps"),
    Row("rd.luks=0 luks=yes"),
    Row("rd.luks=maybe rd.luks"),
    Row("rd.luks.crypttab=no", "rd.luks.crypttab=no on the kernel command line keeps"),
    Row("luks.crypttab=F", "luks.crypttab=F on the kernel command line keeps"),
    Row(f"luks.crypttab=no {IS_UUID}"),
    Row("rd.luks.crypttab=no", NOTHING, table=""),
    Row("rd.luks.crypttab=no", NOTHING, held=""),
    Row("rd.luks.crypttab=0 luks.crypttab"),
    # noauto, but for what the boot waits for by the name of what is opened.
    Row(shut="the option noauto", table=f"{LINE},noauto"),
    Row(shut="the option noauto", table=f"{LINE},auto,noauto,nofail"),
    Row(table=f"{LINE},noauto,auto"),
    Row("root=/dev/mapper/swap_crypt", table=f"{LINE},noauto"),
    Row("resume=/dev/mapper/swap_crypt", table=f"{LINE},noauto"),
    Row("root=/dev/mapper/swap_crypt2", "the option noauto", f"{LINE},noauto"),
    Row("rd.luks.options=noauto"),
    Row("rd.luks.options=discard", NOTHING, held=""),
    Row(f"rd.luks.options={DASHED}=discard", NOTHING, held=""),
    Row(f"rd.luks.options=noauto {IS_UUID}", "the option noauto", held=""),
    Row(f"rd.luks.options={DASHED}=noauto", "the option noauto"),
    Row(f"rd.luks.options={DASHED}=discard", table=f"{LINE},noauto"),
    Row(f"rd.luks.options={OTHER}=noauto"),
    # Keys (split_locationspec), and a header that lies elsewhere.
    key("/etc/key", LOST),
    key("/etc/key", in_it={"etc/key": ""}),
    key("/etc/key", LOST, "luks,keyfile-offset=512,keyfile-size=64,nofail,x-initrd.attach"),
    key("/rootfs.key:/dev/mapper/keydisk"),
    key("/keyfile:LABEL=keydev"),
    key("/keyfile:PARTUUID=1-2"),
    key("/dev/disk/by-id/usb-x-0:0"),
    key("/etc/a:b", "does not hold the key file /etc/a:b, which opens"),
    key("-"),
    key("/run/keys/swap.key"),
    key("-", options="luks,tpm2-device=auto"),
    # cryptsetup.c: what is sealed or salt is in the file; keyscript= is ignored.
    key("/etc/key", LOST, "luks,tpm2-device=auto"),
    key("/etc/key", LOST, "fido2-device=auto,fido2-cid=x"),
    key("/etc/key", LOST, r"pkcs11-uri=pkcs11:token=a\,b;x=y"),
    key("/etc/key", LOST, "luks,keyscript=/lib/x"),
    key("none", "does not hold the header /etc/header, which", "luks,header=/etc/header"),
    key("none", options="luks,header=/header:UUID=1"),
    key("none", options="luks,header=/dev/sdb1"),
    Row(f"{IS_UUID} rd.luks.key=/etc/key", LOST, held=""),
    Row(f"{IS_UUID} rd.luks.key={DASHED}=/etc/key:LABEL=x", held=""),
    Row(f"{IS_UUID} rd.luks.key=/etc/key"),
    Row(shut=NOTHING, table=f"# {LINE}"),
    Row(table=f"\t{LINE}\t"),
    Row("rd.luks.uuid=luks-", LEFT_OUT),
)
# dracut's shell: 90crypt/parse-crypt.sh and cryptroot-ask.sh of 059 and 112; getarg in 99base.
OF_SHELL = (
    Row(shut=NOTHING),
    Row(shut=NOTHING, table=""),
    Row(IS_UUID, held=""),
    Row(f"rd.luks.uuid=luks-{DASHED}"),
    Row(f"rd.luks.uuid={DASHED[:13]}"),
    Row(f"rd.luks.uuid=keysource:{DASHED[9:]}"),
    Row(f"rd.luks.uuid={DASHED.replace('-', '')}", LEFT_OUT),
    Row(f"rd.luks.uuid={OTHER}", "rd.luks.uuid= on the kernel command line leaves out"),
    Row(f"rd.luks.uuid={OTHER} {IS_UUID}"),
    Row(in_it={"etc/cmdline.d/90crypt.conf": f" {IS_UUID} "}),
    Row(in_it={"etc/cmdline": IS_UUID}),
    Row(shut=NOTHING, in_it={"etc/cmdline.d/90crypt": IS_UUID}),
    Row(f"luks.uuid={DASHED}", NOTHING),
    Row(f"rd.luks.name={DASHED}=swap_crypt", NOTHING),
    Row(f"rd.luks.name={OTHER}=x {IS_UUID}"),
    Row(f"rd_LUKS_UUID={DASHED}"),
    Row(f"rd_LUKS_UUID={DASHED}", in_it={"hooks/cmdline/30-parse-crypt.sh": "-d rd_LUKS_UUID"}),
    Row(f"rd_LUKS_UUID={DASHED}", NOTHING, in_it={"hooks/30-parse-crypt.sh": "rd.luks.uuid"}),
    Row("rd.auto"),
    Row("rd.auto=1", table=""),
    Row("rd.auto rd.auto=0", NOTHING),
    Row(f"rd.auto rd.luks.uuid={OTHER}", LEFT_OUT),
    Row(f"rd.luks=0 {IS_UUID}", "rd.luks=0 on the kernel command line keeps"),
    Row(f"rd.luks=off rd.luks {IS_UUID}"),
    Row(f"rd.luks=f luks=0 {IS_UUID}"),
    Row(f"rd_NO_LUKS {IS_UUID}", "rd_NO_LUKS on the kernel command line keeps"),
    Row(f"rd.luks.partuuid=12 {IS_UUID}", "rd.luks.partuuid= on the kernel command line"),
    Row(f"rd.luks.serial=12 rd.luks.uuid={OTHER}"),
    # crypttab is looked at by what the device is called, or by its path.
    Row(IS_UUID, "the option noauto", f"{LINE},noauto"),
    Row(IS_UUID, "the option swap", f"{BY_PATH},swap"),
    Row(f"rd.luks.uuid={DASHED[:13]}", table=f"{LINE},noauto"),
    Row(f"rd.luks.uuid={DASHED[:13]}", "the option noauto", f"{BY_PATH},noauto"),
    Row(f"{IS_UUID} rd.luks.name={DASHED}=x", table=f"{LINE},noauto"),
    Row(f"{IS_UUID} rd.luks.crypttab=0", table=f"{LINE},noauto"),
    Row(IS_UUID, LOST, BY_PATH.replace("none", "/etc/key")),
    Row(IS_UUID, table=BY_PATH.replace("none", "/etc/key"), in_it={"etc/key": ""}),
    Row(IS_UUID, table=BY_PATH.replace("none", "/etc/key:LABEL=x")),
    Row(IS_UUID, table=BY_PATH.replace("none", "-")),
)
SCRIPTS = "lib/cryptsetup/scripts"
NO_SCRIPT = f"does not hold the keyscript /{SCRIPTS}/decrypt_derived, which opens swap_crypt"
# cryptsetup-initramfs of 2.6 and 2.8: scripts/local-top/cryptroot, hooks/cryptroot, functions.
OF_DEBIAN = (
    Row(),
    Row(shut=NOTHING, held=""),
    Row(shut=NOTHING, table=""),
    Row(shut=NOTHING, table="swap_crypt /dev/sda2"),
    Row(shut=NOTHING, table=f"swap_crypt UUID={OTHER} none luks"),
    Row(table=f"{LINE},noauto"),
    Row(table=f"other UUID={DASHED} none luks"),
    Row(f"rd.luks=0 luks.crypttab=no rd.luks.uuid={OTHER} rd.luks.name={OTHER}=x"),
    Row(IS_UUID, NOTHING, held=""),
    Row(f"cryptopts=target=swap_crypt,source=UUID={DASHED},luks", held=""),
    Row(f"cryptopts=source=UUID={DASHED}", held=""),
    Row("cryptopts=target=other,source=/dev/sdb", "cryptopts= on the kernel command line leaves"),
    Row("cryptopts=", "cryptopts= on the kernel command line leaves out"),
    key("/etc/key", LOST, held=f"swap_crypt UUID={DASHED} /FIXME-initramfs-rootmnt/etc/key luks"),
    key("/cryptroot/keyfiles/swap_crypt.key", in_it={"cryptroot/keyfiles/swap_crypt.key": ""}),
    key("/etc/key", options="luks,keyscript=/lib/x", in_it={"lib/x": ""}),
    key("-", options="luks,keyscript=/lib/x", in_it={"lib/x": ""}),
    key("-", "does not hold the keyscript /lib/x, which opens", "luks,keyscript=/lib/x"),
    key(
        "-", NO_SCRIPT, "luks,keyscript=decrypt_derived", files={f"/{SCRIPTS}/decrypt_derived": ""}
    ),
    key("/dev/sdb1:/key", options="luks,keyscript=passdev", in_it={f"{SCRIPTS}/passdev": ""}),
    key("/dev/disk/by-label/keys:/key", "takes /dev/disk/by-label/keys:/key for the path"),
    Row(f"cryptopts=source=UUID={DASHED},target=swap_crypt,key=/etc/key", LOST),
    Row(f"cryptopts=source=UUID={DASHED},key=/etc/key", in_it={"etc/key": ""}),
    Row(f"cryptopts=source=UUID={DASHED},key=/etc/key,keyscript=/lib/x", in_it={"lib/x": ""}),
    key("/dev/disk/by-id/usb-x-0:0"),
    key("-", "takes - for the path of a file"),
    key("/rootfs.key:/dev/mapper/keydisk", "takes /rootfs.key:/dev/mapper/keydisk for the path"),
    key("/keyfile:LABEL=keydev", "takes /keyfile:LABEL=keydev for the path of a file"),
)
OF_A_PRESET = {
    "/etc/mkinitcpio.d/linux.preset": "PRESETS=(default)\ndefault_config=/etc/mine.conf\n",
    "/etc/mine.conf": "HOOKS=(base udev encrypt torpor)\n",
}
# mkinitcpio 41: hooks/encrypt, init_functions; mkinitcpio-openswap of Manjaro.
OF_BUSYBOX = (
    Row(shut=NOTHING),
    Row(f"cryptdevice=UUID={DASHED}:swap_crypt"),
    Row(f"cryptdevice=UUID={DASHED}:other:allow-discards"),
    Row("cryptdevice=/dev/sda2:other"),
    Row(f"cryptdevice=UUID={DASHED}:swap_crypt # more"),
    Row(f"#x=y cryptdevice=UUID={DASHED}:swap_crypt"),
    Row(f"#x cryptdevice=UUID={DASHED}:swap_crypt", "#x on the kernel command line keeps"),
    Row(f"# root=UUID={DASHED}", NOTHING),
    Row("cryptdevice=", NOTHING),
    Row("cryptdevice=PARTUUID=12:swap_crypt"),
    Row(f"cryptdevice=UUID={OTHER}:swap_crypt", LEFT_OUT),
    Row(f"cryptdevice=UUID={DASHED}:swap_crypt cryptdevice=UUID={OTHER}:root", LEFT_OUT),
    Row(f"cryptdevice=UUID={OTHER}:root cryptdevice=UUID={DASHED}:swap_crypt"),
    Row("cryptdevice=PARTUUID=12:swap", LEFT_OUT),
    Row("cryptdevice=PARTUUID=12:swap_crypt2", LEFT_OUT),
    Row("cryptdevice=/dev/sda1:swap_crypt", LEFT_OUT),
    Row(f"{IS_UUID} rd.luks.name={DASHED}=swap_crypt", NOTHING),
    Row(f"root=UUID={DASHED}"),
    Row(f"cryptdevice=UUID={DASHED}:x rd.luks=0 luks.crypttab=no rd.luks.uuid={OTHER}"),
    Row(f"cryptdevice=UUID={DASHED}:x cryptkey=rootfs:/etc/key", LOST),
    Row(f"cryptdevice=UUID={DASHED}:x cryptkey=rootfs:/etc/key", in_it={"etc/key": ""}),
    Row(f"cryptdevice=UUID={DASHED}:x cryptkey=rootfs:/etc/key", LOST, files=OF_A_PRESET),
    Row(f"cryptdevice=UUID={DASHED}:x cryptkey=UUID=12:ext4:/etc/key"),
    Row(f"cryptdevice=UUID={OTHER}:root", in_it=WITH_OPENSWAP),
    Row(f"cryptdevice=UUID={OTHER}:root", LEFT_OUT, in_it=WITH_OPENSWAP | OF_ANOTHER),
    Row(f"cryptdevice=UUID={OTHER}:root", LEFT_OUT, in_it=OPENSWAP),
    Row(
        f"cryptdevice=UUID={DASHED}:swap_crypt",
        NOTHING,
        in_it={"config": 'HOOKS="udev torpor"\n'},
        files={CONF: "HOOKS=(base udev block torpor filesystems)"},
    ),
)
OF_DRACUT_WITH_SYSTEMD = (
    Row("rd.auto", table=""),
    Row("rd.auto=0", NOTHING, table=""),
    Row("rd.auto", table="", in_it={"etc/cmdline.d/a.conf": "rd.auto"}),
    Row("rd.auto luks.crypttab=no", "luks.crypttab=no on the kernel command line", held=""),
    Row(f"rd.auto rd.luks.name={OTHER}=x", LEFT_OUT, held=""),
    Row("rd.auto", "the option noauto", f"{LINE},noauto"),
    Row(shut=NOTHING, held="", in_it={"etc/cmdline.d/90crypt.conf": IS_UUID}),
)
ROWS = {
    SYSTEMD: (*OF_SYSTEMD, *OF_DRACUT_WITH_SYSTEMD),
    ARCH: (*OF_SYSTEMD, Row("rd.auto", NOTHING, held="")),
    SHELL: OF_SHELL,
    DEBIAN: OF_DEBIAN,
    BUSYBOX: OF_BUSYBOX,
}


def made_by(kind: str, folder: Path) -> Machine:
    """Return a machine whose initramfs this generator has made, and that can open LUKS."""
    machine = Machine(folder)
    MAKE[kind](machine)
    machine.kind = kind
    hold(machine, CRYPTSETUP[kind])
    return machine


HOSTONLY = {"/etc/dracut.conf.d/mine.conf": 'hostonly="yes"\n'}
BY_DEFAULT = {"/usr/bin/dracut": '[[ ${hostonly-} == "no" ]] && unset hostonly\n'}
OF_112 = {"/usr/lib/dracut/modules.d/70crypt/module-setup.sh": "force | x-initrd.attach)\n"}
OF_059 = {"/usr/lib/dracut/modules.d/90crypt/module-setup.sh": "force)\n"}
HOME = LINE.replace("swap", "home")


@pytest.mark.parametrize("table", [HOME, ""], ids=["a line", "no line"])
@pytest.mark.parametrize(
    ("kind", "files", "remedy"),
    [
        (DEBIAN, {}, "initramfs"),
        (SHELL, {}, "add rd.luks.uuid="),
        (SYSTEMD, {}, 'put install_items+=" /etc/crypttab " into'),
        (SYSTEMD, HOSTONLY | OF_112, "x-initrd.attach"),
        (SYSTEMD, BY_DEFAULT | OF_112, "x-initrd.attach"),
        (SYSTEMD, HOSTONLY | OF_059, "force"),
        (BUSYBOX, {CONF: "HOOKS=(base udev encrypt torpor)"}, "add cryptdevice="),
        (ARCH, {}, "add rd.luks.name="),
    ],
)
def test_a_file_system_that_nobody_opens(
    kind: str, files: dict[str, str], remedy: str, table: str, tmp_path: Path
) -> None:
    """enable does not see to it: /home would be missed by each resume."""
    machine = made_by(kind, tmp_path)
    machine.home("home_crypt", LUKS.replace("swap", "home"))
    put(tmp_path, files | {"/etc/crypttab": f"{table}\n"})
    machine.replace("/proc/cmdline", "root=/dev/sda1", "")
    (found,) = shut(machine)
    assert "nothing tells" in found.message
    assert "home_crypt, on which /home lies" in found.message
    assert remedy in found.remedy
    machine.follow(found.message, found.remedy)
    machine.anew()
    assert shut(machine) == []


def shut(machine: Machine) -> list[Finding]:
    return [found for found in layers(Facts(machine.machine())) if found.level != Level.OK]


EACH = {f"{kind}-{at}": (kind, row) for kind in ROWS for at, row in enumerate(ROWS[kind])}


@pytest.mark.parametrize(("kind", "row"), EACH.values(), ids=EACH)
def test_what_is_opened(kind: str, row: Row, tmp_path: Path) -> None:
    machine = made_by(kind, tmp_path)
    machine.mapped("swap_crypt", LUKS)
    tables = ("/etc/crypttab", "/etc/crypttab.initramfs") if kind == ARCH else ("/etc/crypttab",)
    put(tmp_path, dict.fromkeys(tables, f"{row.table}\n") | row.files)
    held = row.table if row.held is None else row.held
    hold(machine, TABLES.get(kind, "etc/crypttab"), data=f"{held}\n".encode())
    machine.initramfs |= {path: text.encode() for path, text in row.in_it.items()}
    machine.replace("/proc/cmdline", "root=/dev/sda1 ro quiet", f"ro {row.words}")
    found = shut(machine)
    assert [row.shut in one.message for one in found] == ([True] if row.shut else [])
    for _ in range(2):
        if found:
            machine.follow(found[0].message, found[0].remedy)
            machine.anew()
            found = shut(machine)
    assert found == []
