"""No unit test may stop, freeze or restore the machine that it runs on."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

import resume.__main__ as resume_program
from hibernate import freeze, opened
from hibernate.signals import STOPPING
from linux import cgroups, efivar, filesystem, installation, kmsg, power, root, snapshot, tasks
from linux.mounts import MountTable, SwapArea, read_mounts
from resume import find, images, restore, unsealing, wait
from resume import request as asked
from seal import pending
from state import boot, conf, location, record, sealing, server, working_set
from store import find as store_find
from store import identity, place
from store.place import Place
from store.swap import SwapStore
from tests.forge import PAGE, header_page
from tests.servers.proxy import Proxy
from tests.tools import Result, failing
from tests.unit.booting import Boot
from tests.unit.cached_files import drop, put_files, resident
from tests.unit.enabling import Enabled
from tests.unit.fake_machine import FakeMachine
from tests.unit.fake_snapshot import FakeSnapshot, PoweredOff
from tests.unit.hibernating import Hibernation
from tests.unit.marked import INSTALLATION, put_image
from tests.unit.mounted import Mounted, fresh
from tests.unit.on_server import OnServer
from tests.unit.restoring import stand_in
from tests.unit.sealing import PASSPHRASE, Typist
from tests.unit.soft_tpm import Listener, SoftTpm
from torpor.__main__ import main
from torpor.enable import announce
from vm.s3_server import S3Server
from workingset import page_out
from workingset import record as workingset_record
from workingset import replay as workingset_replay

STREAM = b"".join(bytes([n % 7]) * 4000 + os.urandom(96) for n in range(600)) + bytes(8192)
RUNS = [(page, 1) for page in range(5, 1500, 2)]


@pytest.fixture
def children() -> Callable[[], set[str]]:
    """Return what tells the processes that this one has begun since and not waited for."""
    file = Path(f"/proc/self/task/{os.getpid()}/children")
    before = set(file.read_text().split())
    return lambda: set(file.read_text().split()) - before


@pytest.fixture(autouse=True)
def _harmless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forbidden = failing(AssertionError("a unit test touched the machine"))
    monkeypatch.setattr(snapshot, "PATH", "/nonexistent/snapshot")
    monkeypatch.setattr(power, "reboot", failing(PoweredOff()))
    monkeypatch.setattr(power, "restart_at_once", forbidden)
    monkeypatch.setattr(filesystem, "freeze", forbidden)
    monkeypatch.setattr(filesystem, "thaw", forbidden)
    monkeypatch.setattr(tasks, "lock_memory", lambda: None)
    monkeypatch.setattr(tasks, "forbid_core_dump", lambda: None)
    monkeypatch.setattr(tasks, "be_idle", lambda: None)
    monkeypatch.setattr(page_out, "advise", lambda _pidfd, _ranges, _what: 0)
    monkeypatch.setattr(freeze, "every_mount", list)
    monkeypatch.setattr(freeze, "refuse_unlisted", lambda _table, _store, _unguarded: None)
    monkeypatch.setattr(freeze, "flush", lambda _mounts: None)
    monkeypatch.setattr(cgroups, "mount_point", lambda: None)
    monkeypatch.setattr(kmsg, "PATH", "/nonexistent/kmsg")
    monkeypatch.setattr(efivar, "FOLDER", "/nonexistent/efivars")
    monkeypatch.setattr(power, "IMAGE_SIZE", "/nonexistent/image_size")
    monkeypatch.setattr(power, "RESERVED_SIZE", "/nonexistent/reserved_size")
    monkeypatch.setattr(power, "RESUME", "/nonexistent/resume")
    monkeypatch.setattr(power, "RESUME_OFFSET", "/nonexistent/resume_offset")
    monkeypatch.setattr(announce, "PATH", str(tmp_path / "kept/announced"))
    monkeypatch.setattr(opened, "image_of", lambda _sizes, _limit: 0)
    monkeypatch.setattr(power, "preferred_image_size", lambda: 0)
    monkeypatch.setattr(record, "HIBERNATION_PATH", str(tmp_path / "kept/hibernation.json"))
    monkeypatch.setattr(boot, "PATH", str(tmp_path / "kept/resume"))
    monkeypatch.setattr(working_set, "WAITING_PATH", str(tmp_path / "kept/workingset"))
    monkeypatch.setattr(working_set, "REPLAY_PATH", str(tmp_path / "kept/replay.json"))
    monkeypatch.setattr(location, "PATH", str(tmp_path / "kept/location"))
    monkeypatch.setattr(conf, "PATH", str(tmp_path / "kept/torpor.conf"))
    monkeypatch.setattr(sealing, "PATH", str(tmp_path / "kept/sealing"))
    monkeypatch.setattr(server, "PATH", str(tmp_path / "kept/server"))
    monkeypatch.setattr(pending, "PATH", str(tmp_path / "kept/pending"))
    monkeypatch.setattr(identity, "machine_id", lambda _root: INSTALLATION)
    monkeypatch.setattr(asked, "read_machine_id", lambda _kept: INSTALLATION)


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """The command handles them; the test run that calls its `main` goes on ending by them."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    """A thread that a test leaves takes the signals that a later one sends to this process."""
    before = threading.active_count()
    yield
    assert threading.active_count() == before


Torpor = Callable[..., Result]


@pytest.fixture
def torpor(capfd: pytest.CaptureFixture[str]) -> Torpor:
    """Run the command in this process."""

    def run(*words: str | Path) -> Result:
        try:
            code = main([*map(str, words)])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else -1
        return Result(code, *capfd.readouterr())

    return run


@pytest.fixture
def torpor_resume(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Torpor:
    """Run the resumer in this process."""

    def run(*words: str) -> Result:
        monkeypatch.setattr("sys.argv", ["torpor-resume", *words])
        return Result(resume_program.main(), *capfd.readouterr())

    return run


SwapFile = Callable[[int], Path]


@pytest.fixture
def swap_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SwapFile:
    """Make a file with mkswap's header that is taken for swap in use on a partition."""

    def make(pages: int) -> Path:
        path = tmp_path / "swap"
        uuid = UUID("11111111-2222-3333-4444-555555555555")
        path.write_bytes(header_page(pages, uuid=uuid) + bytes((pages - 1) * 4096))
        area = SwapArea(str(path), is_partition=True, size=pages * 4096, used=0)
        monkeypatch.setattr(opened, "open_store", lambda name: SwapStore(area, Place(name, 0)))
        return path

    return make


@pytest.fixture
def hibernation(swap_file: SwapFile, monkeypatch: pytest.MonkeyPatch) -> Hibernation:
    """One to a swap file."""
    return Hibernation(swap_file(2000), monkeypatch)


@pytest.fixture
def hibernated(swap_file: SwapFile) -> Path:
    """A swap file with an image of STREAM in RUNS; its header without the image is beside it."""
    path = swap_file(1500)
    path.with_name("header").write_bytes(path.read_bytes()[:PAGE])
    put_image(path, STREAM, RUNS)
    return path


@pytest.fixture
def on_server(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnServer:
    """A machine with an empty store on the server, whose boots type the passphrase."""
    path = tmp_path / "machine-id"
    path.write_text(f"{INSTALLATION}\n")
    monkeypatch.setattr(installation, "PATH", str(path))
    monkeypatch.setattr(unsealing, "Asking", lambda: Typist(PASSPHRASE))
    monkeypatch.setattr(store_find, "why_not_reached", lambda *_: "")
    return OnServer(s3_server, STREAM, monkeypatch)


@pytest.fixture(name="by_proxy")
def _by_proxy(on_server: OnServer, proxy: Proxy) -> Iterator[OnServer]:
    """That machine, whose store is reached by the proxy."""
    direct = on_server.url
    on_server.url = proxy.url(on_server.prefix)
    yield on_server
    on_server.url = direct


@pytest.fixture(name="root")
def _root(tmp_path: Path) -> root.Root:
    """An empty system."""
    return root.Root(str(tmp_path))


@pytest.fixture
def fake(tmp_path: Path) -> FakeMachine:
    """A sound machine."""
    return FakeMachine(tmp_path)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Enabled:
    """A machine before `torpor enable`, whose stand-ins for generators are found."""
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return Enabled(tmp_path)


@pytest.fixture(name="boot")
def _boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Boot:
    made = Boot(tmp_path)
    monkeypatch.setattr(root, "is_in_memory", lambda: True)
    monkeypatch.setattr(wait, "find_devices", made.find_devices)
    monkeypatch.setattr(wait, "is_external", lambda path: path in made.external)
    monkeypatch.setattr(find, "whole_devices", made.whole_devices)
    monkeypatch.setattr(find, "is_external", lambda path: path in made.external)
    monkeypatch.setattr(wait, "Surroundings", lambda: made.clock)
    monkeypatch.setattr(wait, "WAITER", str(tmp_path / "kept/waiter"))
    monkeypatch.setattr(wait, "WAITED", str(tmp_path / "kept/waited"))
    return made


@pytest.fixture
def restoring(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a boot restore by a stand-in, and the guard find all unchanged."""
    monkeypatch.setattr(images, "restore", stand_in)
    monkeypatch.setattr(images, "compare", lambda *_: None)


@pytest.fixture
def device(boot: Boot, monkeypatch: pytest.MonkeyPatch) -> FakeSnapshot:
    """What the resumer restores STREAM to, in an initramfs whose guard lets it."""
    fake = FakeSnapshot(STREAM)
    monkeypatch.setattr(restore, "open_snapshot", fake.open)
    monkeypatch.setattr(images, "compare", lambda *_: None)
    return fake


@pytest.fixture
def soft(tmp_path: Path) -> Iterator[SoftTpm]:
    """A TPM of software, into which nothing was measured."""
    made = SoftTpm(tmp_path / "tpm")
    yield made
    made.power_off()


@pytest.fixture
def bus(soft: SoftTpm, tmp_path: Path) -> Iterator[Listener]:
    """Who listens on the way to that TPM."""
    listener = Listener(soft, tmp_path)
    yield listener
    listener.close()


@pytest.fixture
def typist(monkeypatch: pytest.MonkeyPatch) -> Typist:
    """Who is asked at the boots of a machine that seals, and types nothing yet."""
    made = Typist()
    monkeypatch.setattr(unsealing, "Asking", lambda: made)
    return made


Handed = list[tuple[int, ...]]


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> Handed:
    """What was named to the kernel, which then knows no name in the firmware any more."""
    calls: Handed = []

    def name_place(*words: int) -> None:
        assert not Path(efivar.FOLDER, efivar.HIBERNATE_LOCATION).exists()
        calls.append(words)

    monkeypatch.setattr(power, "name_place", name_place)
    return calls


@pytest.fixture
def mounted(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mounted]:
    """A fresh file system of the kind that is asked for, on a loop device taken for a disk."""
    monkeypatch.delitem(place.VOLATILE, "loop")
    with fresh(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def on_disk(tmp_path: Path) -> Path:
    """A folder whose files need not be cached: on a tmpfs what is cached cannot be dropped."""
    (tmp_path / "probe").write_bytes(b"x")
    drop(tmp_path / "probe", sync=True)
    if resident(tmp_path / "probe"):
        pytest.skip("the temporary folder is in memory")
    return tmp_path


@pytest.fixture
def cached(on_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of put_files, taken for all that is mounted.

    A walk through all that is, however long, would depend on what the machine did before.
    """
    folder = on_disk / "cached"
    put_files(folder)
    mount = MountTable(read_mounts()).mount_above(str(folder))
    assert mount
    below = str(folder)[len(mount.mount_point.rstrip("/")) :]
    only = mount._replace(root=mount.root.rstrip("/") + below, mount_point=str(folder))
    for module in (workingset_record, workingset_replay):
        monkeypatch.setattr(module, "read_mounts", lambda: [only])
    return folder
