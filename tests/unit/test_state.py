"""The small files: what is written is read back, and what cannot be understood is said."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from errors import (
    ConfigurationError,
    StateError,
    StoreRefusedError,
    TorporError,
    UnreadableError,
)
from linux import installation
from linux.root import Root
from state import location as state_location
from state.boot import BootRecord
from state.conf import Conf, parse_size, read_conf
from state.files import write_text
from state.location import Location, read_location, read_machine_id
from state.record import HibernationRecord, Outcome
from state.working_set import ReplayRecord

RECORD = HibernationRecord(Outcome.FAILED, 1.5, 2.5, "boot", "/dev/sda2", "uuid", 9, "no room")


def test_no_file_means_no_wishes(tmp_path: Path) -> None:
    assert read_conf(str(tmp_path / "none")) == Conf()
    assert read_location(str(tmp_path / "none")) is None
    assert HibernationRecord.read(str(tmp_path / "none")) is None
    assert BootRecord.read(str(tmp_path / "none/none")) is None


def test_conf(tmp_path: Path) -> None:
    path = tmp_path / "torpor.conf"
    path.write_text(
        "# a note\n\nstore=/swapfile\n image-size = 2G \nmode = shutdown\nhelpers = a  b-c\n"
        "unguarded-file-systems = udf  hfsplus\n"
        "codec = zstd\nstall-timeout = 600\n"
    )
    assert read_conf(str(path)) == Conf(
        "/swapfile",
        2 << 30,
        "shutdown",
        ("a", "b-c"),
        "zstd",
        unguarded=("udf", "hfsplus"),
        stall_timeout=600,
    )


@pytest.mark.parametrize(
    ("value", "store"),
    [
        ('"UUID=1-2"', "UUID=1-2"),
        ("'LABEL=my swap' # the slow disk", "LABEL=my swap"),
        ('"/a # b"', "/a # b"),
        ("/dev/sda2 # comment", "/dev/sda2"),
        ("/dev/sda2\t#comment", "/dev/sda2"),
        ("/my swap#1", "/my swap#1"),
        ('UUID="1-2"', 'UUID="1-2"'),
        ("/dev/a\r", "/dev/a"),
        ("/a\u2028b", "/a\u2028b"),
    ],
)
def test_quotes_and_comments_in_conf(value: str, store: str) -> None:
    assert Conf.parse(f"store = {value}\n", "torpor.conf") == Conf(store)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("store = # nothing", "is not KEY = VALUE"),
        ('store = ""', "is not KEY = VALUE"),
        ('store = "/dev/a', "is not one quoted value"),
        ('store = "/dev/a" "/dev/b"', "is not one quoted value"),
        ("store", "'store' is not KEY = VALUE"),
        ("store =", "is not KEY = VALUE"),
        ("shop = x", "there is no 'shop'"),
        ("helpers =", "is not KEY = VALUE"),
        ("mode = off", "mode 'off' is none of platform, shutdown, reboot"),
        ("codec = gzip", "codec 'gzip' is none of lz4, lz4hc, zstd, none"),
        ("image-size = 2X", "'2X' is neither min, max nor a number of bytes"),
        ("image-size = ²", "nor a number of bytes"),
        ("image-size = 9999999999G", "nor a number of bytes"),
        ("stall-timeout = 9", "'9' is not a number of seconds from 10 to 86400"),
        ("stall-timeout = 86401", "is not a number of seconds"),
        ("stall-timeout = never", "is not a number of seconds"),
        ("working-set = maybe", "working-set 'maybe' is none of on, no-paths, off"),
    ],
)
def test_wrong_conf_names_the_line(line: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^torpor.conf, line 2: .*{message}"):
        Conf.parse(f"# first\n{line}\n", "torpor.conf")


def test_sizes() -> None:
    sizes = [parse_size(text) for text in ("0", "7", "3k", "2M", "1G", "2t")]
    assert sizes == [0, 7, 3072, 2 << 20, 1 << 30, 2 << 40]


def test_location_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "location"
    for location in (
        Location("UUID=1-2", 34816, "0123456789abcdef" * 2, "/a=b/swap file"),
        Location("/dev/mapper/vg-swap"),
        Location("UUID=1", is_external=True),
        Location("UUID=1", 7, "", "/a", is_external=False),
        Location("UUID=1", 7, store="/gr\udcfc\udcdf\r"),
    ):
        write_text(str(path), location.build())
        assert read_location(str(path)) == location
    assert Location("UUID=1", 7).parameters == "resume=UUID=1 resume_offset=7"
    assert Location("UUID=1").parameters == "resume=UUID=1"


@pytest.mark.parametrize(
    "location", [Location("UUID=1", 7, store="/a\nresume=b"), Location("/dev/a\n")]
)
def test_a_location_of_two_lines(location: Location) -> None:
    with pytest.raises(StoreRefusedError, match=r"a\n.*newline"):
        location.build()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "resume=\n",
        "resume=/dev/a\nresume_offset=-1\n",
        "resume=/dev/a\nresume_offset=1000000000000000\n",
        "resume=/dev/a\nmachine_id=x\n",
    ],
)
def test_wrong_location(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^location "):
        Location.parse(text, "location")


@pytest.mark.parametrize("by_hook", ["c" * 32, "C" * 32, "uninitialized", "", None])
@pytest.mark.parametrize("kept", ["b" * 32, None])
@pytest.mark.parametrize("by_systemd", ["a" * 32, "", None])
def test_whose_initramfs_it_is(
    by_hook: str | None,
    kept: str | None,
    by_systemd: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the hook copied, else what enable kept, else what systemd has, which may be made up."""
    for module, name, text in (
        (state_location, "MACHINE_ID", by_hook),
        (installation, "PATH", by_systemd),
    ):
        monkeypatch.setattr(module, name, str(tmp_path / name))
        if text is not None:
            write_text(str(tmp_path / name), f"{text}\n")
    said = [(by_hook or "").lower().replace("uninitialized", ""), kept or "", by_systemd or ""]
    wanted = next((each for each in said if each), "")
    assert read_machine_id(Location("UUID=1", 0, kept) if kept else None) == wanted


def test_records_are_read_back(tmp_path: Path) -> None:
    RECORD.save(str(tmp_path / "new/hibernation.json"))
    assert HibernationRecord.read(str(tmp_path / "new/hibernation.json")) == RECORD
    path = str(tmp_path / "boot.json")
    for boot in (
        BootRecord(3.5, 7, "UUID=1 did not appear"),
        BootRecord(3.5, 11, "other=kernel", ("/dev/sda2", 0), ("/dev/mapper/a b", 7)),
    ):
        boot.save(path)
        assert BootRecord.read(path) == boot
    BootRecord(3.5, 7, "what a \n device\udcff is called ü").save(path)
    found = BootRecord.read(path)
    assert found is not None
    assert found.message == r"what a \n device\udcff is called ü"


@pytest.mark.parametrize(
    ("renamed", "downtime"),
    [({"still": 7.5}, 7.5), ({"downtime": 7.5, "newer": [1]}, 7.5), ({}, 0)],
)
def test_record_of_another_version(
    renamed: dict[str, object], downtime: float, tmp_path: Path
) -> None:
    """0.1.0 called the downtime `still`; a newer one may know more."""
    path = tmp_path / "record.json"
    fields = {name: value for name, value in RECORD._asdict().items() if name != "downtime"}
    path.write_text(json.dumps(fields | renamed))
    assert HibernationRecord.read(str(path)) == RECORD._replace(downtime=downtime)


BOOT = "when=1\nexit_code=3\nmessage=x\n"


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((HibernationRecord.read, text) for text in ("", "[]", "{}", '{"a": 1}', "\0")),
        *((BootRecord.read, BOOT.replace(*change)) for change in (("=1", "="), ("=3", "=x"))),
        *((BootRecord.read, text) for text in ("", "\0", BOOT[:20], f"{BOOT}kept=/dev/sda\n")),
    ],
)
def test_damaged_record(read: Callable[[str], object], text: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text(text)
    with pytest.raises(StateError, match="is not what torpor writes"):
        read(str(path))


DEEP = "[" * 200_000


@pytest.mark.parametrize("name", ["begun", "ended", "exit_code", "message", "downtime", "store"])
@pytest.mark.parametrize("value", ['"x"', "-1", "1e400", "NaN", "[]", "{}", "null", "true", DEEP])
def test_a_record_with_a_wrong_value(name: str, value: str, tmp_path: Path) -> None:
    """What is shown of it would end in a traceback."""
    if (name in ("message", "store")) == (value == '"x"'):
        return
    path = tmp_path / "record.json"
    text = json.dumps(RECORD._asdict())
    old = json.dumps(RECORD._asdict()[name])
    path.write_text(text.replace(f'"{name}": {old}', f'"{name}": {value}'))
    assert path.read_text() != text
    with pytest.raises(StateError, match="is not what torpor writes"):
        HibernationRecord.read(str(path))


@pytest.mark.parametrize("when", ["inf", "nan", "-1", "1e300"])
def test_a_boot_at_no_time(when: str, tmp_path: Path) -> None:
    (tmp_path / "boot").write_text(BOOT.replace("=1", f"={when}"))
    with pytest.raises(StateError, match="is not what torpor writes"):
        BootRecord.read(str(tmp_path / "boot"))


READERS = [
    read_conf,
    read_location,
    HibernationRecord.read,
    BootRecord.read,
    ReplayRecord.read,
]


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_is_too_large_or_none_takes_no_time(
    read: Callable[[str], object], tmp_path: Path
) -> None:
    """Neither memory: /dev/zero has no end, and into a pipe nobody writes."""
    path = tmp_path / "file"
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)
    for name in (str(path), "/dev/zero"):
        with pytest.raises(UnreadableError, match=f"^cannot read {name}: file too large$"):
            read(name)
    os.mkfifo(tmp_path / "pipe")
    with suppress(TorporError):
        read(str(tmp_path / "pipe"))
    with pytest.raises(OSError, match="File too large"):
        Root().data("/dev/zero")
    assert Root(str(tmp_path)).text("/pipe") == ""


def test_a_record_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnreadableError, match="cannot write"):
        RECORD.save(str(tmp_path / "file/record.json"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(UnreadableError, match="cannot read"):
        read_conf(str(tmp_path / "folder"))
