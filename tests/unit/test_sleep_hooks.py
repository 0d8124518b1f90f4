"""What systemd-sleep does for the programs in system-sleep is done for them by us, too."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hibernate.sleep_hooks import hooks, run_hooks, sleep_hooks

Hook = Callable[..., Path]


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    """Make a hook that writes a line into `said` and goes on with the given shell commands."""
    (tmp_path / "hooks").mkdir()

    def make(name: str, then: str = "", mode: int = 0o755) -> Path:
        path = tmp_path / "hooks" / name
        said = f'echo "$0 $1 $2 $SYSTEMD_SLEEP_ACTION $LD_LIBRARY_PATH" >>{tmp_path}/said'
        path.write_text(f"#!/bin/sh\n{said}\n{then}\n")
        path.chmod(mode)
        return path

    return make


def said(tmp_path: Path) -> list[str]:
    path = tmp_path / "said"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.removeprefix(f"{tmp_path}/hooks/").strip() for line in lines]


def test_hooks_run_before_and_after(tmp_path: Path, hook: Hook) -> None:
    hook("one")
    told: list[str] = []
    with sleep_hooks(told.append, str(tmp_path / "hooks")):
        assert said(tmp_path) == ["one pre hibernate hibernate"]
    assert said(tmp_path) == ["one pre hibernate hibernate", "one post hibernate hibernate"]
    assert told == []


def test_hooks_run_after_a_hibernation_that_failed(tmp_path: Path, hook: Hook) -> None:
    hook("one")
    with (
        pytest.raises(ZeroDivisionError),
        sleep_hooks(lambda _: None, str(tmp_path / "hooks")),
    ):
        raise ZeroDivisionError
    assert said(tmp_path)[-1] == "one post hibernate hibernate"


def test_the_frozen_programs_libraries_are_not_for_hooks(
    tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook("one")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/frozen")
    run_hooks("pre", lambda _: None, str(tmp_path / "hooks"))
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/users")
    run_hooks("pre", lambda _: None, str(tmp_path / "hooks"))
    assert said(tmp_path) == [
        "one pre hibernate hibernate",
        "one pre hibernate hibernate /users",
    ]


def test_only_executables_count(tmp_path: Path, hook: Hook) -> None:
    good = hook("good")
    hook("plain", mode=0o644)
    for name in (".hidden", "good~", "good.rpmsave", "good.dpkg-old"):
        hook(name)
    (tmp_path / "hooks/folder").mkdir()
    (tmp_path / "hooks/masked").symlink_to(os.devnull)
    assert hooks(str(tmp_path / "hooks")) == [str(good)]
    assert hooks(str(tmp_path / "nothing")) == []


def test_a_failing_hook_is_reported_and_stops_nothing(tmp_path: Path, hook: Hook) -> None:
    hook("a", "exit 3")
    hook("b", "kill -9 $$")
    (tmp_path / "hooks/c").write_text("#!/no/such/shell\n")
    (tmp_path / "hooks/c").chmod(0o755)
    hook("d")
    told: list[str] = []
    run_hooks("pre", told.append, str(tmp_path / "hooks"))
    folder = tmp_path / "hooks"
    assert set(told) == {
        f"{folder}/a ends with status 3",
        f"{folder}/b is killed by signal 9",
        f"{folder}/c does not start: no such file or directory",
    }
    assert "d pre hibernate hibernate" in said(tmp_path)


def test_hooks_run_side_by_side(tmp_path: Path, hook: Hook) -> None:
    """Each waits for the other: one after the other they would not end."""
    meet = "touch {0}/{1}; while [ ! -e {0}/{2} ]; do sleep 0.01; done"
    hook("a", meet.format(tmp_path, "a-is-here", "b-is-here"))
    hook("b", meet.format(tmp_path, "b-is-here", "a-is-here"))
    told: list[str] = []
    run_hooks("pre", told.append, str(tmp_path / "hooks"))
    assert told == []


def test_a_hook_without_an_end_is_killed(tmp_path: Path, hook: Hook) -> None:
    hook("endless", f"echo $$ >{tmp_path}/pid; exec sleep 1000")
    told: list[str] = []
    run_hooks("pre", told.append, str(tmp_path / "hooks"), limit=1.0)
    assert told == [f"{tmp_path}/hooks/endless takes too long and is killed"]
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()
