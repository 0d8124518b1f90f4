"""The first step of the freeze: which cgroups stop, and that they go on again."""

import errno
import os
import signal
from pathlib import Path

import pytest

from errors import AbortedError
from hibernate import cgroups as groups
from hibernate.cgroups import Cgroups, helper_pids, to_freeze
from hibernate.signals import signals_held_back
from linux import cgroups, tasks
from tests.tools import failing
from tests.unit.hibernating import kill_writer

FROZEN_BEFORE = "/system.slice/frozen.service"
TREE = [
    "/init.scope",
    "/system.slice/cron.service",
    "/system.slice/sshfs.service",
    "/system.slice/systemd-hibernate.service",
    FROZEN_BEFORE,
    "/user.slice/user-1000.slice/session-1.scope",
    "/user.slice/user-1001.slice/session-2.scope",
]
SPARED = {
    "/init.scope",
    "/system.slice/sshfs.service",
    "/system.slice/systemd-hibernate.service",
    "/user.slice/user-1001.slice/session-2.scope",
}


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what cgroupfs shows, where a cgroup stops as soon as it is asked to."""
    root = tmp_path / "cgroup"
    for leaf in TREE:
        folder = root / leaf[1:]
        folder.mkdir(parents=True)
        while folder != root:
            (folder / "cgroup.freeze").write_text("0\n")
            (folder / "cgroup.events").write_text("populated 1\nfrozen 0\n")
            folder = folder.parent
    (root / "cgroup.procs").touch()
    (root / FROZEN_BEFORE[1:] / "cgroup.freeze").write_text("1\n")

    def set_frozen(root: str, cgroup: str, *, frozen: bool) -> None:
        (Path(root) / cgroup[1:] / "cgroup.events").write_text(f"populated 1\nfrozen {frozen:d}\n")
        (Path(root) / cgroup[1:] / "cgroup.freeze").write_text(f"{frozen:d}\n")

    monkeypatch.setattr(cgroups, "set_frozen", set_frozen)
    monkeypatch.setattr(cgroups, "mount_point", lambda: str(root))
    monkeypatch.setattr(groups, "helper_pids", lambda _names: range(len(SPARED)))
    monkeypatch.setattr(cgroups, "cgroup_of", lambda pid: sorted(SPARED)[pid])
    return root


def frozen_in(root: Path) -> list[str]:
    files = root.rglob("cgroup.freeze")
    return sorted(f"/{file.parent.relative_to(root)}" for file in files if "1" in file.read_text())


def test_topmost_cgroups_without_anybody_spared_are_chosen(tree: Path) -> None:
    chosen = ["/system.slice/cron.service", "/user.slice/user-1000.slice"]
    assert [*to_freeze(str(tree), SPARED)] == chosen
    assert [*to_freeze(str(tree), set())] == ["/init.scope", "/system.slice", "/user.slice"]
    alike = {"/user.slice-2/x", "/init.scope"}
    assert "/user.slice" in to_freeze(str(tree), alike), "a name that only begins so"


def test_cgroups_may_be_nested_as_deep_as_a_path_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "is_to_be_frozen", lambda *_: False)
    deepest = "/a" * 2000

    def children(_root: str, cgroup: str) -> list[str]:
        return [] if cgroup == deepest else [f"{cgroup}/a", f"{cgroup}/b"]

    monkeypatch.setattr(cgroups, "children", children)
    assert {*to_freeze("/", {deepest})} == {f"{'/a' * depth}/b" for depth in range(2000)}


def test_what_others_froze_stays_frozen(tree: Path) -> None:
    chosen = Cgroups(())
    chosen.freeze(lambda _: None)
    ours = ["/system.slice/cron.service", "/user.slice/user-1000.slice"]
    assert frozen_in(tree) == sorted([FROZEN_BEFORE, *ours])
    chosen.thaw()
    assert frozen_in(tree) == [FROZEN_BEFORE]


def fail_for(end: str, error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no cgroup whose name ends so be frozen or thawed from now on."""
    really = cgroups.set_frozen

    def set_frozen(root: str, cgroup: str, *, frozen: bool) -> None:
        if cgroup.endswith(end):
            raise error
        really(root, cgroup, frozen=frozen)

    monkeypatch.setattr(cgroups, "set_frozen", set_frozen)


def test_a_cgroup_that_cannot_be_thawed_keeps_no_other_one_frozen(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Cgroups(())
    chosen.freeze(lambda _: None)
    with monkeypatch.context() as patched:
        fail_for("1000.slice", PermissionError(), patched)
        with pytest.raises(PermissionError):
            chosen.thaw()
    assert frozen_in(tree) == [FROZEN_BEFORE, "/user.slice/user-1000.slice"]
    chosen.thaw()
    assert frozen_in(tree) == [FROZEN_BEFORE]


def test_cgroup_that_goes_while_it_is_written_to_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cgroup.freeze").touch()
    monkeypatch.setattr(os, "write", failing(OSError(errno.ENODEV, "no such device")))
    with pytest.raises(FileNotFoundError):
        cgroups.set_frozen(str(tmp_path), "", frozen=False)


def test_watchdog_thaws_the_cgroups_of_a_killed_writer(tree: Path) -> None:
    chosen = Cgroups(())
    kill_writer(chosen.thaw, at_work=lambda: chosen.freeze(lambda _: None))
    assert frozen_in(tree) == [FROZEN_BEFORE]


def test_cgroup_that_is_gone_or_does_not_stop_is_no_reason_to_give_up(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "LIMIT", 0.1)
    monkeypatch.setattr(cgroups, "is_frozen", lambda _root, name: name.endswith("1000.slice"))
    said: list[str] = []
    Cgroups(()).freeze(said.append)
    assert said == ["tasks have not stopped in /system.slice/cron.service"]
    fail_for("cron.service", FileNotFoundError(), monkeypatch)
    Cgroups(()).freeze(said.append)
    assert len(said) == 1


def test_control_c_ends_the_waiting_for_cgroups(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "is_frozen", lambda *_: False)
    chosen = Cgroups(())
    with pytest.raises(AbortedError, match="SIGINT"), signals_held_back():  # noqa: PT012
        os.kill(os.getpid(), signal.SIGINT)
        chosen.freeze(lambda _: None)
    chosen.thaw()
    assert frozen_in(tree) == [FROZEN_BEFORE]


def test_machine_without_cgroups_says_so() -> None:
    said: list[str] = []
    nothing = Cgroups(())
    nothing.freeze(said.append)
    nothing.thaw()
    assert "no cgroup v2" in said[0]


def test_who_helps_is_known_by_name_or_by_what_it_has_open(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        2: "kthreadd",
        6: "multipathd",
        7: "rpc.gssd",
        8: "sshfs",
        9: "bash",
        10: "cut-off-at-fift",
        11: "gone",
    }
    opened = {8: {"/dev/fuse", "/tmp/x"}, 9: {"/dev/null", "/home/dev/fuse"}}

    def open_files(pid: int) -> set[str]:
        if pid == 11:
            raise ProcessLookupError
        return opened.get(pid, set())

    monkeypatch.setattr(tasks, "pids", lambda: list(names))
    monkeypatch.setattr(tasks, "name_of", names.__getitem__)
    monkeypatch.setattr(tasks, "open_files", open_files)
    monkeypatch.setattr(tasks, "user_of", lambda pid: 1000 if pid in (6, 10) else 0)
    assert helper_pids() == {os.getpid(), 1, 7, 8}
    assert helper_pids(["cut-off-at-fifteen"]) == {os.getpid(), 1, 7, 8, 10}


def test_whose_a_process_is() -> None:
    assert tasks.user_of(os.getpid()) == os.geteuid()
    with pytest.raises(OSError, match="No such"):
        tasks.user_of(1 << 30)


def test_names_of_helpers_are_names_that_the_kernel_can_have() -> None:
    assert all(len(name) <= tasks.NAME_SIZE for name in groups.HELPERS)
