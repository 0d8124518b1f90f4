"""Imports point one way, files and functions stay small, and the manual knows every exit code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import TorporError
from tests.tools import ROOT

MANUAL = ROOT / "docs/torpor.8"
FILE_LIMIT, FUNCTION_LIMIT = 400, 50
"""Lines."""
GROUND = {"errors", "linux"}
ALLOWED = {
    "linux": set[str](),
    "format": {"errors"},
    "s3": GROUND,
    "state": GROUND | {"format", "s3"},
    "store": GROUND | {"format", "state", "s3"},
    "seal": GROUND | {"format", "state", "store"},
    "guard": GROUND | {"format", "store"},
    "hibernate": GROUND | {"format", "s3", "store", "state", "seal", "guard", "workingset"},
    "resume": GROUND | {"format", "s3", "store", "state", "seal", "guard"},
    "workingset": GROUND | {"format", "store", "state"},
    "initramfs/archive": {"errors"},
    "initramfs/generators": GROUND | {"format", "store", "state", "initramfs/archive"},
    "initramfs/loaders": GROUND | {"state", "initramfs/archive", "initramfs/generators"},
    "torpor/doctor": GROUND
    | {"format", "s3", "store", "state", "seal", "guard", "hibernate"}
    | {"initramfs/archive", "initramfs/generators", "initramfs/loaders"},
    "torpor/enable": GROUND | {"format", "s3", "store", "state", "seal", "initramfs/generators"},
    "torpor": GROUND
    | {"format", "s3", "store", "state", "seal", "guard", "hibernate", "workingset"}
    | {"initramfs/generators", "torpor/doctor", "torpor/enable"},
}
"""What the files of a folder may import besides its own; a folder inside another has its own rules.

Those not named here are no part of the programs.
"""
PROGRAMS = {"errors", *ALLOWED}
OTHERS = {"bench", "package", "tests", "vm"}
"""They may import the programs, and no program imports them."""


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path: Path) -> Iterator[str]:
    """Yield each module that the file imports, and each name that it imports from one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they point"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def home(path: str) -> str:
    """Return the innermost folder of ours that a file or module is in, "" for none."""
    found = [one for one in PROGRAMS | OTHERS if f"{path}/".startswith(f"{one}/")]
    return max(found, key=len, default="")


@pytest.mark.parametrize("folder", ALLOWED)
def test_imports_point_one_way(folder: str) -> None:
    files = [path for path in sources(folder) if home(str(path.relative_to(ROOT))) == folder]
    assert len(files) > 1
    used = {
        (str(path.relative_to(ROOT)), home(name.replace(".", "/")))
        for path in files
        for name in imports(path)
    }
    assert {name for _, name in used} & {folder, *ALLOWED[folder]}, "nothing of ours is imported"
    assert not {(path, name) for path, name in used if name not in {folder, "", *ALLOWED[folder]}}


def test_every_folder_has_rules() -> None:
    folders = {home(str(path.relative_to(ROOT))) for path in ROOT.glob("*/**/*.py")}
    assert folders - {""} == {*ALLOWED, *OTHERS}
    stray = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {
        name.partition("/")[0] for name in (*ALLOWED, *OTHERS)
    }
    assert not stray


def test_the_layout_alone_imports_construct() -> None:
    """format/layout turns construct's errors into ours: no other one can meet them."""
    users = {
        str(path.relative_to(ROOT))
        for path in sources(*ALLOWED)
        if any(name.partition(".")[0] == "construct" for name in imports(path))
    }
    assert users == {"format/layout.py", "format/sealed_layout.py"}


def test_libraries_do_not_print() -> None:
    """What leaves for a terminal or a log does so in four files, by linux.line.one_line."""
    leaving = re.compile(r"\bprint\(|std(err|out)\.(buffer|write)|logging|syslog|[fd] = \[?[12]\b")
    printing = {
        str(path.relative_to(ROOT))
        for path in sources(*ALLOWED)
        if leaving.search(path.read_text())
    }
    assert printing == {"torpor/output.py", "resume/report.py"}
    devices = {
        str(path.relative_to(ROOT))
        for path in sources(*ALLOWED)
        if re.search(r'"/dev/(kmsg|console|tty\w*)"', path.read_text())
    }
    assert devices == {"linux/kmsg.py", "linux/terminal.py"}
    for path in (*printing, *devices):
        assert "import one_line" in (ROOT / path).read_text()
        assert f"`{path}`" in (ROOT / "CONTRIBUTING.md").read_text()


def test_imports_are_seen(tmp_path: Path) -> None:
    """Also those inside functions and of submodules: the tests above rest on this."""
    source = tmp_path / "module.py"
    source.write_text("import a.b, c\ndef f():\n    from d.e import g\n    import h as i\n")
    assert set(imports(source)) == {"a.b", "c", "d.e.g", "h"}
    assert home("torpor/doctor/examine") == "torpor/doctor"
    assert home("torpor/doctors") == "torpor"
    assert home("os/path") == ""


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield name and number of lines of each function and method in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def test_files_and_functions_stay_small() -> None:
    files = [ROOT / "build.py", ROOT / "errors.py", *sources(*ALLOWED, *OTHERS)]
    found = [(path, *function) for path in files for function in functions(path)]
    assert len(files) > 200
    assert len(found) > 2000
    lengths = {path: len(path.read_text().splitlines()) for path in files}
    assert {path: size for path, size in lengths.items() if size > FILE_LIMIT} == {}
    assert [each for each in found if each[2] > FUNCTION_LIMIT] == []


def test_functions_are_measured(tmp_path: Path) -> None:
    """Of classes and inside of others, too; test_files_and_functions_stay_small rests on this."""
    source = tmp_path / "module.py"
    body = "\n".join(["        pass"] * FUNCTION_LIMIT)
    source.write_text(
        f"class A:\n    def long(self):\n{body}\n\ndef f():\n    async def g(): ...\n"
    )
    assert dict(functions(source)) == {"long": FUNCTION_LIMIT + 1, "f": 2, "g": 1}


def test_commands_to_copy_are_quoted() -> None:
    """What a sentence tells the reader to run has its words by errors.command."""
    programs = (
        "torpor (discard|enable|mkstore)|swapo[nf]+|mkswap|umount|rm|wipefs|chattr|zpool export|"
        "systemctl [a-z]+"
    )
    unquoted = re.compile(rf"(\b({programs})|--store) (-[-\w]+ )*{{(?!command)")
    found = [path for path in sources(*ALLOWED) if unquoted.search(path.read_text())]
    assert [str(path.relative_to(ROOT)) for path in found] == []
    assert unquoted.search("run: torpor enable --store {path}")


def all_errors(error: type[TorporError] = TorporError) -> Iterator[type[TorporError]]:
    yield error
    for derived in error.__subclasses__():
        yield from all_errors(derived)


def test_one_exit_code_has_one_meaning() -> None:
    meanings: dict[int, set[str]] = {}
    for error in all_errors():
        meanings.setdefault(error.exit_code, set()).add(error.meaning)
    assert len(meanings) > 20
    assert {code: found for code, found in meanings.items() if len(found) > 1} == {}
    assert 0 not in meanings


def test_errors_stand_in_the_order_of_exit_codes() -> None:
    assert {error.__module__ for error in all_errors()} == {"errors"}
    text = (ROOT / "errors.py").read_text()
    codes = [int(code) for code in re.findall(r"^    exit_code = (\d+)$", text, re.MULTILINE)]
    assert codes == sorted(set(codes))


def test_manual_has_every_exit_code() -> None:
    documented = {
        int(code) for code in re.findall(r"^\.It (\d+)\b", MANUAL.read_text(), re.MULTILINE)
    }
    raised = {error.exit_code for error in all_errors()} | {0, 2}
    assert raised <= documented
    assert documented - raised <= {130, 141}


def test_every_scenario_is_a_script_of_the_guest() -> None:
    """A renamed script would be noticed only by a boot of the virtual machine that runs it."""
    texts = "".join(path.read_text() for path in sources("bench", "tests", "vm"))
    named = set(re.findall(r"scenario=\"?([a-z-]+)", texts))
    scripts = {path.stem for path in (ROOT / "vm/guest").glob("*.sh")}
    assert len(named) > 10
    assert named - scripts == set()
