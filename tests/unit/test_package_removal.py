"""Each package takes away what `torpor enable` wrote, even if torpor does not start any more."""

import re
import subprocess
from pathlib import Path

import pytest

from initramfs.generators.find import GENERATORS
from state.location import PATH as LOCATION
from state.location import Location
from state.sealing import PATH as SEALING
from state.sealing import UNFINISHED
from tests.initramfs.installed import on_a_copy
from tests.tools import ROOT, put
from torpor.enable.enable import LOGIND, SLEEP, UNSEALED
from torpor.enable.system import NOTE

UNDO = ROOT / "package/files/undo-enable"
WRITTEN = {
    **dict.fromkeys((SLEEP, LOGIND), f"{NOTE}[Service]\n"),
    UNSEALED: f"{NOTE}[Sleep]\n",
    **{one.configuration: f"{NOTE}x=y\n" for one in GENERATORS},
    LOCATION: Location("/dev/sda2").build(),
    SEALING: f"{NOTE}tpm2=no\n",
    UNFINISHED: NOTE,
}
"""All that enable may write."""
SPEC = (ROOT / "package/rpm/torpor.spec").read_text()
PREUN = SPEC.partition("%preun\n")[2].partition("\n%postun")[0].replace("%{rebuild}", "/tmp/x")
REMOVALS = {
    "deb": "sh /prerm remove",
    "rpm": "sh -e /preun 0",
    "arch": "bash -c '. /torpor.install; pre_remove 0.1.0-1'",
    "tarball": "sh /tarball/install.sh --uninstall",
}
TORPORS = {
    "not there": None,
    "crashes": "#!/bin/sh\nkill -SEGV $$\n",
    "no interpreter": "#!/no/such/python\n",
    "library missing": "#!/bin/sh\necho 'error while loading shared libraries' >&2\nexit 127\n",
    "refuses": "#!/bin/sh\nexit 18\n",
}


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Path:
    tree = tmp_path / "system"
    files = {
        name: (ROOT / path).read_text()
        for name, path in {
            "prerm": "package/debian/torpor.prerm",
            "torpor.install": "package/arch/torpor.install",
            "tarball/install.sh": "package/install.sh",
            "usr/lib/torpor/undo-enable": "package/files/undo-enable",
        }.items()
    }
    put(tree, {**files, **WRITTEN, "preun": PREUN, "usr/lib/torpor/manifest": "d x\n"})
    (tree / "usr/lib/torpor/undo-enable").chmod(0o755)
    return tree


@pytest.mark.parametrize("removal", REMOVALS)
@pytest.mark.parametrize("torpor", TORPORS)
def test_where_torpor_does_not_start(removal: str, torpor: str, tree: Path, tmp_path: Path) -> None:
    ends = ("torpor.conf", "torpor", "location", "sealing", "unfinished")
    assert all(path.endswith(ends) for path in WRITTEN)
    if (text := TORPORS[torpor]) is not None:
        put(tree, {"usr/bin/torpor": text})
        (tree / "usr/bin/torpor").chmod(0o755)
    look = f"for file in {' '.join(WRITTEN)}; do ! [ -e $file ] || echo left: $file; done"
    said = on_a_copy(tree, tmp_path / "result", "sh", "-c", f"{REMOVALS[removal]}; echo $?; {look}")
    assert "left: " not in said
    assert said.count("torpor: removed /") == len(WRITTEN)
    assert "\n0\n" in said


def test_what_somebody_else_wrote_stays(tmp_path: Path) -> None:
    put(tmp_path, dict.fromkeys(WRITTEN, f"[Service]\n{NOTE}"))
    put(tmp_path, {f"{SLEEP}.d/x": "", LOCATION: WRITTEN[LOCATION], f"{LOCATION}s": "x"})
    done = subprocess.run(
        [UNDO], env={"TORPOR_ROOT": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"torpor: removed {LOCATION}\n"
    assert done.stderr == ""
    assert {path for path in WRITTEN if not (tmp_path / path[1:]).exists()} == {LOCATION}
    assert (tmp_path / f"{LOCATION[1:]}s").exists()


def test_undo_knows_all_that_enable_writes() -> None:
    assert {*re.findall(r"^/\S+$", UNDO.read_text(), re.MULTILINE)} == {*WRITTEN}
