"""Where the virtual machines' kernels, modules and packages come from."""

import gzip
import lzma
import struct
from pathlib import Path

import pytest
import zstandard

from vm import kernels
from vm.apt import Apt, apt_in, sources
from vm.host import HostError, run
from vm.initramfs import guest_modules
from vm.kernels import Kernel, find_kernel, kernel_of, newest_known
from vm.suites import NEWEST, SUITES

RELEASE = "7.3.4+deb13-amd64"
MAIN = "http://mirror.example/debian/"
SECURITY = "http://mirror.example/security/"
NOT_ZERO = b"\x7fELF\0depends=%s\0"


def make_vmlinuz(path: Path) -> Path:
    """Make just enough of a kernel to tell its release."""
    head = bytearray(0x400)
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x20E, 0x100)
    head[0x300 : 0x300 + len(RELEASE) + 6] = f"{RELEASE} (me)"[: len(RELEASE) + 6].encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head)
    return path


def make_modules(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "modules.builtin").write_text("kernel/fs/builtin.ko\n")
    return folder


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
    kernel = make_vmlinuz(tmp_path / vmlinuz)
    folder = make_modules(tmp_path / modules)
    assert find_kernel(str(kernel)) == Kernel(RELEASE, kernel, folder)


def test_kernel_without_modules_says_where_they_were_looked_for(tmp_path: Path) -> None:
    kernel = make_vmlinuz(tmp_path / "boot/vmlinuz")
    (tmp_path / f"lib/modules/{RELEASE}").mkdir(parents=True)  # not the modules, nor beside them
    with pytest.raises(HostError, match="but its modules are not in") as raised:
        find_kernel(str(kernel))
    assert f"is kernel {RELEASE}, " in str(raised.value)
    assert f"{tmp_path}/usr/lib/modules/{RELEASE}" in str(raised.value)


@pytest.mark.parametrize("which", ["7", "7.3.4", "linux", "/nowhere/vmlinuz"])
def test_neither_series_nor_file(which: str) -> None:
    with pytest.raises(HostError, match="neither a kernel series"):
        find_kernel(which)


def test_modules_of_every_compression(tmp_path: Path) -> None:
    """Each needs the one before it, and comes after it."""
    folder = make_modules(tmp_path / "modules")
    streaming = zstandard.ZstdCompressor().compressobj()  # its frames do not tell their size
    plain, gz, xz, zst = (
        NOT_ZERO % depends for depends in (b"", b"virtio-pci", b"virtio-blk", b"ext4,builtin")
    )
    (folder / "virtio_pci.ko").write_bytes(plain)
    (folder / "virtio_blk.ko.gz").write_bytes(gzip.compress(gz))
    (folder / "ext4.ko.xz").write_bytes(lzma.compress(xz))
    (folder / "dm-mod.ko.zst").write_bytes(streaming.compress(zst) + streaming.flush())
    kernel = Kernel(RELEASE, tmp_path / "vmlinuz", folder)
    found = guest_modules(kernel, ["dm_mod"])
    wanted = {"virtio_pci": plain, "virtio_blk": gz, "ext4": xz, "dm_mod": zst}
    assert list(found.items()) == list(wanted.items())


def test_module_that_nothing_unpacks(tmp_path: Path) -> None:
    folder = make_modules(tmp_path / "modules")
    (folder / "virtio_pci.ko.br").write_bytes(b"?")
    with pytest.raises(HostError, match=r"cannot unpack .*virtio_pci\.ko\.br"):
        guest_modules(Kernel(RELEASE, tmp_path / "vmlinuz", folder))


class FakeArchive:
    """Lists with the kernels of these releases, from which nothing is downloaded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *releases: str) -> None:
        names = {f"linux-image-{release}" for release in releases}
        monkeypatch.setattr(Apt, "names", lambda _, prefix: {n for n in names if prefix in n})
        monkeypatch.setattr(kernels, "apt_of", lambda _: Apt())
        monkeypatch.setattr(kernels, "_unpacked", lambda release, _: release)


def test_newest_of_a_series_and_of_a_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeArchive(
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
    FakeArchive(monkeypatch, "6.1.0-9-amd64", "6.12.3-amd64", "99.1.2-amd64")
    assert newest_known() == "6.12"
    FakeArchive(monkeypatch, "99.1.2-amd64")
    with pytest.raises(HostError, match=r"have kernel 99\.1, .* on kernel 6\.1, 6\.12, ") as raised:
        newest_known()
    assert "--kernel" in str(raised.value)
    FakeArchive(monkeypatch)
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
