"""Memory reclaimed before the freeze: how much, from where, and never an error."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from hibernate import reclaim
from hibernate.reclaim import reclaim_early
from linux import cgroups
from linux.memory import excess

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
        (self._folder / name).mkdir()
        stat = (
            f"anon 1\ninactive_file {files * MIB}\nactive_file 0\nactive_anon {anonymous * MIB}\n"
        )
        (self._folder / name / "memory.stat").write_text(stat)
        self.stops[name] = most * MIB

    def reclaim(self, root: str, cgroup: str, size: int, *, files_only: bool) -> None:
        self.files_only[cgroup.removeprefix("/")] = files_only
        assert root == str(self._folder)
        name = cgroup.removeprefix("/")
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
    reclaim_early(600 * MIB, said.append)
    assert {name: size // MIB for name, size in tree.taken.items()} == {"a": 288, "b": 96}
    assert tree.files_only == {"a": True, "b": True}
    assert len(said) == 1
    assert said[0].startswith("reclaimed 384 of 400 MiB early")


def test_anonymous_memory_when_caches_do_not_suffice(tree: Tree) -> None:
    tree.add("a", 320, 200)
    tree.add("b", 0, 400)
    reclaim_early(0, lambda _: None)
    taken = {name: size // MIB for name, size in tree.taken.items()}
    assert taken["a"] == 320 + 176
    assert taken["b"] == 352
    assert tree.files_only == {"a": False, "b": False}


def test_a_kernel_that_takes_twice_of_what_it_is_asked_for_is_asked_for_less(tree: Tree) -> None:
    """As those before 0388536ac291 do."""
    tree.add("a", 600, 200)
    tree.given = 2.0
    said: list[str] = []
    reclaim_early(400 * MIB, said.append)
    assert tree.taken["a"] == 256 * MIB
    assert said[0].startswith("reclaimed 500 of 500 MiB early")


def test_one_that_gives_no_more_is_left_alone(tree: Tree, tmp_path: Path) -> None:
    tree.add("a", 300, 0, most=40)
    tree.add("b", 300, 0)
    (tmp_path / "gone").mkdir()
    reclaim_early(500 * MIB, lambda _: None)
    assert tree.taken == {"a": 32 * MIB, "b": 192 * MIB}


def test_nothing_to_do_is_nothing_done(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tree.add("a", 300, 0, most=0)
    said: list[str] = []
    reclaim_early(500 * MIB, said.append)
    monkeypatch.setattr(reclaim, "memory", lambda: SIZES | {"MemFree": 600 * MIB})
    tree.stops["a"] = 300 * MIB
    reclaim_early(400 * MIB, said.append)
    monkeypatch.setattr(reclaim, "memory", tree.memory)
    monkeypatch.setattr(cgroups, "mount_point", lambda: None)
    reclaim_early(0, said.append)
    assert (tree.taken, said) == ({}, [])


def test_it_ends_in_time(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.add("a", 320, 0)
    now = [0.0]

    def tick() -> float:
        now[0] += 0.5
        return now[0]

    monkeypatch.setattr(reclaim, "time", SimpleNamespace(monotonic=tick))
    reclaim_early(0, lambda _: None)
    assert 0 < tree.taken["a"] < 8 * 16 * MIB


def test_files_of_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/memory.stat").write_text("anon 4096\nfile 8192\npgfault 7\n")
    assert cgroups.memory_of(str(tmp_path), "/a") == {"anon": 4096, "file": 8192, "pgfault": 7}
    with pytest.raises(FileNotFoundError):
        cgroups.reclaim(str(tmp_path), "/a", 5, files_only=True)
    (tmp_path / "a/memory.reclaim").touch()
    cgroups.reclaim(str(tmp_path), "/a", 1 << 24, files_only=False)
    assert os.stat(tmp_path / "a/memory.reclaim").st_size == len("16777216")


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

    (tmp_path / "a").mkdir()
    (tmp_path / "a/memory.reclaim").touch()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "write", write)
        cgroups.reclaim(str(tmp_path), "/a", 4096, files_only=True)
        cgroups.reclaim(str(tmp_path), "/a", 8192, files_only=False)
    assert written == [b"4096 swappiness=0" if knows else b"4096", b"8192"]
