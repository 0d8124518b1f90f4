"""A table in a Markdown file to which run after run of the tests adds its rows."""

from collections.abc import Iterable, Sequence
from pathlib import Path

Row = Sequence[str]


def keep_rows(file: Path, head: Row, rows: Iterable[Row], key: int) -> None:
    """Add rows to the table in a file, which is made if it is not there.

    Of rows that are alike in the first `key` columns the last one stays. What else the file holds
    is lost.
    """
    kept = _read(file) if file.exists() else []
    by_key = {tuple(row[:key]): tuple(row) for row in (*kept, *rows)}
    lines = [_line(head), _line("---" for _ in head)]
    lines += [_line(row) for _, row in sorted(by_key.items())]
    file.write_text("\n".join([*lines, ""]))


def _read(file: Path) -> list[Row]:
    lines = [line for line in file.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
