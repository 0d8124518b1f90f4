"""The thin layer over the kernel, against the kernel's own headers and texts."""

import fcntl
import os
import re
import resource
import struct
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from linux import cgroups, device_mapper, filesystem, kmsg, mounts, root, snapshot, tasks
from linux.block import decode_device, encode_device
from linux.installation import machine_id
from linux.libc import checked, libc, number_of
from linux.machine import processor, ram_map, ram_map_digest
from linux.os_release import os_release
from linux.root import HOST, Root
from linux.waiting import readable
from tests.sources import opened
from tests.unit.fake_root import write
from workingset.trees import find_tree

# include/uapi/linux/suspend_ioctls.h: direction, number, size. The last two are loff_t and int.
HEADER_REQUESTS = {
    "FREEZE": 0x3301,
    "UNFREEZE": 0x3302,
    "ATOMIC_RESTORE": 0x3304,
    "FREE": 0x3305,
    "SET_SWAP_AREA": 0x400C330D,
    "GET_IMAGE_SIZE": 0x8008330E,
    "PLATFORM_SUPPORT": 0x330F,
    "POWER_OFF": 0x3310,
    "CREATE_IMAGE": 0x40043311,
    "AVAIL_SWAP_SIZE": 0x80083313,
    "ALLOC_SWAP_PAGE": 0x80083314,
}


def test_ioctl_numbers() -> None:
    """Those of linux/fs.h are _IOWR('X', 119, int) and _IOWR('X', 120, int)."""
    assert {name: getattr(snapshot, name) for name in HEADER_REQUESTS} == HEADER_REQUESTS
    assert (filesystem.FIFREEZE, filesystem.FITHAW) == (0xC0045877, 0xC0045878)


@pytest.mark.parametrize(
    ("major", "minor", "encoded"),
    [(8, 2, 0x802), (259, 5, 0x10305), (253, 256, 0x10FD00), (8, 0x12345, 0x12300845)],
)
def test_device_numbers_are_in_the_kernels_new_form(major: int, minor: int, encoded: int) -> None:
    assert encode_device(os.makedev(major, minor)) == encoded
    assert decode_device(encoded) == f"{major}:{minor}"


def test_a_wait_on_a_high_descriptor() -> None:
    """A writer may be started with many open."""
    reads, writes = os.pipe()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (5000, hard))
    try:
        high = fcntl.fcntl(reads, fcntl.F_DUPFD_CLOEXEC, 4096)
        assert not readable(high, 0)
        assert not readable(high, -1), "a deadline that has passed"
        os.write(writes, b".")
        assert readable(high, None)
        os.close(high)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(reads)
        os.close(writes)


def test_root_in_memory() -> None:
    mounted = "rootfs / rootfs rw 0 0\nproc /proc proc rw 0 0\n"
    assert root.is_memory(mounted)
    assert root.is_memory(f"{mounted}/dev/x /a\rb ext4 rw 0 0\n\n/\n")
    assert not root.is_memory(mounted + "/dev/sda1 / ext4 rw 0 0\n")
    assert not root.is_memory("tmpfs /tmp tmpfs rw 0 0\n")
    assert not root.is_memory("")


LOW, HIGH = ("0x0", "0x9fbff", "System RAM"), ("0x100000", "0x1fffffff", "System RAM")
IOMEM = "00001000-0009fbff : System RAM\n000a0000-000bffff : PCI Bus 0000:00\n"


def machine(folder: Path, files: dict[str, str]) -> Root:
    made = Root(str(folder))
    write(made, files)
    return made


def ram_map_of(folder: Path, *entries: tuple[str, str, str]) -> str:
    """Return the map of a machine whose firmware gives these entries."""
    files = {
        f"/sys/firmware/memmap/{number}/{file}": f"{value}\n"
        for number, values in enumerate(entries)
        for file, value in zip(("start", "end", "type"), values, strict=True)
    }
    return ram_map(machine(folder, files))


def test_memory_map_shows_every_field(tmp_path: Path) -> None:
    same = [ram_map_of(tmp_path / name, LOW, HIGH) for name in ("one", "other")]
    changed = [("0x1000", *HIGH[1:]), (HIGH[0], "0x2fffffff", HIGH[2]), (*HIGH[:2], "ACPI Tables")]
    others = [ram_map_of(tmp_path / entry[0] / entry[2], LOW, entry) for entry in changed]
    assert len({*same, *others, ram_map_of(tmp_path / "less", LOW)}) == 5


def test_memory_map_without_firmware_memmap(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ram_map(Root(str(tmp_path)))

    def found(iomem: str) -> str:
        return ram_map(machine(tmp_path, {"/proc/iomem": iomem}))

    assert found(IOMEM.replace("PCI", "ISA")) == found(IOMEM)
    assert found(IOMEM.replace("0009fbff", "0009ffff")) != found(IOMEM)


def test_this_machine() -> None:
    assert ram_map_digest() == ram_map_digest()
    assert re.fullmatch("[0-9a-f]{64}", ram_map_digest().hex())
    name, features = processor()
    assert name
    assert "sse2" in features


FIRST = "processor\t: 0\nmodel name\t: Testing\r 9000\nflags\t\t: fpu sse2\nbugs\t\t: f00f\n"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (f"{FIRST}\nprocessor\t: 1\nflags\t\t: fpu\n", ("Testing\r 9000", "fpu sse2")),
        ("processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\n", ("", "asimd fp")),
        ("what\n", ("", "")),
        # What a hypervisor calls it.
        (FIRST.replace("\r", "\n\n"), ("Testing", "fpu sse2")),
        (FIRST.replace("\r", "\nflags\t\t: avx\n\n"), ("Testing", "fpu sse2")),
    ],
)
def test_processor(cpuinfo: str, expected: tuple[str, str], tmp_path: Path) -> None:
    name, features = processor(machine(tmp_path, {"/proc/cpuinfo": cpuinfo}))
    assert (name, " ".join(sorted(features))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{'0123abcd' * 4}\n", "0123abcd" * 4),
        ("0123ABCD" * 4, "0123abcd" * 4),
        ("uninitialized\n", ""),
        ("0123abcd " * 4, ""),
        ("0123abcd" * 3, ""),
        ("", ""),
    ],
)
def test_machine_id(text: str, expected: str, tmp_path: Path) -> None:
    assert machine_id(Root(str(tmp_path))) == ""
    assert machine_id(machine(tmp_path, {"/etc/machine-id": text})) == expected


@pytest.mark.parametrize(("name", "known"), [("x86_64", True), ("riscv64", False)])
def test_system_calls_have_a_number_on_each_machine(
    name: str, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine=name))
    assert (number_of("openat2") > 0) == known
    with pytest.raises(OSError, match="Function not implemented"):
        checked(libc.syscall(number_of("none")))


def test_log_is_read_record_by_record_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records end with the read, have fields behind the text, and may be overwritten meanwhile."""
    path = tmp_path / "kmsg"
    path.write_bytes(b"old")
    shown = b"6,1,2,-;task:x state:D\n SUBSYSTEM=a\n"
    records: list[bytes | OSError] = [shown, BrokenPipeError(), b"3,2,3,c;a; b\n"]

    def read(fd: int, _size: int) -> bytes:
        assert os.lseek(fd, 0, os.SEEK_CUR) == 3
        record = records.pop(0) if records else BlockingIOError()
        if isinstance(record, OSError):
            raise record
        return record

    monkeypatch.setattr(kmsg, "PATH", str(path))
    with closing(kmsg.KernelLogReader()) as log, pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "read", read)
        assert log.new_messages() == ["task:x state:D", "a; b"]


def test_log_takes_more_lines_at_once_than_the_kernel_takes_from_one_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "kmsg"
    path.touch()
    monkeypatch.setattr(kmsg, "PATH", str(path))
    log = kmsg.KernelLog("x")
    lines: list[bytes] = []
    from_each: Counter[int] = Counter()

    def write(fd: int, line: bytes) -> int:
        from_each[fd] += 1
        if from_each[fd] <= 10:
            lines.append(line)
        return len(line)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "write", write)
        for number in range(40):
            log.write(kmsg.INFO, f"\udcffline\n {number}")
    log.close()
    assert lines == [rb"<6>x: \udcffline\n %d" % number + b"\n" for number in range(40)]


def test_process_is_described(tmp_path: Path) -> None:
    path = tmp_path / "a file"
    with path.open("w"):
        assert str(path) in tasks.open_files(os.getpid())
    assert str(path) not in tasks.open_files(os.getpid())
    assert os.getpid() in tasks.pids()
    with opened("/proc", os.O_RDONLY) as fd:
        number = mounts.mount_id_of(fd)
    assert "/proc" in [m.mount_point for m in mounts.read_mounts() if m.mount_id == number]
    assert tasks.mount_view(os.getpid()) == tasks.mount_view()
    assert 0 < len(tasks.name_of(os.getpid()).encode()) <= tasks.NAME_SIZE
    assert mounts.mounts_of(os.getpid()) == mounts.read_mounts()


def test_process_that_has_ended_is_an_error() -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(child, 0)
    for ask in (tasks.name_of, tasks.open_files, tasks.mount_view, cgroups.cgroup_of):
        with pytest.raises(OSError, match="No such"):
            ask(child)


def test_cgroups_are_those_of_a_folder(tmp_path: Path) -> None:
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    (inner / "cgroup.freeze").write_text("0\n")
    (inner / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    root = str(tmp_path)
    assert cgroups.children(root, "") == ["/a"]
    assert cgroups.children(root, "/a") == ["/a/b"]
    assert cgroups.is_frozen(root, "/a/b")
    assert not cgroups.is_to_be_frozen(root, "/a/b")
    cgroups.set_frozen(root, "/a/b", frozen=True)
    assert cgroups.is_to_be_frozen(root, "/a/b")


def test_synced_file_system_is_an_open_one(tmp_path: Path) -> None:
    with opened(tmp_path, os.O_RDONLY) as fd:
        filesystem.sync_file_system(fd)
    with pytest.raises(OSError, match="Bad file"):
        filesystem.sync_file_system(fd)


def test_table_of_device_mapper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the kernel writes it (drivers/md/dm-ioctl.c, retrieve_status); the first time it is full.

    tests/vm has a real one.
    """
    lines = [(0, 8, b"linear", b"8:1 2048"), (8, 90_000, b"crypt", b"aes " + b"0" * 20_000)]
    asked: list[tuple[int, int]] = []

    def ioctl(_fd: int, request: int, data: bytearray) -> None:
        assert request == 3 << 30 | 312 << 16 | 0xFD << 8 | 12
        size, begin = struct.unpack_from("<II", data, 12)
        asked.append((size, struct.unpack_from("<Q", data, 40)[0]))
        following = b""
        for start, length, kind, parameters in lines:
            rest = parameters + bytes(8 - len(parameters) % 8)
            end = len(following) + 40 + len(rest)
            following += struct.pack("<QQiI16s", start, length, 0, end, kind) + rest
        is_full = begin + len(following) > size
        struct.pack_into("<I", data, 20, len(lines))
        struct.pack_into("<I", data, 28, 1 << 8 if is_full else 0)
        if not is_full:
            data[begin : begin + len(following)] = following

    monkeypatch.setattr(device_mapper, "CONTROL", str(tmp_path / "control"))
    (tmp_path / "control").touch()
    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert [
        (start, length, kind.encode(), parameters.encode())
        for start, length, kind, parameters in device_mapper.table("253:300")
    ] == lines
    assert asked == [(16 << 10, 1 << 20 | 253 << 8 | 44), (64 << 10, 1 << 20 | 253 << 8 | 44)]


@pytest.mark.parametrize("path", ["/dev/sda\0", "\0", "/etc/fstab\0/x"])
def test_a_path_with_a_zero_byte_names_nothing(path: str) -> None:
    """As a crafted working set may have it, or a configuration: no file is called so."""
    assert (HOST.device_number(path), HOST.data(path), HOST.text(path)) == (None, None, None)
    assert (HOST.exists(path), HOST.names(path), HOST.modified(path)) == (False, [], 0)
    assert not HOST.is_same_file(path, "/")
    assert find_tree([], path, "") is None


def test_os_release_is_etcs_else_the_vendors(tmp_path: Path) -> None:
    assert os_release(Root(str(tmp_path))) == {}
    vendor = '# a comment\nID=debian\nVERSION_ID="13"\nBAD="\nNAME=\'a "b"\'\n'
    here = machine(tmp_path, {"/usr/lib/os-release": vendor})
    assert os_release(here) == {"ID": "debian", "VERSION_ID": "13", "NAME": 'a "b"'}
    write(here, {"/etc/os-release": "ID=other\n"})
    assert os_release(here) == {"ID": "other"}
