"""Power cuts of many runs: what one has done is kept, and the next one goes on."""

from pathlib import Path

import pytest

from tests.vm import test_power_cuts
from tests.vm.test_power_cuts import Ended, cut_on


def test_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Path] = []
    stops = [3]

    def cut_off(what: str, store: str, _template: object, _chance: object, folder: Path) -> Ended:
        done.append(folder)
        if len(done) in stops:
            raise KeyboardInterrupt
        return Ended(what, store, "any time", "cold boot", 2)

    def run(name: str) -> list[Ended]:
        (tmp_path / name).mkdir()
        return cut_on(tmp_path / "kept", 10, 1, lambda _store: None, tmp_path / name)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr(test_power_cuts, "cut_off", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run("first")
    stops.clear()
    kept = run("second")
    assert [folder.name for folder in done] == ["0", "1", "2", "2", "3", "4"]
    assert len(kept) == 5
    assert run("third") == kept
    assert len(done) == 6
