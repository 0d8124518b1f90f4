"""crypttab, what is to open below a device, and which volumes and disks a boot takes."""

import pytest

from initramfs.generators.dracut import DRACUT
from initramfs.generators.generator import Target
from initramfs.generators.joined import Joined
from initramfs.generators.layers import Crypt, Opened, Other, Volume, to_open
from linux.proc import unescaped
from linux.stack import Layer
from state.location import Location
from store import crypttab
from tests.unit.fake_machine import IMAGE, FakeMachine
from tests.unit.test_doctor_kinds import (
    DASHED,
    LUKS,
    ROOT_UUID,
    Change,
    dracut,
    hold,
    mkinitcpio,
    mkinitcpio_with_systemd,
    systemd,
)

UUID = DASHED
HEX = UUID.replace("-", "")


def one(text: str) -> crypttab.Line:
    (line,) = crypttab.parse(text).values()
    return line


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", []),
        ("# a comment\n\n \t# another\n#swap /dev/sda2 none\n", []),
        ("swap /dev/sda2", ["swap"]),
        ("swap", []),
        ("\tswap\t UUID=1 \t none luks \r\nroot UUID=2 none luks", ["swap", "root"]),
        (r"my\040swap /dev/sda2 none", ["my swap"]),
        ("größe /dev/sda2 none", ["größe"]),
        ("a\u00a0b\u2028c /dev/sda2 none", ["a\u00a0b\u2028c"]),
    ],
)
def test_names(text: str, names: list[str]) -> None:
    assert list(crypttab.parse(text)) == names


def test_of_one_name_the_first_line_counts() -> None:
    assert one("swap UUID=1 none luks\nswap UUID=2 /key luks # more\n").uuid == "1"


@pytest.mark.parametrize(
    ("source", "uuid"),
    [
        (f"UUID={UUID}", UUID),
        (f"/dev/disk/by-uuid/{UUID}", UUID),
        (f'UUID="{UUID}"', UUID),
        ("LABEL=x", ""),
        ("PARTUUID=1-2", ""),
        ("/dev/sda2", ""),
        ("/dev/disk/by-id/usb-x-0:0", ""),
    ],
)
def test_sources(source: str, uuid: str) -> None:
    assert one(f"swap {source} none luks").uuid == uuid


@pytest.mark.parametrize(
    ("key", "options", "file", "device"),
    [
        ("", "", "", ""),
        ("none", "luks", "", ""),
        ("-", "luks", "", ""),
        ("/etc/key", "luks", "/etc/key", ""),
        (r"/etc/my\040key", "luks", "/etc/my key", ""),
        ("/etc/a:b", "luks", "/etc/a:b", ""),
        ("/etc/a:", "luks", "/etc/a:", ""),
        ("/rootfs.key:/dev/mapper/keydisk", "luks", "", "/dev/mapper/keydisk"),
        ("/keyfile:LABEL=keydev", "luks", "", "LABEL=keydev"),
        ("/k:e/y:UUID=1", "luks", "", "UUID=1"),
        ("/keyfile:PARTLABEL=x", "luks", "", "PARTLABEL=x"),
        ("/dev/disk/by-id/usb-x-0:0", "luks", "", ""),
        ("/dev/urandom", "swap,cipher=aes", "", ""),
        ("/proc/device-tree/key", "luks", "", ""),
        ("/run/cryptsetup-keys.d/swap.key", "luks", "", ""),
        (
            "/etc/key",
            "nofail,x-initrd.attach,initramfs,keyfile-offset=1,keyfile-size=2",
            "/etc/key",
            "",
        ),
    ],
)
def test_keys(key: str, options: str, file: str, device: str) -> None:
    line = one(f"swap UUID=1 {key} {options}")
    assert (line.key_file, line.key_device[1]) == (file, device)


@pytest.mark.parametrize(
    ("options", "is_noauto", "header"),
    [
        ("luks", False, ""),
        ("luks,noauto", True, ""),
        ("auto,noauto,nofail", True, ""),
        ("noauto,auto", False, ""),
        ("noautomatic", False, ""),
        ("header=/etc/header", False, "/etc/header"),
        ("header=/a,header=/b", False, "/b"),
        ("header=/etc/header:LABEL=x", False, ""),
        ("header=/dev/sdb1", False, ""),
    ],
)
def test_options(options: str, is_noauto: bool, header: str) -> None:
    line = one(f"swap UUID=1 none {options}")
    assert (line.is_noauto, line.header) == (is_noauto, header)


def test_an_escaped_comma_is_in_a_value() -> None:
    assert one(r"s UUID=1 none x=a\,b,y=c\054d,z").options == (r"x=a\,b", "y=c,d", "z")
    assert one("s UUID=1 none z,y=1").value("z") == ""
    assert one("s UUID=1 none z,y=1").value("x") is None


@pytest.mark.parametrize(
    ("dm_name", "name"),
    [("swap", "swap"), (r"my\x20swap", "my swap"), (r"gr\xc3\xb6\xc3\x9fe", "größe"), ("ö", "ö")],
)
def test_names_of_device_mapper(dm_name: str, name: str) -> None:
    assert unescaped(dm_name, r"\x", 16) == name


def lv(name: str, layer: str = "") -> Layer:
    return Layer("dm-0", name, f"LVM-{'v' * 32}{'l' * 32}{layer}")


SDA = Layer("sda2", "", "")
SWAP = Volume("rhel-swap", "rhel/swap")
CRYPT = Layer("dm-1", "crypt", f"CRYPT-LUKS2-{HEX}-crypt")
OPENED = Crypt("crypt", UUID, "sda2")
DM_OPENED = Crypt("crypt", UUID, "dm-2")


def stack(names: str) -> list[Layer]:
    """Return a stack of logical volumes, behind whose names is what LVM adds to the UUID."""
    others = {"sda2": SDA, "crypt": CRYPT}
    return [others.get(name) or lv(*name.partition("/")[::2]) for name in names.split()]


RAID = "rhel-swap rhel-swap_rimage_0 sda2 rhel-swap_rimage_1 sda2 "
THIN = "rhel-swap rhel-pool-tpool/-tpool rhel-pool_tdata/-tdata sda2 rhel-pool_tmeta/-tmeta sda2"
CACHED = "rhel-swap rhel-fast_cpool-cdata/-cdata sda2 rhel-fast_cdata rhel-fast_cmeta "
PATHS = Joined("mpatha", "map", ("multipath", "multipathd"))
STACKS: dict[str, tuple[list[Layer], list[Opened]]] = {
    "a disk": ([SDA], []),
    "RAID": (stack(f"{RAID} rhel-swap_rmeta_0 sda2 rhel-swap_rmeta_1 sda2"), [SWAP]),
    "RAID of LVM 2.03.37": (stack("rhel-swap rhel-swap_rimage_0/-real sda2"), [SWAP]),
    "RAID with integrity": (
        stack("rhel-swap rhel-swap_rimage_0 rhel-swap_rimage_0_iorig sda2"),
        [SWAP],
    ),
    "a thin volume": (stack(THIN), [SWAP]),
    "a cached one": (stack(f"{CACHED} rhel-swap_corig/-real sda2"), [SWAP]),
    "with a snapshot": (stack("rhel-swap rhel-swap-real/-real sda2"), [SWAP]),
    "a snapshot": (stack("rhel-snap rhel-snap-cow/-cow"), [Volume("rhel-snap", "rhel/snap")]),
    "being moved": (stack("rhel-swap rhel-pvmove0 sda2 sda2"), [SWAP]),
    "mirrored": (stack("rhel-swap rhel-swap_mlog rhel-swap_mimage_0 sda2"), [SWAP]),
    "VDO": (stack("rhel-swap rhel-vdo-vpool/-vpool rhel-vdo_vdata/-vdata sda2"), [SWAP]),
    "a name like a part's, of before that was one": (
        stack("rhel-my_cvol sda2"),
        [Volume("rhel-my_cvol", "rhel/my_cvol")],
    ),
    "a name with a part's letters": (
        stack("crypt vg-vm_systemlog sda2"),
        [Crypt("crypt", UUID, "dm-0"), Volume("vg-vm_systemlog", "vg/vm_systemlog")],
    ),
    "hyphens": (stack("my--vg---a--b"), [Volume("my--vg---a--b", "my-vg-/a-b")]),
    "LUKS": ([CRYPT, SDA], [OPENED]),
    "LUKS1, a blank in the name": (
        [Layer("dm-1", r"a\x20b", f"CRYPT-LUKS1-{HEX}-a b"), SDA],
        [Crypt("a b", UUID, "sda2")],
    ),
    "LUKS with integrity": (
        [CRYPT, Layer("dm-2", "crypt_dif", f"CRYPT-SUBDEV-{HEX}-crypt_dif"), SDA],
        [OPENED],
    ),
    "the same, by an older cryptsetup": (
        [CRYPT, Layer("dm-2", "crypt_dif", "CRYPT-INTEGRITY-crypt_dif"), SDA],
        [OPENED],
    ),
    "verity": ([Layer("dm-1", "root", f"CRYPT-VERITY-{HEX}-root"), SDA], []),
    "integrity alone": ([Layer("dm-1", "x", "CRYPT-INTEGRITY-x"), SDA], [Other("x")]),
    "no LUKS": ([Layer("dm-1", "x", "CRYPT-PLAIN-x"), SDA], [Crypt("x", "", "sda2")]),
    "VeraCrypt's cascade, by an older cryptsetup": (
        [*(Layer("dm-1", name, f"CRYPT-TCRYPT-{name}") for name in ("v", "v_1", "v_2")), SDA],
        [Crypt("v", "", "sda2")],
    ),
    "LUKS in LUKS": (
        [Layer("dm-2", "x", f"CRYPT-LUKS2-{HEX}-x"), CRYPT, SDA],
        [Crypt("x", UUID, "dm-1"), OPENED],
    ),
    "LVM on LUKS": (stack("rhel-swap crypt sda2"), [SWAP, OPENED]),
    "LUKS on LVM": (stack("crypt rhel-swap sda2"), [Crypt("crypt", UUID, "dm-0"), SWAP]),
    "LVM in RAID on LUKS, twice the same": (
        stack("rhel-swap rhel-swap_rimage_0 crypt sda2 rhel-swap_rmeta_0 crypt sda2"),
        [SWAP, OPENED],
    ),
    "multipath": ([Layer("dm-1", "mpatha", "mpath-3600"), SDA], [PATHS]),
    "a partition of it": (
        [Layer("dm-2", "mpatha2", "part2-mpath-3600"), Layer("dm-1", "mpatha", "mpath-3600"), SDA],
        [PATHS],
    ),
    "dmraid": (
        [Layer("dm-1", "isw_a", "DMRAID-isw_a"), SDA],
        [Joined("isw_a", "activate", ("dmraid",))],
    ),
    "Stratis": (
        [
            Layer("dm-3", "stratis-1-a-thin-fs-b", "stratis-1-a-thin-fs-b"),
            Layer("dm-2", "stratis-1-private-a", "stratis-1-private-a"),
            SDA,
        ],
        [Other("stratis-1-a-thin-fs-b")],
    ),
    "Stratis on LUKS": (
        [Layer("dm-2", "pool", "stratis-1-a"), CRYPT, SDA],
        [Other("pool"), OPENED],
    ),
    "LUKS on what dmsetup made": ([CRYPT, Layer("dm-2", "x", ""), SDA], [Other("x"), DM_OPENED]),
}


@pytest.mark.parametrize("name", STACKS)
def test_what_is_to_open(name: str) -> None:
    layers, expected = STACKS[name]
    assert to_open(layers) == expected


def test_dracut_is_told_of_no_parts() -> None:
    """Its hook would wait for links that LVM never makes."""
    layers, _ = STACKS["RAID"]
    text = DRACUT.text(Target(Location("UUID=1"), tuple(to_open(layers))))
    assert text == 'kernel_cmdline+=" rd.lvm.lv=rhel/swap "\n'


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("my--vg-swap", "rd.lvm.lv=my-vg/root rd.lvm.lv=my-vg/swap", ""),
        ("my--vg-swap", "rd.lvm.lv=my-vg/root", "rd.lvm.lv= or rd.lvm.vg= on the kernel command"),
        ("my--vg-swap", "rd.lvm.lv=my-vg/swap2", "leaves out my--vg-swap, on which"),
        ("my--vg-swap", "rd.lvm.vg=my-vg", ""),
        ("my--vg-swap", "rd.lvm.vg=my-vg rd.lvm.lv=other/root", ""),
        ("my--vg-swap", "rd.lvm.vg=my", "leaves out my--vg-swap, on which"),
        ("my--vg-swap", "rd.lvm=1", "nothing tells"),
        ("my--vg-swap", "", "nothing tells"),
        ("my--vg-swap", "rd.auto", ""),
        ("my--vg-swap", "rd.auto=0", "nothing tells"),
        ("my--vg-swap", "rd.auto rd.lvm.lv=my-vg/root", "leaves out my--vg-swap, on which"),
        ("my--vg-swap", "rd.lvm=0 rd.lvm.lv=my-vg/swap", "rd.lvm=0 on the kernel command line"),
        ("my--vg-swap", "rd.lvm=0 rd.lvm rd.lvm.lv=my-vg/swap", ""),
        ("my--vg-swap", "rd.lvm=no rd.auto", "rd.lvm=no on the kernel command line keeps"),
        ("my--vg-swap", "rd_NO_LVM rd.auto", "rd_NO_LVM on the kernel command line keeps"),
        ("my--vg-swap", "rd_LVM_LV=my-vg/swap", ""),
        ("my--vg-swap", "rd_LVM_VG=my-vg", ""),
        ("vg-my--swap", "rd.lvm.lv=vg/my-swap", ""),
        ("vg---swap", "rd.lvm.lv=vg-/swap", ""),
    ],
)
@pytest.mark.parametrize("kind", [dracut, systemd])
def test_volumes_that_dracut_is_told_of(
    kind: Change, name: str, option: str, message: str, fake: FakeMachine
) -> None:
    """90lvm/parse-lvm.sh and lvm_scan.sh, with systemd or not."""
    kind(fake)
    fake.mapped(name, "LVM-abc")
    hold(fake, "usr/sbin/lvm")
    fake.write("/usr/sbin/lvm", "")
    fake.replace("/proc/cmdline", "quiet", option)
    assert [message in text for text in fake.complaints()] == ([True] if message else [])


@pytest.mark.parametrize("kind", [None, mkinitcpio, mkinitcpio_with_systemd])
def test_volumes_of_which_others_are_not_told(kind: Change | None, fake: FakeMachine) -> None:
    if kind is not None:
        kind(fake)
    fake.mapped("vg-swap", "LVM-abc")
    hold(fake, "usr/sbin/lvm")
    fake.replace("/proc/cmdline", "quiet", "rd.lvm=0 rd.lvm.lv=vg/root")
    assert fake.complaints() == []


@pytest.mark.parametrize(
    ("source", "members"),
    [
        ("btrfs /dev/sda1", ("sda1", "dm-5")),
        ("btrfs /dev/mapper/home_crypt", ("sda1", "dm-5")),
        ("btrfs /dev/root", ("sda1", "dm-5")),
        ("bcachefs /dev/sda1:/dev/mapper/home_crypt", ()),
        ("bcachefs /dev/mapper/home_crypt", ()),
    ],
)
def test_a_disk_of_several_that_stays_shut(
    source: str, members: tuple[str, ...], fake: FakeMachine
) -> None:
    """The guard compares every device of a file system."""
    fake.home("home_crypt", LUKS.replace("swap", "home"))
    fake.replace("/proc/self/mountinfo", "254:5", "0:41")
    fake.replace("/proc/self/mountinfo", "ext4 /dev/mapper/home_crypt", source)
    for name in members:
        (fake.root / f"sys/fs/btrfs/1-2/devices/{name}").mkdir(parents=True)
    assert fake.complaints() == [
        f"{IMAGE} has no cryptsetup to open home_crypt, on which /home lies"
    ]


def test_root_that_systemd_finds_by_itself(fake: FakeMachine) -> None:
    """systemd-gpt-auto-generator opens /dev/gpt-auto-root-luks, where nothing names a root."""
    systemd(fake)
    fake.layer(5, 1 << 30, "f", "sda1", ("root", LUKS.replace("swap_crypt", "root")))
    fake.replace("/proc/self/mountinfo", "8:1 / / rw - ext4 /dev/sda1", "254:5 / / rw - ext4 x")
    hold(fake, "usr/lib/systemd/systemd-cryptsetup")
    generator = "usr/lib/systemd/system-generators/systemd-gpt-auto-generator"
    for words, held, shut in (
        ("ro", (), True),
        ("ro", (generator,), False),
        ("root=gpt-auto", (), False),
        ("systemd.gpt_auto=0", (), True),
        ("root=/dev/sda1", (), True),
    ):
        fake.write("/proc/cmdline", words)
        hold(fake, *held)
        assert ["open root, on which / lies" in one for one in fake.complaints()] == [True] * shut


@pytest.mark.parametrize(
    ("words", "held", "message"),
    [
        ("", "", "nothing tells"),
        ("", f"swap_crypt UUID={DASHED} none luks", ""),
        (f"rd.luks.name={DASHED}=swap_crypt", "", ""),
        (f"rd.luks.name={ROOT_UUID}=root", "", "rd.luks.name= on the kernel command line leaves"),
    ],
)
def test_an_initramfs_of_systemd_that_no_generator_made(
    words: str, held: str, message: str, fake: FakeMachine
) -> None:
    systemd(fake)
    del fake.initramfs["usr/lib/dracut/modules.txt"]
    fake.mapped("swap_crypt", LUKS)
    hold(fake, "usr/lib/systemd/systemd-cryptsetup")
    hold(fake, "etc/crypttab", data=held.encode())
    fake.replace("/proc/cmdline", "quiet", words)
    assert [message in found for found in fake.complaints()] == ([True] if message else [])


def test_a_blank_in_a_name_is_written_as_each_reader_has_it(fake: FakeMachine) -> None:
    systemd(fake)
    fake.mapped("my swap", f"CRYPT-LUKS2-{HEX}-my swap")
    fake.write("/sys/class/block/dm-0/dm/name", "my\\x20swap\n")
    hold(fake, "usr/lib/systemd/systemd-cryptsetup")
    line = rf"my\040swap UUID={UUID} none luks"
    assert line in next(one.remedy for one in fake.examine() if one.remedy)
    hold(fake, "etc/crypttab", data=line.encode())
    assert fake.complaints() == []
    fake.replace("/proc/cmdline", "quiet", f"rd.luks.uuid={ROOT_UUID}")
    (found,) = [one.remedy for one in fake.examine() if one.remedy]
    word = found.removeprefix("add ").removesuffix(" to the boot loader's configuration")
    fake.replace("/proc/cmdline", "rd.luks", f"{word} rd.luks")
    assert fake.complaints() == []


@pytest.mark.parametrize("below", ["loop0", "zram0"])
def test_what_the_guard_leaves_out_is_not_missed(below: str, fake: FakeMachine) -> None:
    """systemd-homed, say: LUKS in a file."""
    fake.device(below, "7:0", 1 << 30, "f")
    fake.home("home-user", LUKS.replace("swap_crypt", "home-user"), below=below)
    assert fake.complaints() == []


def test_what_another_one_opens_cannot_be_told(fake: FakeMachine) -> None:
    del fake.initramfs["scripts/local-premount/ORDER"]
    fake.mapped("swap_crypt", LUKS)
    hold(fake, "init", "etc/booster.init.yaml")
    unknown, opens = fake.complaints()
    assert "a generator that torpor doctor does not know" in unknown
    assert opens == f"what {IMAGE} opens is unknown"
