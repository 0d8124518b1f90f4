"""Whether images give away what is encrypted, by what lies below the store and what is mounted."""

from pathlib import Path

import pytest

from linux.mounts import Mount, read_mounts
from store.find import Found, Kind
from store.place import Place
from store.secrecy import exposure, remains
from tests.tools import put
from tests.unit.fake_machine import FakeMachine
from tests.unit.fake_root import Disks
from torpor.doctor.finding import Level

LUKS = "CRYPT-LUKS2-" + "c" * 32 + "-x"
NOT_ENCRYPTED = (
    *("CRYPT-VERITY-" + "c" * 32 + "-x", "CRYPT-INTEGRITY-x", "CRYPT-SUBDEV-x-y", "LVM-abc"),
    *("", "VERITY-CRYPT-LUKS2-"),
)
ENCRYPTED = (
    *(LUKS, LUKS.replace("LUKS2", "LUKS1"), "CRYPT-PLAIN-x", "CRYPT-TCRYPT-x", "CRYPT-BITLK-x"),
    *("CRYPT-FVAULT2-x", "CRYPT-LOOPAES-x"),
)


@pytest.fixture(name="disks")
def _disks(tmp_path: Path) -> Disks:
    """A disk, what is plain and what is encrypted upon it, and a device above the two."""
    disks = Disks(tmp_path)
    for name, uuid in (("sda", ""), ("plain", ""), ("luks", LUKS), ("other", LUKS), ("top", "")):
        disks.add(name, dm=(name, uuid))
    for name in ("plain", "luks", "other"):
        disks.stack(name, "sda")
    return disks


def exposed(disks: Disks, store: str, *mounts: str, fs_type: str = "xfs") -> str:
    """Return what is said of a store on one device while others are mounted."""
    lines = [
        f"{number} 1 {disks.device_number(f'/dev/{name}') or name} / /{name} rw - {fs_type} x rw\n"
        for number, name in enumerate(mounts, 20)
    ]
    (disks.folder / "proc/self").mkdir(exist_ok=True)
    (disks.folder / "proc/self/mountinfo").write_text("".join(lines))
    assert all(isinstance(mount, Mount) for mount in read_mounts(disks))
    doubt = exposure(found_on(store), disks)
    return doubt.message if doubt else ""


def found_on(device: str) -> Found:
    return Found("/store", Kind.STORE_DEVICE, Place(f"/dev/{device}", 0), 0, None, False)


def test_a_plain_store_beside_an_encrypted_file_system(disks: Disks) -> None:
    assert exposed(disks, "plain", "plain", "sda") == ""
    assert exposed(disks, "luks", "plain", "luks") == ""
    assert exposed(disks, "sda", "plain", "luks").startswith(
        "/luks is encrypted, and the store /store is not: an image there holds its key"
    )


def test_a_store_of_sealed_images(disks: Disks) -> None:
    put(disks.folder, {"var/lib/torpor/sealing": ""})
    assert exposed(disks, "plain", "luks") == ""


def test_what_images_of_before_left(disks: Disks) -> None:
    assert remains(found_on("luks"), disks) is None
    doubt = remains(found_on("plain"), disks)
    assert doubt
    assert doubt.message == "what images left on /store before is still in the clear"


@pytest.mark.parametrize("uuid", [*ENCRYPTED, *NOT_ENCRYPTED])
def test_what_encrypts(uuid: str, disks: Disks) -> None:
    disks.add("luks", dm=("luks", uuid))
    assert bool(exposed(disks, "plain", "luks")) == (uuid in ENCRYPTED)
    assert bool(exposed(disks, "luks", "other")) == (uuid in NOT_ENCRYPTED)


@pytest.mark.parametrize(
    ("below", "is_exposed"),
    [
        (["luks"], False),
        (["luks", "other"], False),
        (["luks", "plain"], True),
        (["plain", "luks"], True),
        (["plain"], True),
        ([], True),
    ],
)
def test_a_store_is_encrypted_if_all_below_it_is(
    below: list[str],
    is_exposed: bool,
    disks: Disks,
) -> None:
    """A volume over two disks, a mirror of which one leg is plain."""
    for name in below:
        disks.stack("top", name)
    assert bool(exposed(disks, "top", "other")) == is_exposed
    assert bool(exposed(disks, "plain", "top")) == ("luks" in below)


@pytest.mark.parametrize("fs_type", ["fuse.gocryptfs", "ecryptfs", "fuse.cryfs"])
def test_file_systems_that_encrypt_by_themselves(fs_type: str, disks: Disks) -> None:
    assert exposed(disks, "plain", "0:50", fs_type=fs_type)
    assert not exposed(disks, "luks", "0:50", fs_type=fs_type)
    assert not exposed(disks, "plain", "0:50", fs_type="fuse.sshfs")


def secrecy(fake: FakeMachine) -> tuple[Level, str]:
    (found,) = (
        one for one in fake.examine() if "encrypted" in one.message or "secret" in one.message
    )
    return found.level, found.message


def test_doctor(fake: FakeMachine) -> None:
    """Swap beside an encrypted root or home; on LUKS; a swap file on an encrypted file system."""
    assert secrecy(fake)[0] == Level.OK
    fake.home("home_crypt", LUKS)
    level, message = secrecy(fake)
    assert level == Level.PROBLEM
    assert message.startswith("/home is encrypted, and the store /dev/sda2 is not")
    fake.mapped("swap_crypt", LUKS)
    assert secrecy(fake)[0] == Level.OK
