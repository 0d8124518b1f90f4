"""Imports point one way, and the documents know every exit code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import doctor.errors
import generators.errors
import guard.errors
import hibernate.errors
import resume.errors
import setup.errors
import state.errors
import store.errors
from format.errors import TorporError

ROOT = Path(__file__).parents[1]
ERRORS = (
    doctor.errors,
    generators.errors,
    guard.errors,
    hibernate.errors,
    resume.errors,
    setup.errors,
    state.errors,
    store.errors,
)
"""Imported, so that all classes of errors are there."""
MANUAL = ROOT / "docs/torpor.8"
ALLOWED = {
    "format": set[str](),
    "kernel": set[str](),
    "store": {"format", "kernel"},
    "state": {"format"},
    "guard": {"format", "kernel", "store"},
    "hibernate": {"format", "kernel", "store", "state", "guard"},
    "resume": {"format", "kernel", "store", "state", "guard"},
    "generators": {"format", "kernel", "store", "state"},
    "setup": {"format", "kernel", "store", "state", "generators"},
    "doctor": {"format", "kernel", "store", "state", "hibernate", "generators"},
    "workingset": {"format", "kernel", "store"},
    "cli": {
        "format",
        "kernel",
        "store",
        "state",
        "guard",
        "hibernate",
        "workingset",
        "generators",
        "setup",
        "doctor",
    },
}
"""What each package may import besides itself. Those not named here are no part of the programs."""
OURS = {path.parent.name for path in ROOT.glob("*/__init__.py")} | set(ALLOWED)


def imports(path: Path) -> Iterator[str]:
    """Yield the first part of each module's name that the file imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they point"
            yield str(node.module).partition(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 1
    wrong = {
        (str(path.relative_to(ROOT)), name)
        for path in files
        for name in imports(path)
        if name in OURS - {package} - ALLOWED[package] or name in {"tests", "bench"}
    }
    assert not wrong


def test_only_format_imports_construct() -> None:
    users = {
        package
        for package in ALLOWED
        for path in (ROOT / package).rglob("*.py")
        if "construct" in imports(path)
    }
    assert users == {"format"}


def test_imports_are_seen(tmp_path: Path) -> None:
    """Also those inside functions and of submodules: the tests above rest on this."""
    source = tmp_path / "module.py"
    source.write_text("import a.b, c\ndef f():\n    from d.e import g\n    import h as i\n")
    assert set(imports(source)) == {"a", "c", "d", "h"}


def all_errors(error: type[TorporError] = TorporError) -> Iterator[type[TorporError]]:
    yield error
    for derived in error.__subclasses__():
        yield from all_errors(derived)


def test_one_exit_code_has_one_meaning() -> None:
    meanings: dict[int, set[str]] = {}
    for error in all_errors():
        meanings.setdefault(error.exit_code, set()).add(error.meaning)
    assert len(meanings) > 10
    assert {code: found for code, found in meanings.items() if len(found) > 1} == {}
    assert 0 not in meanings


def test_manual_has_every_exit_code() -> None:
    if not MANUAL.exists():
        pytest.skip("no manual page yet")
    documented = {
        int(code) for code in re.findall(r"^\.It (\d+)\b", MANUAL.read_text(), re.MULTILINE)
    }
    raised = {error.exit_code for error in all_errors()} | {0, 2}
    assert raised <= documented
    assert documented - raised <= {130, 141}
