"""enable and disable on a system in a folder, with stand-ins for the programs that they start."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from errors import NoGeneratorError, SetupError
from initramfs.generators.find import GENERATORS
from initramfs.generators.generator import Target
from initramfs.generators.layers import Crypt, Volume
from state.conf import Conf
from state.location import Location
from store.choose import Settings
from store.find import Found, Kind
from store.place import Place
from tests.tools import output, put
from tests.unit.fake_machine import HOME_UUID, MACHINE_ID, FakeMachine
from torpor.enable.enable import LOGIND, SLEEP, disable, enable, take_effect, target_of
from torpor.enable.system import NOTE, System

UUID = "01234567-89ab-cdef-0123-456789abcdef"
PLAIN = Target(Location(f"UUID={UUID}", 0, "f" * 32))
FILE = Target(
    Location("UUID=aaaa", 77, "f" * 32, "/store"),
    (Volume("disk-im--age", "disk/im-age"), Crypt("secret", UUID, "sda2")),
)
INITRAMFS_TOOLS = ("/usr/sbin/mkinitramfs", "/usr/sbin/update-initramfs")
PROGRAMS = ("update-initramfs", "dracut", "mkinitcpio", "systemctl", "busctl")


class Machine:
    """A system in a folder that notes which programs were started on it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.bin = folder / "bin"
        self.log = folder / "log"
        self.said: list[str] = []
        self.bin.mkdir()
        for name in PROGRAMS:
            self.program(name)
        for name in ("etc/initramfs-tools/conf.d", "etc/dracut.conf.d", "etc/systemd/system"):
            (self.root / name).mkdir(parents=True)
        self.system = System(str(self.root))

    def program(self, name: str, then: str = "") -> None:
        """Install a stand-in that writes its words into the log."""
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>{self.log}\n{then}\n')
        path.chmod(0o755)

    def has(self, *names: str) -> None:
        put(self.root, dict.fromkeys(names, ""))

    def runs_systemd(self) -> None:
        (self.root / "run/systemd/system").mkdir(parents=True)

    def started(self) -> list[str]:
        """Return what was started since the last time."""
        text = self.log.read_text() if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        return text.splitlines()

    def files(self) -> dict[str, str]:
        """Return all files, and folders with what systemd's drop-ins are in."""
        return {
            str(path.relative_to(self.root)): path.read_text() if path.is_file() else ""
            for path in self.root.rglob("*")
        }

    def enable(self, target: Target = PLAIN) -> None:
        enable(self.system, target, self.said.append, list)

    def disable(self, *, with_rebuild: bool = True) -> bool:
        assert disable(self.system, self.said.append, list if with_rebuild else None) == []
        return self.said[-1] != "torpor is not enabled: nothing changed"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setenv("PATH", f"{made.bin}:{os.environ['PATH']}")
    made.has(*INITRAMFS_TOOLS)
    return made


ASKED = (
    "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager "
    "CanHibernate"
)
RESTART = "systemctl try-restart systemd-logind.service"


def test_enable_and_disable(machine: Machine) -> None:
    before = machine.files()
    machine.runs_systemd()
    running = machine.files()
    machine.enable(FILE)
    assert machine.started() == ["systemctl daemon-reload", "update-initramfs -u -k all"]
    files = machine.files()
    assert files["var/lib/torpor/location"] == FILE.location.build()
    assert files["etc/initramfs-tools/conf.d/torpor"] == f"{NOTE}RESUME=UUID=aaaa\n"
    sleep = files[SLEEP[1:]]
    assert sleep.startswith(NOTE)
    lines = sleep.splitlines()
    assert lines[lines.index("[Service]") + 1 :] == [
        "ExecStart=",
        "ExecStart=/usr/bin/torpor hibernate --sleep-hooks",
    ]
    assert "\nEnvironment=SYSTEMD_BYPASS_HIBERNATION_MEMORY_CHECK=1\n" in files[LOGIND[1:]]
    assert machine.disable()
    assert machine.started() == ["systemctl daemon-reload", RESTART, "update-initramfs -u -k all"]
    left = {name for name in machine.files() if name not in running}
    assert left <= {"var", "var/lib"}
    assert before.items() <= machine.files().items()


@pytest.mark.parametrize(
    ("answer", "restarts"), [("yes", 0), ("challenge", 0), ("no", 1), ("na", 1)]
)
def test_logind_is_restarted_where_it_says_no_and_has_the_last_word(
    answer: str, restarts: int, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have sessions: where it says yes, the next boot is early enough."""
    machine.runs_systemd()
    machine.program("busctl", f"""echo 's "{answer}"'""")
    monkeypatch.setattr("torpor.enable.enable.announce", lambda *_: None)
    assert len(take_effect(machine.system, Settings(Conf(), "quiet", None))) == restarts
    assert machine.started() == [ASKED, *[RESTART] * restarts, ASKED]


def test_without_a_running_systemd_nothing_is_reloaded(machine: Machine) -> None:
    machine.enable(FILE)
    assert machine.started() == ["update-initramfs -u -k all"]
    assert SLEEP[1:] in machine.files()
    machine.disable()
    assert machine.started() == ["update-initramfs -u -k all"]


def test_enabling_twice_is_enabling_once(machine: Machine) -> None:
    machine.runs_systemd()
    machine.enable(FILE)
    once = machine.files()
    machine.started()
    machine.enable(FILE)
    assert machine.files() == once
    assert machine.started() == ["systemctl daemon-reload", "update-initramfs -u -k all"]


def test_enabling_for_another_store_takes_the_first_ones_files_away(machine: Machine) -> None:
    machine.runs_systemd()
    machine.enable(FILE)
    machine.started()
    machine.enable(PLAIN)
    files = machine.files()
    assert files["var/lib/torpor/location"] == PLAIN.location.build()
    assert "etc/initramfs-tools/conf.d/torpor" not in files


def test_disable_without_enable(machine: Machine) -> None:
    before = machine.files()
    assert not machine.disable()
    assert machine.files() == before
    assert machine.started() == []


def test_disable_may_leave_the_initramfs(machine: Machine) -> None:
    machine.enable()
    machine.started()
    assert machine.disable(with_rebuild=False)
    assert machine.started() == []


@pytest.mark.parametrize("failing", ["update-initramfs", "systemctl"])
def test_a_step_that_fails_undoes_all(machine: Machine, failing: str) -> None:
    machine.runs_systemd()
    before = machine.files()
    machine.program(failing, "echo first; echo the disk is full >&2; exit 3")
    with pytest.raises(SetupError, match="status 3: the disk is full"):
        machine.enable(FILE)
    left = {name for name in machine.files() if name not in before}
    assert left <= {"var", "var/lib"}
    started = machine.started()
    assert "systemctl daemon-reload" in started[1:], "systemd hears of the undo"
    if failing == "update-initramfs":
        assert started[-1] == started[-3] == "update-initramfs -u -k all", "made again at last"


def test_a_failed_change_puts_the_last_one_back(machine: Machine) -> None:
    machine.enable(FILE)
    before = machine.files()
    machine.program("update-initramfs", "exit 1")
    with pytest.raises(SetupError, match="the initramfs cannot be rebuilt"):
        machine.enable(PLAIN)
    assert machine.files() == before


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["==> ERROR: binary not found: 'x'", "==> WARNING: errors were encountered"],
            "==> ERROR: binary not found: 'x'",
        ),
        (["W: slow", "E: no busybox", "update-initramfs: failed"], "E: no busybox"),
        (["dracut[I]: Error: none", "x"], "dracut[I]: Error: none"),
        (["dracut[W]: old", "dracut[F]: no space", "dracut[I]: bye"], "dracut[F]: no space"),
        (["one", "two"], "two"),
        ([], "nothing"),
    ],
)
def test_the_line_that_says_why(machine: Machine, lines: list[str], said: str) -> None:
    words = " ".join(f'"{line}"' for line in lines)
    machine.program("dracut", f'for line in {words}; do echo "$line" >&2; done; exit 1')
    with pytest.raises(SetupError) as failed:
        machine.system.run(["dracut"])
    assert str(failed.value) == f"dracut failed with status 1: {said}"


@pytest.mark.parametrize("name", [SLEEP, LOGIND, "/etc/initramfs-tools/conf.d/torpor"])
def test_a_foreign_file_is_never_touched(machine: Machine, name: str) -> None:
    machine.has(name)
    path = machine.root / name[1:]
    path.write_text("# mine\n")
    before = machine.files()
    with pytest.raises(SetupError, match="torpor enable did not write it"):
        machine.enable(FILE)
    machine.disable()
    assert path.read_text() == "# mine\n"
    assert {name for name in machine.files() if name not in before} <= {"var", "var/lib"}


def test_no_generator(machine: Machine) -> None:
    (machine.root / "usr/sbin/mkinitramfs").unlink()
    with pytest.raises(NoGeneratorError, match="no initramfs generator is installed"):
        machine.enable()
    assert "var" not in machine.files()


def generator_text(name: str, target: Target) -> str:
    return next(generator for generator in GENERATORS if generator.name == name).text(target)


def dracut_command_line(omitted: str, target: Target) -> list[str]:
    """Return the words that dracut takes, as its shell reads the file."""
    script = f"omit_dracutmodules={omitted!r}\n{generator_text('dracut', target)}\n"
    script += "echo ${kernel_cmdline-} ${add_device-} ${torpor_luks:+($torpor_luks)}"
    return output("bash", "-euc", script).split()


def test_dracut_is_told_what_to_open() -> None:
    lvm = "rd.lvm.lv=disk/im-age"
    luks = [f"rd.luks.uuid={UUID}", f"rd.luks.name={UUID}=secret"]
    assert dracut_command_line(" systemd systemd-initrd ", FILE) == [lvm, *luks, "(secret)"]
    if Path("/usr/lib/systemd/systemd").exists():
        assert dracut_command_line("", FILE) == [lvm, "(secret)"]
    assert generator_text("dracut", PLAIN) == ""


def test_what_lies_below_a_store(tmp_path: Path) -> None:
    """An LV on LUKS, with a file of the root on it as the store."""
    fake = FakeMachine(tmp_path)
    fake.mapped("secret", f"CRYPT-LUKS2-{UUID.replace('-', '')}-secret")
    fake.home("disk-im--age", "LVM-abc", below="dm-0")
    store = Found("/store", Kind.STORE_FILE, Place("/dev/dm-5", 77), 0, None, holds_image=False)
    assert target_of(store, fake.machine()) == FILE._replace(
        location=Location(f"UUID={HOME_UUID}", 77, MACHINE_ID, "/store", is_external=False)
    )


def test_a_folder_of_others_stays(machine: Machine) -> None:
    folder = machine.root / "etc/systemd/system/systemd-hibernate.service.d"
    folder.mkdir()
    (folder / "mine.conf").write_text("[Service]\n")
    machine.enable()
    machine.disable()
    assert [path.name for path in folder.iterdir()] == ["mine.conf"]


def test_an_undo_that_has_nothing_to_say(machine: Machine) -> None:
    with ExitStack() as undo:
        assert machine.system.write("/etc/x/y", NOTE, undo)
        assert not machine.system.write("/etc/x/y", NOTE, undo)
        undo.pop_all()
    assert machine.system.remove("/etc/x/y")
    assert not machine.system.remove("/etc/x/y")
