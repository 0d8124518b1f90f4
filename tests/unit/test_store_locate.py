"""Finding a device by what resume= says, where udev knows it and where nobody does."""

import os
from pathlib import Path
from uuid import UUID

import pytest

from errors import DeviceNotFoundError
from store import locate
from store.locate import find_device
from tests import forge

UUID_1 = "11111111-2222-3333-4444-abcdefabcdef"
OF_THE_KERNEL = ("PARTUUID", "PARTNAME")


class Add:
    """Adds a device with these contents and udev properties, returns its path.

    Ordinary files stand for the nodes, and folders for sysfs and udev's database.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        for name in ("class", "numbers", "udev", "dev"):
            (folder / name).mkdir()

    def __call__(self, contents: bytes = b"", properties: dict[str, str] | None = None) -> str:
        name, number = f"sd{self._count}", f"8:{self._count}"
        self._count += 1
        (self._folder / "class" / name).mkdir()
        (self._folder / "class" / name / "dev").write_text(f"{number}\n")
        known = [item for item in (properties or {}).items() if item[0] not in OF_THE_KERNEL]
        said = [item for item in (properties or {}).items() if item[0] in OF_THE_KERNEL]
        (self._folder / "numbers" / number).mkdir()
        uevent = "".join(f"{key}={value}\n" for key, value in [("DEVNAME", name), *said])
        (self._folder / "numbers" / number / "uevent").write_text(uevent)
        if known:
            entries = "".join(f"E:{key}={value}\n" for key, value in known)
            (self._folder / f"udev/b{number}").write_text(f"S:disk/by-uuid/x\nI:77\n{entries}G:x\n")
        path = self._folder / "dev" / name
        path.write_bytes(contents)
        return str(path)


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    monkeypatch.setattr(locate, "_CLASS", str(tmp_path / "class"))
    monkeypatch.setattr(locate, "_NUMBERS", str(tmp_path / "numbers"))
    monkeypatch.setattr(locate, "_UDEV", str(tmp_path / "udev"))
    monkeypatch.setattr(locate, "_DEV", str(tmp_path / "dev"))
    monkeypatch.setattr(locate, "_is_block", os.path.isfile)
    return Add(tmp_path)


@pytest.mark.parametrize(
    ("tag", "name", "value"),
    [
        ("UUID", "ID_FS_UUID", UUID_1),
        ("LABEL", "ID_FS_LABEL_ENC", "sleep"),
        ("PARTUUID", "ID_PART_ENTRY_UUID", "0a1b2c3d-02"),
        ("PARTLABEL", "ID_PART_ENTRY_NAME", "swap"),
        ("PARTUUID", "PARTUUID", "0a1b2c3d-02"),
        ("PARTLABEL", "PARTNAME", "swap"),
    ],
)
def test_tags_that_udev_or_the_kernel_knows(add: Add, tag: str, name: str, value: str) -> None:
    add()
    add(properties={name: "other"})
    path = add(properties={name: value})
    add(properties={name: value})
    for spec in (f"{tag}={value}", f'{tag}="{value}"'):
        assert find_device(spec) == path
    assert find_device(f"{tag}={value}x") is None
    assert find_device(f"{tag}={value.upper()}") == (path if tag.endswith("UUID") else None)


def test_encoded_label(add: Add) -> None:
    path = add(properties={"ID_FS_LABEL_ENC": r"my\x20\x5cswäp\x2f"})
    assert find_device("LABEL=my \\swäp/") == path


@pytest.mark.parametrize("signature", [forge.SWAP, forge.USER, forge.KERNEL])
def test_tags_from_the_header_itself(add: Add, signature: bytes) -> None:
    """In an initramfs without udevd nobody has probed the device."""
    add(b"too short")
    add(bytes(8192))
    path = add(forge.header_page(10, signature=signature, uuid=UUID(UUID_1)) + bytes(4096))
    assert find_device(f"UUID={UUID_1}") == path
    assert find_device("LABEL=sleep") == path
    assert find_device("LABEL=awake") is None


def test_header_is_not_read_where_udev_has_probed(add: Add) -> None:
    header = forge.header_page(10, uuid=UUID(UUID_1))
    add(header, properties={"ID_FS_TYPE": "ext4"})
    assert find_device(f"UUID={UUID_1}") is None


def test_devices_that_are_not_there_are_passed_over(add: Add, tmp_path: Path) -> None:
    os.unlink(add(properties={"ID_FS_UUID": UUID_1}))
    gone = add()
    os.unlink(tmp_path / "class" / os.path.basename(gone) / "dev")
    assert find_device(f"UUID={UUID_1}") is None
    path = add(properties={"ID_FS_UUID": UUID_1})
    assert find_device(f"UUID={UUID_1}") == path


def test_paths(add: Add, tmp_path: Path) -> None:
    path = add()
    assert find_device(path) == path
    assert find_device(str(tmp_path / "nowhere")) is None


def test_a_file_is_no_device(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert find_device(str(tmp_path / "file")) is None
    assert find_device("/") is None
    assert find_device("/dev/null") is None


def test_device_number_that_is_not_there() -> None:
    assert find_device("0:0") is None
    assert find_device("99999:1") is None


def test_device_number(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = sorted(os.listdir("/sys/dev/block"))
    if not numbers:
        pytest.skip("no block devices here")
    monkeypatch.setattr(locate, "_is_block", lambda _path: True)
    name = os.path.basename(os.path.realpath(f"/sys/dev/block/{numbers[0]}"))
    assert find_device(numbers[0]) == f"/dev/{name.replace('!', '/')}"


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "sda1",
        "UUID",
        "UUID=",
        'UUID=""',
        "LABEL=''",
        "uuid=1",
        "ID=1",
        "8",
        "8:",
        ":1",
        "8:1:2",
        "8:-1",
        "0x801",
        "=",
    ],
)
def test_what_names_no_device(add: Add, spec: str) -> None:
    """An empty tag above all: it must not name the first device without one."""
    add()
    with pytest.raises(DeviceNotFoundError, match="does not name a device") as caught:
        find_device(spec)
    assert "PARTLABEL=" in caught.value.hint


def test_names_for_the_next_boot(add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first name that finds this device and no other; two may share a UUID (btrfs, copies)."""
    monkeypatch.setattr(locate, "_number_of", lambda path: f"8:{path[-1]}")

    def device(contents: bytes = b"", **properties: str) -> str:
        return add(contents, properties)

    header = forge.header_page(10, uuid=UUID(UUID_1))
    assert locate.name_of(device(header)) == f"UUID={UUID_1}"
    assert locate.name_of(device(ID_FS_UUID="a-b", ID_FS_TYPE="ext4")) == "UUID=a-b"
    device(ID_FS_UUID="c-d", ID_FS_TYPE="btrfs", ID_PART_ENTRY_UUID="1")
    second = device(ID_FS_UUID="c-d", ID_FS_TYPE="btrfs", ID_PART_ENTRY_UUID="2")
    assert locate.name_of(second) == "PARTUUID=2"
    nameless = device(DM_NAME="gone")
    assert locate.name_of(nameless) == nameless
