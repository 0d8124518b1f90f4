"""What happens before a hibernation: memory is reclaimed, and what systemd-sleep does for the
programs in system-sleep is done for them by us, too.
"""

import errno
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from hibernate import reclaim
from hibernate import sleep_hooks as sleep_hooks_module
from hibernate.reclaim import reclaim_early
from hibernate.sleep_hooks import hooks, run_hooks, sleep_hooks
from linux import cgroups
from linux.memory import excess
from tests.tools import put, wait_until

MIB = 1 << 20
SIZES = {
    "MemTotal": 1000 * MIB,
    "MemFree": 100 * MIB,
    "Active(file)": 200 * MIB,
    "Inactive(file)": 400 * MIB,
    "Inactive(anon)": 250 * MIB,
}


class Tree:
    """Topmost cgroups with caches and anonymous memory, and what was reclaimed from them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.taken: dict[str, int] = {}
        self.files_only: dict[str, bool] = {}
        self.stops: dict[str, int] = {}
        self.given = 1.0
        """Which share of a request the kernel reclaims."""

    def memory(self) -> dict[str, int]:
        left = freed = int(sum(self.taken.values()) * self.given)
        sizes = SIZES | {"MemFree": SIZES["MemFree"] + freed}
        for name in ("Active(file)", "Inactive(file)", "Inactive(anon)"):
            taken = min(left, sizes[name])
            sizes[name] -= taken
            left -= taken
        return sizes

    def add(self, name: str, files: int, anonymous: int, most: int = 1 << 20) -> None:
        sizes = f"inactive_file {files * MIB}\nactive_file 0\nactive_anon {anonymous * MIB}\n"
        put(self._folder, {f"{name}/memory.stat": f"anon 1\n{sizes}"})
        self.stops[name] = most * MIB

    def reclaim(self, root: str, cgroup: str, size: int, *, files_only: bool) -> None:
        assert root == str(self._folder)
        name = cgroup.removeprefix("/")
        self.files_only[name] = files_only
        if self.taken.get(name, 0) + size > self.stops[name]:
            raise BlockingIOError(errno.EAGAIN, "no more")
        self.taken[name] = self.taken.get(name, 0) + size


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    made = Tree(tmp_path)
    monkeypatch.setattr(cgroups, "mount_point", lambda: str(tmp_path))
    monkeypatch.setattr(cgroups, "reclaim", made.reclaim)
    monkeypatch.setattr(reclaim, "memory", made.memory)
    return made


def swap_out() -> None:
    """Nothing is."""


def test_excess() -> None:
    assert excess(SIZES, 400 * MIB) == 500 * MIB
    assert excess(SIZES, 900 * MIB) == 400 * MIB, "an image of more than half does not fit"
    assert excess(SIZES, 0) == 850 * MIB, "what cannot be dropped stays"
    assert excess(SIZES | {"MemFree": 700 * MIB}, 400 * MIB) == 0


def test_caches_first_each_by_its_share(tree: Tree) -> None:
    tree.add("a", 300, 100)
    tree.add("b", 100, 100)
    tree.add("c", 0, 150)
    said: list[str] = []
    reclaim_early(600 * MIB, said.append, swap_out)
    assert {name: size // MIB for name, size in tree.taken.items()} == {"a": 288, "b": 96}
    assert tree.files_only == {"a": True, "b": True}
    assert len(said) == 1
    assert said[0].startswith("reclaimed 384 of 400 MiB early")


def test_anonymous_memory_when_caches_do_not_suffice(tree: Tree) -> None:
    tree.add("a", 320, 200)
    tree.add("b", 0, 400)
    reclaim_early(0, lambda _: None, swap_out)
    taken = {name: size // MIB for name, size in tree.taken.items()}
    assert taken["a"] == 320 + 176
    assert taken["b"] == 352
    assert tree.files_only == {"a": False, "b": False}


def test_memory_of_processes_goes_after_others_have_swapped_it_out_in_order(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To wait for that takes none of its time."""
    tree.add("a", 320, 200)
    seen: list[bool] = []
    now = [0.0]

    def swap_out() -> None:
        seen.append(tree.files_only["a"])
        now[0] += 2 * reclaim.LIMIT

    monkeypatch.setattr(reclaim, "time", SimpleNamespace(monotonic=lambda: now[0]))
    reclaim_early(0, lambda _: None, swap_out)
    assert (seen, tree.files_only["a"]) == ([True], False)
    monkeypatch.setattr(cgroups, "mount_point", lambda: None)
    reclaim_early(0, lambda _: None, swap_out)
    assert len(seen) == 2


def test_a_kernel_that_takes_twice_of_what_it_is_asked_for_is_asked_for_less(tree: Tree) -> None:
    """As those before 0388536ac291 do."""
    tree.add("a", 600, 200)
    tree.given = 2.0
    said: list[str] = []
    reclaim_early(400 * MIB, said.append, swap_out)
    assert tree.taken["a"] == 256 * MIB
    assert said[0].startswith("reclaimed 500 of 500 MiB early")


def test_one_that_gives_no_more_is_left_alone(tree: Tree, tmp_path: Path) -> None:
    tree.add("a", 300, 0, most=40)
    tree.add("b", 300, 0)
    (tmp_path / "gone").mkdir()
    reclaim_early(500 * MIB, lambda _: None, swap_out)
    assert tree.taken == {"a": 32 * MIB, "b": 192 * MIB}


def test_nothing_to_do_is_nothing_done(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tree.add("a", 300, 0, most=0)
    said: list[str] = []
    reclaim_early(500 * MIB, said.append, swap_out)
    monkeypatch.setattr(reclaim, "memory", lambda: SIZES | {"MemFree": 600 * MIB})
    tree.stops["a"] = 300 * MIB
    reclaim_early(400 * MIB, said.append, swap_out)
    monkeypatch.setattr(reclaim, "memory", tree.memory)
    monkeypatch.setattr(cgroups, "mount_point", lambda: None)
    reclaim_early(0, said.append, swap_out)
    assert (tree.taken, said) == ({}, [])


def test_it_ends_in_time(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.add("a", 320, 0)
    now = [0.0]

    def tick() -> float:
        now[0] += 0.5
        return now[0]

    monkeypatch.setattr(reclaim, "time", SimpleNamespace(monotonic=tick))
    reclaim_early(0, lambda _: None, swap_out)
    assert 0 < tree.taken["a"] < 8 * 16 * MIB


@pytest.mark.parametrize("knows", [True, False])
def test_a_kernel_is_told_to_swap_nothing_out_if_it_knows_how(
    knows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []

    def write(_fd: int, data: bytes) -> int:
        if b"swappiness" in data and not knows:
            raise OSError(errno.EINVAL, "unknown key")
        written.append(data)
        return len(data)

    with pytest.raises(FileNotFoundError):
        cgroups.reclaim(str(tmp_path), "/a", 5, files_only=True)
    put(tmp_path, {"a/memory.reclaim": ""})
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        cgroups.reclaim(str(tmp_path), "/a", 4096, files_only=True)
        cgroups.reclaim(str(tmp_path), "/a", 8192, files_only=False)
    assert written == [b"4096 swappiness=0" if knows else b"4096", b"8192"]
    cgroups.reclaim(str(tmp_path), "/a", 1 << 24, files_only=False)
    assert (tmp_path / "a/memory.reclaim").read_text() == "16777216"


class Hooks:
    """A folder of hooks, each of which writes a line before it does what else it does."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "said"
        self.folder = folder / "hooks"
        self.folder.mkdir()
        self.told: list[str] = []

    def make(self, name: str, then: str = "", mode: int = 0o755, shell: str = "/bin/sh") -> Path:
        path = self.folder / name
        say = f'echo "${{0##*/}} $1 $2 $SYSTEMD_SLEEP_ACTION $LD_LIBRARY_PATH" >>{self._said}'
        path.write_text(f"#!{shell}\n{say}\n{then}\n")
        path.chmod(mode)
        return path

    def run(self) -> list[str]:
        """Run them as before a hibernation; return what was logged."""
        run_hooks("pre", self.told.append, str(self.folder), limit=60)
        return self.told

    def said(self) -> list[str]:
        return [line.strip() for line in self._said.read_text().splitlines()]


@pytest.fixture(name="made")
def _made(tmp_path: Path) -> Hooks:
    return Hooks(tmp_path)


@pytest.mark.parametrize("fails", [False, True])
def test_hooks_run_before_and_after(made: Hooks, *, fails: bool) -> None:
    """After a hibernation that failed, too."""
    made.make("one")
    expected = pytest.raises(ZeroDivisionError) if fails else nullcontext()
    with expected, sleep_hooks(made.told.append, str(made.folder)):
        assert made.said() == ["one pre hibernate hibernate"]
        if fails:
            raise ZeroDivisionError
    assert made.said() == ["one pre hibernate hibernate", "one post hibernate hibernate"]
    assert made.told == []


def test_the_frozen_programs_libraries_are_not_for_hooks(
    made: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.make("one")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/frozen")
    made.run()
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/users")
    made.run()
    assert made.said() == ["one pre hibernate hibernate", "one pre hibernate hibernate /users"]


def test_only_executables_count(made: Hooks) -> None:
    good = made.make("good")
    made.make("plain", mode=0o644)
    for name in (".hidden", "good~", "good.rpmsave", "good.dpkg-old"):
        made.make(name)
    (made.folder / "folder").mkdir()
    (made.folder / "masked").symlink_to(os.devnull)
    assert hooks(str(made.folder)) == [str(good)]
    assert hooks(str(made.folder / "nothing")) == []


def test_a_failing_hook_is_reported_and_stops_nothing(made: Hooks) -> None:
    made.make("a", "exit 3")
    made.make("b", "kill -9 $$")
    made.make("c", shell="/no/such/shell")
    made.make("d")
    assert set(made.run()) == {
        f"{made.folder}/a ends with status 3",
        f"{made.folder}/b is killed by signal 9",
        f"{made.folder}/c does not start: no such file or directory",
    }
    assert "d pre hibernate hibernate" in made.said()


def test_hooks_run_side_by_side(made: Hooks, tmp_path: Path) -> None:
    """Each waits for the other: one after the other they would not end."""
    for name, other in ("ab", "ba"):
        wait = f"while [ ! -e {tmp_path}/{other} ]; do sleep 0.01; done"
        made.make(name, f"touch {tmp_path}/{name}; {wait}")
    assert made.run() == []


def test_a_hook_without_an_end_is_killed(
    made: Hooks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    made.make("endless", f"echo $$ >{pid}.new; mv {pid}.new {pid}; exec sleep 1000")
    begun = iter([0.0])

    def now() -> float:
        """The time is over as soon as the hook has begun."""
        if (begin := next(begun, None)) is not None:
            return begin
        wait_until(pid.exists)
        return 60.0

    monkeypatch.setattr(sleep_hooks_module, "time", SimpleNamespace(monotonic=now))
    assert made.run() == [f"{made.folder}/endless takes too long and is killed"]
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
