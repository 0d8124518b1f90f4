"""Which store is chosen, what is refused, and whether the next boot finds it."""

from pathlib import Path

import pytest

from errors import DeviceNotFoundError, NoSpaceError, StoreRefusedError, TorporError
from state.conf import Conf
from state.location import Location
from store.choose import (
    Settings,
    check_room,
    choose_store,
    doubts,
    largest_swap,
    location_of,
    other_swaps,
)
from store.find import Kind, look_at
from store.place import Place
from tests.forge import KERNEL, SWAP, USER
from tests.unit.fake_machine import GIB, UUID_TEXT, FakeMachine, header
from tests.unit.fake_root import FILE_PAGE, say_udev

STORE_PAGE = header(USER, b"TORPSTOR")
SDA1, SDA2 = "UUID=aaaaaaaa-0000-0000-0000-000000000000", f"UUID={UUID_TEXT}"
SDA3 = "UUID=cccccccc-0000-0000-0000-000000000000"
SWAPS = ("/dev/sda3 partition 2097152 0", "/dev/sda2 partition 4194304 3145728")
SWAP_FILE = "/swapfile file 1048576 0"


@pytest.fixture(name="fake")
def _fake(tmp_path: Path) -> FakeMachine:
    """Swap on sda2, where 1 GiB is free, and sda3; a store on sda4; files that are not in use."""
    fake = FakeMachine(tmp_path)
    fake.device("sda3", "8:3", 2 * GIB, SDA3.removeprefix("UUID="))
    fake.write("/dev/sda3", header(SWAP))
    fake.device("sda4", "8:4", 3 * GIB, "dddddddd-0000-0000-0000-000000000000")
    fake.write("/dev/sda4", STORE_PAGE)
    fake.swaps(*SWAPS)
    return fake


def settings(
    command_line: str = "quiet", conf: str | None = None, location: Location | None = None
) -> Settings:
    return Settings(Conf(store=conf), command_line, location)


def enabled(location: Location) -> Settings:
    """Only what enable kept."""
    return settings("", location=location)


def chosen(fake: FakeMachine, wanted: Settings, named: str | None = None) -> str:
    return choose_store(named, wanted, fake.machine()).path


def test_who_may_say_where_the_store_is(fake: FakeMachine) -> None:
    resume, kept = f"resume={SDA3}", Location("/dev/sda2")
    assert chosen(fake, settings(resume, "8:4", kept), SDA2) == "/dev/sda2"
    assert chosen(fake, settings(resume, "8:4", kept)) == "/dev/sda4"
    assert chosen(fake, settings(resume, None, kept)) == "/dev/sda3"
    assert chosen(fake, settings("quiet", None, kept)) == "/dev/sda2"
    assert chosen(fake, settings()) == "/dev/sda3"
    fake.file("/store", STORE_PAGE, GIB)
    in_file = Location(SDA1, FILE_PAGE, "", "/store")
    assert chosen(fake, enabled(in_file)) == "/store"
    assert chosen(fake, settings("", "/store")) == "/store"
    assert chosen(fake, settings(in_file.parameters, None, in_file)) == "/store"


@pytest.mark.parametrize(
    ("wanted", "source", "remedy"),
    [
        (settings("resume=LABEL=gone"), "resume= on the kernel command line names", "take it off"),
        (settings(conf="LABEL=gone"), "/etc/torpor.conf names", "correct store ="),
        (settings(location=Location("LABEL=gone")), "torpor enable chose", "--store STORE"),
    ],
)
def test_store_that_is_not_there(
    wanted: Settings, source: str, remedy: str, fake: FakeMachine
) -> None:
    with pytest.raises(DeviceNotFoundError, match=f"^LABEL=gone, which {source}, is not") as caught:
        chosen(fake, wanted)
    assert remedy in caught.value.hint


def test_offset_on_the_command_line_is_a_file(fake: FakeMachine) -> None:
    fake.file("/swapfile", header(SWAP), GIB)
    fake.swaps("/gone file 9999999 0", SWAP_FILE)
    assert chosen(fake, settings(f"resume={SDA1} resume_offset={FILE_PAGE}")) == "/swapfile"
    with pytest.raises(StoreRefusedError, match="no swap file in use begins at page 99"):
        chosen(fake, settings(f"resume={SDA1} resume_offset=99"))


def test_swap_with_the_most_room_that_can_hold_an_image(fake: FakeMachine) -> None:
    fake.device("zram0", "253:0", GIB, "")
    areas = ["/dev/zram0 partition 9999999 0", r"/swap\040file\040(deleted) file 9999999 0"]
    fake.swaps(*areas, *SWAPS)
    assert largest_swap(fake.machine()).path == "/dev/sda3"
    fake.swaps(*areas)
    with pytest.raises(StoreRefusedError, match="zram0 is compressed memory"):
        largest_swap(fake.machine())
    fake.swaps()
    with pytest.raises(StoreRefusedError, match="none is in use") as caught:
        largest_swap(fake.machine())
    assert "torpor mkstore" in caught.value.hint


def test_what_is_found(fake: FakeMachine) -> None:
    fake.file("/swapfile", header(SWAP), GIB)
    fake.swaps(SWAP_FILE, *SWAPS)
    machine = fake.machine()
    found = {path: look_at(path, machine) for path in ("/dev/sda2", "/swapfile", "/dev/sda4")}
    assert [(each.kind, each.place) for each in found.values()] == [
        (Kind.SWAP_PARTITION, Place("/dev/sda2", 0)),
        (Kind.SWAP_FILE, Place("/dev/sda1", FILE_PAGE)),
        (Kind.STORE_DEVICE, Place("/dev/sda4", 0)),
    ]
    assert [each.room for each in found.values()] == [GIB, GIB, 3 * GIB - 4096]
    assert other_swaps(found["/dev/sda2"], machine) == ["/swapfile", "/dev/sda3"]
    assert other_swaps(found["/dev/sda4"], machine) == ["/swapfile", "/dev/sda3", "/dev/sda2"]


@pytest.mark.parametrize(("device", "use"), [("sda1", "mounted at /"), ("sda4", "part of crypt")])
def test_who_names_what_is_in_use_has_to_correct_that(
    device: str, use: str, fake: FakeMachine
) -> None:
    fake.write(f"/dev/{device}", bytes(4096))
    fake.write("/sys/class/block/sda4/holders/dm-9/dev", "254:9")
    fake.write("/sys/class/block/dm-9/dm/name", "crypt\n")
    with pytest.raises(StoreRefusedError, match=f"in use nor a store, but {use}$") as caught:
        chosen(fake, settings(f"resume=/dev/{device}"))
    assert "take it off there" in caught.value.hint


@pytest.mark.parametrize(
    ("page", "message", "hint"),
    [
        (header(SWAP), "/dev/sda4 is swap that is not in use", "swapon /dev/sda4"),
        (header(KERNEL), "holds an image of the kernel's own", f"mkswap -U {UUID_TEXT}"),
        (bytes(4096), "is neither swap in use nor a store", "torpor mkstore /dev/sda4"),
    ],
)
def test_device_that_is_no_store(page: bytes, message: str, hint: str, fake: FakeMachine) -> None:
    fake.write("/dev/sda4", page)
    with pytest.raises(StoreRefusedError, match=message) as caught:
        look_at("/dev/sda4", fake.machine())
    assert hint in caught.value.hint


def test_large_sectors_and_unknown_file_systems_are_refused(fake: FakeMachine) -> None:
    fake.write("/sys/dev/block/8:4/queue/logical_block_size", "16384\n")
    with pytest.raises(StoreRefusedError, match="/dev/sda4 has sectors larger than a page"):
        look_at("/dev/sda4", fake.machine())
    fake.file("/store", STORE_PAGE, GIB)
    fake.replace("/proc/self/mountinfo", "ext4", "f2fs")
    with pytest.raises(StoreRefusedError, match="/store is on f2fs"):
        look_at("/store", fake.machine())


def doubted(fake: FakeMachine, path: str, wanted: Settings) -> list[tuple[str, bool]]:
    machine = fake.machine()
    found = doubts(look_at(path, machine), wanted, machine)
    return [(doubt.message, doubt.is_certain) for doubt in found]


def test_next_boot_finds_the_store(fake: FakeMachine) -> None:
    fake.file("/store", STORE_PAGE, GIB)
    words = f"resume={SDA1} resume_offset={FILE_PAGE}"
    for path, wanted in (
        ("/dev/sda2", settings(f"resume={SDA2}")),
        ("/dev/sda2", settings("resume=0x802")),
        ("/dev/sda2", enabled(Location(SDA2))),
        ("/store", settings(words, None, Location(SDA2))),
        ("/store", enabled(Location(SDA1, FILE_PAGE))),
    ):
        assert doubted(fake, path, wanted) == []


LOADER = "on the kernel command line"
ENABLE = "/var/lib/torpor/location"
CERTAIN = [
    (
        settings(f"resume={SDA3}", None, Location(SDA2)),
        f"resume={SDA3} {LOADER} names /dev/sda3, but the store /dev/sda2 is on /dev/sda2",
    ),
    (
        settings(f"resume={SDA3}", "/dev/sda2", Location(SDA2)),
        f"resume={SDA3} {LOADER} names /dev/sda3, but the store /dev/sda2 is on /dev/sda2",
    ),
    (
        settings("resume=LABEL=gone"),
        f"resume=LABEL=gone {LOADER} names nothing that is there, LABEL=gone: each boot",
    ),
    (
        settings("resume=swap:/dev/sda2"),
        f"resume=swap:/dev/sda2 {LOADER} is wrong: 'swap:/dev/sda2' does not name a device",
    ),
    (
        settings(f"resume={SDA2} resume_offset=1"),
        f"{LOADER} says page 1, but /dev/sda2 begins at page 0",
    ),
    (enabled(Location("nonsense")), f"{ENABLE} is wrong: 'nonsense' does not name a device"),
    (
        enabled(Location(SDA3)),
        f"{ENABLE} names /dev/sda3, but the store /dev/sda2 is on /dev/sda2",
    ),
    (enabled(Location(SDA2, 9)), f"{ENABLE} says page 9, but /dev/sda2 begins at page 0"),
]
OF_A_FILE = [
    (settings(), "nothing tells the next boot where /store is"),
    (enabled(Location(SDA1)), f"{ENABLE} says page 0, but /store begins at page {FILE_PAGE}"),
    (enabled(Location(SDA1, 76)), f"{ENABLE} says page 76, but /store begins at page {FILE_PAGE}"),
    (settings(f"resume={SDA1} resume_offset=none"), f"resume_offset=none {LOADER} is no number"),
]
"""A boot looks in page 0 for what is no number."""
DOUBTFUL = [
    (settings(), "nothing tells the next boot where /dev/sda2 is"),
    (settings(f"resume={SDA2} resume_offset=none"), f"resume_offset=none {LOADER} is no number"),
    (enabled(Location(SDA2, 0, "f" * 32)), f"{ENABLE} is another installation's: machine_id"),
    (settings(f"noresume resume={SDA2}"), "the kernel command line has noresume"),
    (settings(f"hibernate=noresume resume={SDA2}"), "the kernel command line has hibernate=nore"),
]


@pytest.mark.parametrize(
    ("path", "wanted", "message", "is_missed"),
    [
        *(("/dev/sda2", *doubt, True) for doubt in CERTAIN),
        *(("/store", *doubt, True) for doubt in OF_A_FILE),
        *(("/dev/sda2", *doubt, False) for doubt in DOUBTFUL),
    ],
)
def test_next_boot_may_not_find_the_store(
    path: str, wanted: Settings, message: str, is_missed: bool, fake: FakeMachine
) -> None:
    """Where a place is named it looks nowhere else; else at all built-in devices, but at no files.

    noresume may have been typed for this boot alone, to be rid of an image.
    """
    fake.file("/store", STORE_PAGE, GIB)
    ((said, is_certain),) = doubted(fake, path, wanted)
    assert message in said
    assert is_certain == is_missed


@pytest.mark.parametrize("place", ["usb3/3-1/3-1:1.0/host6", "platform/host7/session1"])
def test_external_store_has_to_be_chosen(place: str, fake: FakeMachine) -> None:
    """The resumer takes no image from a stick or a server, unless torpor enable told it so."""
    entry = fake.root / "sys/class/block/sda2"
    attached = fake.root / f"sys/devices/{place}/target6:0:0/6:0:0:0/block/sda/sda2"
    attached.parent.mkdir(parents=True)
    entry.rename(attached)
    entry.symlink_to(attached)
    fake.write("/proc/77/comm", "iscsid\n")  # without it, a disk of iSCSI is refused anyway
    for is_external in (None, False):
        for wanted in (
            settings(),
            settings(f"resume={SDA2}"),
            enabled(Location(SDA2, is_external=is_external)),
            settings(f"resume={SDA2}", None, Location(SDA2, is_external=is_external)),
        ):
            ((said, is_certain),) = doubted(fake, "/dev/sda2", wanted)
            assert "takes no image from one that torpor enable has not chosen" in said
            assert is_certain
    machine = fake.machine()
    location = location_of(look_at("/dev/sda2", machine), machine)
    assert location.is_external
    for wanted in (enabled(location), settings(f"resume={SDA2}", None, location)):
        assert doubted(fake, "/dev/sda2", wanted) == []


@pytest.mark.parametrize("spec", [SDA3, "/dev/disk/by-uuid/x"])
def test_store_whose_name_two_devices_have(spec: str, fake: FakeMachine) -> None:
    """The next boot would wait for one of them to go, and give up."""
    fake.device("sdb1", "8:17", 2 * GIB, SDA3.removeprefix("UUID="))
    link = fake.root / "dev/disk/by-uuid/x"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../sda3")
    for number in ("8:3", "8:17"):
        with (fake.root / f"run/udev/data/b{number}").open("a") as known:
            known.write("S:disk/by-uuid/x\n")
    ((said, is_certain),) = doubted(fake, "/dev/sda3", settings(f"resume={spec}"))
    assert f"is wrong: {spec} names " in said
    assert "/dev/sdb1: which one is meant cannot be told" in said
    assert is_certain
    with pytest.raises(DeviceNotFoundError, match="which one is meant cannot be told"):
        chosen(fake, settings(f"resume={spec}"))
    assert location_of(look_at("/dev/sda3", fake.machine()), fake.machine()).resume == "/dev/sda3"


def test_capitals_and_no_id_yet_are_no_other_installation(fake: FakeMachine) -> None:
    kept = enabled(Location(SDA2, 0, "0123456789abcdef" * 2))
    for machine_id in ("0123456789ABCDEF" * 2, "uninitialized", ""):
        fake.write("/etc/machine-id", f"{machine_id}\n")
        assert doubted(fake, "/dev/sda2", kept) == []


def test_store_that_cannot_take_the_image_is_known_before() -> None:
    check_room("/dev/x", 10 << 20, 80 << 20)
    with pytest.raises(NoSpaceError, match="/dev/x has 10 MiB for an image of about 81 MiB"):
        check_room("/dev/x", 10 << 20, 81 << 20)


def test_a_device_that_goes_meanwhile_is_no_traceback(fake: FakeMachine) -> None:
    say_udev(fake.root, "8:4", ID_FS_UUID=r"crafted\x2", ID_FS_LABEL_ENC="\\")
    fake.remove("/sys/class/block/sda4/dev")
    with pytest.raises(TorporError, match="/dev/sda4"):
        chosen(fake, settings(), "/dev/sda4")
