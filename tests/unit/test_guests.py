"""The virtual machines: kernels, modules and packages, the matrix of tests, what consoles say."""

import gzip
import lzma
from itertools import combinations, product
from pathlib import Path

import pytest
import zstandard

from tests.conftest import keep_rows
from tests.tools import put
from tests.unit.boot_layouts import kernel as kernel_head
from tests.vm.places import PLACES, places_of, rows
from vm import kernels
from vm.apt import Apt, apt_in, sources
from vm.debian import GENERATORS
from vm.host import HostError, run
from vm.initramfs import guest_modules
from vm.kernels import Kernel, find_kernel, kernel_of, newest_known
from vm.machine import Result, _text
from vm.suites import NEWEST, SUITES, suites_from_here

RELEASE = "7.3.4+deb13-amd64"
MAIN = "http://mirror.example/debian/"
SECURITY = "http://mirror.example/security/"
BUILTIN = "kernel/fs/builtin.ko\n"
NOT_ZERO = b"\x7fELF\0depends=%s\0"


@pytest.mark.parametrize(
    ("vmlinuz", "modules"),
    [
        (f"boot/vmlinuz-{RELEASE}", f"lib/modules/{RELEASE}"),
        (f"boot/vmlinuz-{RELEASE}", f"usr/lib/modules/{RELEASE}"),
        (f"usr/lib/modules/{RELEASE}/vmlinuz", f"usr/lib/modules/{RELEASE}"),
        ("build/vmlinuz", "build"),
    ],
)
def test_modules_are_found_beside_the_kernel(vmlinuz: str, modules: str, tmp_path: Path) -> None:
    put(tmp_path, {vmlinuz: kernel_head(RELEASE), f"{modules}/modules.builtin": BUILTIN})
    kernel = tmp_path / vmlinuz
    assert find_kernel(str(kernel)) == Kernel(RELEASE, kernel, tmp_path / modules)


def test_kernel_without_modules_says_where_they_were_looked_for(tmp_path: Path) -> None:
    put(tmp_path, {"boot/vmlinuz": kernel_head(RELEASE)})
    (tmp_path / f"lib/modules/{RELEASE}").mkdir(parents=True)  # not the modules, nor beside them
    with pytest.raises(HostError, match="but its modules are not in") as raised:
        find_kernel(f"{tmp_path}/boot/vmlinuz")
    assert f"is kernel {RELEASE}, " in str(raised.value)
    assert f"{tmp_path}/usr/lib/modules/{RELEASE}" in str(raised.value)


@pytest.mark.parametrize("which", ["7", "7.3.4", "linux", "/nowhere/vmlinuz"])
def test_neither_series_nor_file(which: str) -> None:
    with pytest.raises(HostError, match="neither a kernel series"):
        find_kernel(which)


def test_modules_of_every_compression(tmp_path: Path) -> None:
    """Each needs the one before it, and comes after it."""
    streaming = zstandard.ZstdCompressor().compressobj()  # its frames do not tell their size
    plain, gz, xz, zst = (
        NOT_ZERO % depends for depends in (b"", b"virtio-pci", b"virtio-blk", b"ext4,builtin")
    )
    packed = {
        "virtio_pci.ko": plain,
        "virtio_blk.ko.gz": gzip.compress(gz),
        "ext4.ko.xz": lzma.compress(xz),
        "dm-mod.ko.zst": streaming.compress(zst) + streaming.flush(),
    }
    put(tmp_path, {"modules.builtin": BUILTIN, **packed})
    found = guest_modules(Kernel(RELEASE, tmp_path / "vmlinuz", tmp_path), ["dm_mod"])
    wanted = {"virtio_pci": plain, "virtio_blk": gz, "ext4": xz, "dm_mod": zst}
    assert list(found.items()) == list(wanted.items())


def test_module_that_nothing_unpacks(tmp_path: Path) -> None:
    put(tmp_path, {"modules.builtin": BUILTIN, "virtio_pci.ko.br": "?"})
    with pytest.raises(HostError, match=r"cannot unpack .*virtio_pci\.ko\.br"):
        guest_modules(Kernel(RELEASE, tmp_path / "vmlinuz", tmp_path))


def archive_of(monkeypatch: pytest.MonkeyPatch, *releases: str) -> None:
    """Have lists with the kernels of these releases, from which nothing is downloaded."""
    names = {f"linux-image-{release}" for release in releases}
    monkeypatch.setattr(Apt, "names", lambda _, prefix: {n for n in names if prefix in n})
    monkeypatch.setattr(kernels, "apt_of", lambda _: Apt())
    monkeypatch.setattr(kernels, "_unpacked", lambda release, _: release)


def test_newest_of_a_series_and_of_a_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    archive_of(
        monkeypatch,
        "6.12.107+deb13-amd64",
        "6.12.117+deb13-amd64",
        "6.12.99+deb13-amd64",
        "6.1.0-9-amd64",
        "6.1.0-56-amd64",
        "7.3.4+deb13-amd64",
        "7.3.9+deb13-rt-amd64",
        "7.3.9+deb13-amd64-unsigned",
        "7.4.1+deb13-cloud-amd64",
    )
    assert str(kernel_of("13", "6.12")) == "6.12.117+deb13-amd64"
    assert str(find_kernel("6.1")) == "6.1.0-56-amd64"
    assert str(kernel_of("13", NEWEST)) == "7.3.4+deb13-amd64"
    with pytest.raises(HostError, match=r"no kernel 6\.2 "):
        find_kernel("6.2")


def test_newest_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the newest of all, nor the greatest as a text."""
    archive_of(monkeypatch, "6.1.0-9-amd64", "6.12.3-amd64", "99.1.2-amd64")
    assert newest_known() == "6.12"
    archive_of(monkeypatch, "99.1.2-amd64")
    with pytest.raises(HostError, match=r"have kernel 99\.1, .* on kernel 6\.1, 6\.12, ") as raised:
        newest_known()
    assert "--kernel" in str(raised.value)
    archive_of(monkeypatch)
    with pytest.raises(HostError, match="have no kernel"):
        newest_known()


def targets(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr(Apt, "get", lambda *_: "\n".join(lines))


def test_suites_come_from_the_hosts_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    targets(
        monkeypatch,
        "Somebody|bookworm|http://elsewhere.example/",
        f"Debian|bookworm|{MAIN}",
        f"Debian|bookworm-security|{SECURITY}",
        f"Debian Backports|bookworm-backports|{SECURITY}",
    )
    lines = [line.split("] ")[1] for line in sources(SUITES["13"])]
    assert lines == [
        f"{MAIN} trixie main",
        f"{MAIN} trixie-updates main",
        f"{SECURITY} trixie-security main",
        f"{MAIN} trixie-backports main",
    ]


def test_host_without_security_or_without_debian(monkeypatch: pytest.MonkeyPatch) -> None:
    targets(monkeypatch, f"Debian|trixie|{MAIN}")
    assert not any("security" in line for line in sources(SUITES["12"]))
    targets(monkeypatch, f"Debian|trixie-security|{SECURITY}", f"Ubuntu|noble|{MAIN}")
    with pytest.raises(HostError, match="no package lists of Debian"):
        sources(SUITES["12"])


def test_lists_of_our_own_leave_the_hosts_alone(tmp_path: Path) -> None:
    """apt itself says where it would read and write."""
    said = run("apt-config", *apt_in(tmp_path).options, "dump")
    places = dict(line.rstrip(";").split(" ", 1) for line in said.splitlines() if " " in line)
    for name in ("Dir::State", "Dir::Cache", "Dir::Etc::sourcelist"):
        assert places[name].strip('"').startswith(str(tmp_path)), name
    assert places["Dir::Etc::sourceparts"] == '"/dev/null"'
    assert "\nAPT::Update::Post-Invoke-Success:: " not in said  # an entry of that list


PLACE_NAMES = [place.name for place in PLACES]
KERNELS = [(suite.name, series) for suite in SUITES.values() for series in suite.series]
"""Each suite's own. The newest of 13 is that of its backports, another one than unstable's."""
FACTORS = ("generator", "suite", "kernel", "place")
HEAD = ("what", "where", "seconds")


def levels(generator: str, suite: str, series: str, place: str) -> dict[str, str]:
    kernel = f"{suite} {series}" if series == NEWEST else series
    return dict(zip(FACTORS, (generator, suite, kernel, place), strict=True))


WANTED = [
    levels(generator, suite, series, place)
    for generator, (suite, series), place in product(GENERATORS, KERNELS, PLACE_NAMES)
]
"""All rows that there could be."""
ROWS = [levels(*kind, place.name) for kind, place in rows()]


@pytest.mark.parametrize(("one", "other"), list(combinations(FACTORS, 2)))
def test_every_pair_occurs(one: str, other: str) -> None:
    wanted = {(row[one], row[other]) for row in WANTED}
    assert {(row[one], row[other]) for row in ROWS} == wanted


def test_as_many_levels_as_there_should_be() -> None:
    assert len(set(PLACE_NAMES)) == len(PLACE_NAMES) == 10
    assert (len(GENERATORS), len(SUITES), len(KERNELS)) == (3, 3, 5)


def test_each_row_runs_once_and_on_few_machines() -> None:
    named = [(*kind, place.name) for kind, place in rows()]
    assert len(named) == len(set(named)) == 4 * len(PLACES)
    machines = list(dict.fromkeys(kind for kind, _ in rows()))
    assert len(machines) == 12
    assert [(kind, place) for kind in machines for place in places_of(kind)] == list(rows())


@pytest.mark.parametrize(
    ("codename", "names"),
    [
        ("bookworm", ["12", "13", "unstable"]),
        ("trixie", ["13", "unstable"]),
        ("sid", ["unstable"]),
        ("noble", ["unstable"]),
        (None, ["unstable"]),
    ],
)
def test_programs_run_on_suites_no_older_than_the_host(
    codename: str | None, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = {"VERSION_CODENAME": codename} if codename else {}
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: release)
    assert [suite.name for suite in suites_from_here()] == names


def test_runs_add_to_a_kept_table(tmp_path: Path) -> None:
    file = tmp_path / "table.md"
    keep_rows(file, HEAD, [("b", "x", "1"), ("a", "y", "-")], 2)
    keep_rows(file, HEAD, [("a", "y", "3"), ("a", "x", "4")], 2)
    assert file.read_text().splitlines() == [
        "| what | where | seconds |",
        "| --- | --- | --- |",
        "| a | x | 4 |",
        "| a | y | 3 |",
        "| b | x | 1 |",
    ]


FAILED = "[ 34.2] Freezing of tasks failed after 20.008 seconds (1 tasks refusing to freeze):\n"
RUNS = "[ 34.2] task:torpor  state:R  running task     stack:0     pid:250   ppid:222\n"
SLEEPS = "[ 34.2] task:cp      state:D stack:0     pid:305   ppid:121    flags:0x00000006\n"
TRACE = "[ 34.2] Call Trace:\n[ 34.2]  <TASK>\n"
AT_THE_BREAKPOINT = "[ 34.2]  ? get_signal+0xa0/0x990\n[ 34.2]  ? get_signal+0xa1/0x990\n"
ELSEWHERE = "[ 34.2]  __schedule+0x34d/0xa00\n[ 34.2]  mnt_want_write+0x8b/0xc0\n"


@pytest.mark.parametrize(
    ("console", "is_it"),
    [
        (FAILED + RUNS + TRACE + AT_THE_BREAKPOINT, True),
        (FAILED + SLEEPS + TRACE + ELSEWHERE, False),
        (FAILED + RUNS + TRACE + ELSEWHERE, False),
        (FAILED + SLEEPS + TRACE + AT_THE_BREAKPOINT, False),
        (RUNS + TRACE + AT_THE_BREAKPOINT, False),
    ],
)
def test_a_task_that_the_emulator_keeps_is_told_from_one_that_we_do(
    console: str, is_it: bool
) -> None:
    assert Result(0, console, [], 1.0).is_emulators_fault == is_it


def test_a_line_is_told_when_it_is_whole(tmp_path: Path) -> None:
    """Half a number would be taken for one; what a console asks for ends with no line."""
    for name, shown in (("a.report", "before a=1\n"), ("a.log", "before a=1\nafter a=")):
        (tmp_path / name).write_bytes(b"before a=1\r\nafter a=")
        assert _text(tmp_path / name) == shown
