"""CONTRIBUTING.md, "Where does a change go": its files exist, and what is forgotten is noticed."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from format import codec
from format.tables import Method
from guard.kinds import KINDS, OF_TYPE
from initramfs.generators import find
from initramfs.generators.generator import Generator
from store.find import Kind
from tests.test_structure import ALLOWED, all_errors, sources
from tests.tools import ROOT
from tests.vm.places import PLACES
from torpor.doctor import examine

CHANGES = (
    *("A store kind", "A codec", "A kind of fingerprint", "An initramfs generator"),
    "An architecture",
    *("An exit code", "A field of the superblock", "A doctor check", "A message"),
)
NAMES = ("Torpor", "ZFS")
"""Words that are written with a capital wherever they stand."""


def text(path: str) -> str:
    return (ROOT / path).read_text()


def lines() -> dict[str, str]:
    """Return what the list says of each change."""
    section = (
        text("CONTRIBUTING.md").partition("## Where does a change go")[2].partition("\n## ")[0]
    )
    return dict(re.findall(r"^- \*\*(.+?)\*\*: ((?:.+\n)+?)(?=- |\n|\Z)", section, re.MULTILINE))


def test_the_files_exist() -> None:
    assert tuple(lines()) == CHANGES
    for change, line in lines().items():
        paths = [path.partition("::")[0] for path in re.findall(r"`([^` ]*[/.][^` ]*)`", line)]
        assert any(path.startswith("tests/") for path in paths), change
        assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == [], change


def test_every_store_kind_is_opened_and_tried() -> None:
    kinds = {
        path.stem: name
        for path in (ROOT / "store").glob("*.py")
        for name in re.findall(
            r"^class (\w+)\((?:Block|Own)Store\)", path.read_text(), re.MULTILINE
        )
        if path.stem != "base"
    }
    assert len(kinds) > 2
    assert [name for name in kinds.values() if f"{name}(" not in text("store/find.py")] == []
    tried = {kind for kind in Kind if any(place.name.startswith(kind) for place in PLACES)}
    assert {*Kind} - tried == {Kind.SERVER}
    assert "Kind.SERVER" in text("tests/unit/test_server_lives.py")


def test_every_fingerprint_is_defined() -> None:
    assert set(KINDS) == set(Method)
    assert {*OF_TYPE.values()} | {Method.SAMPLE, Method.XFS_LOG, Method.SWAP} == set(Method)
    for method in Method:
        assert re.search(rf"^\| {method.value}: ", text("docs/RELIABILITY.md"), re.MULTILINE)
        assert re.search(rf"\b{method.value}:\s", text("docs/FORMAT.md").partition("\nMethods")[2])


def test_every_codec_is_documented() -> None:
    for manual in ("docs/torpor.8", "docs/torpor.conf.5"):
        assert f"Cm {' | '.join(codec.NAMES)}\n" in text(manual)
    (row,) = re.findall(r"^4 \| 1 \| codec \| (.*)$", text("docs/FORMAT.md"), re.MULTILINE)
    numbers = sorted([codec.NONE, codec.LZ4, codec.FILL, codec.ZSTD])
    assert [int(number) for number in re.findall(r"(\d+):", row)] == numbers


def test_every_generator_is_known() -> None:
    for path in (ROOT / "initramfs/generators").glob("[a-z]*.py"):
        import_module(f"initramfs.generators.{path.stem}")
    assert {type(one) for one in find.GENERATORS} == set(Generator.__subclasses__())
    for one in find.GENERATORS:
        assert (ROOT / "initramfs" / one.name).is_dir()
        assert f"\n| {one.name} |" in text("docs/INITRAMFS.md")


def test_every_check_is_made() -> None:
    folder = Path(examine.__file__).parent
    used = "".join(path.read_text() for path in folder.glob("*.py"))
    for path in folder.glob("check_*.py"):
        names = re.findall(
            r"^def ([a-z]\w+)\(facts: Facts\) -> Iter", path.read_text(), re.MULTILINE
        )
        assert [name for name in names if f"{path.stem}.{name}" not in used] == []


def messages(path: Path) -> Iterator[str]:
    """Yield the messages of errors and findings in a file, "…" for what is put in."""
    raised = {error.__name__ for error in all_errors()} | {"problem", "warning", "Fault"}
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in raised
        ):
            match node.args[:1]:
                case [ast.Constant(value=str(message))]:
                    yield message
                case [ast.JoinedStr(values=parts)]:
                    yield "".join(
                        str(p.value) if isinstance(p, ast.Constant) else "…" for p in parts
                    )


def test_messages_are_lower_case_without_a_full_stop() -> None:
    found = [message for path in sources(*ALLOWED) for message in messages(path)]
    assert len(found) > 200
    wrong = [m for m in found if m[:1].isupper() or m.endswith((".", "!")) or "\n" in m]
    assert [message for message in wrong if not message.startswith(NAMES)] == []
