"""A figure: what several runs gave, what it has to be, and how that is printed."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must not go beyond, and what it aims at."""

    bar: float
    aim: float | None
    at_least: bool = False
    """Whether more is better; most figures are times and sizes."""

    def is_met(self, value: float) -> bool:
        """Return whether a figure of this value will do."""
        return value >= self.bar if self.at_least else value <= self.bar

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {_number(self.bar)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """A name and the values of all runs, each compared within its own round."""

    name: str
    values: list[float]
    unit: str = ""
    bar: Bar | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def facts(self) -> dict[str, object]:
        """Return the figure as it stands in the JSON file."""
        facts: dict[str, object] = {"median": self.median, "values": self.values, "unit": self.unit}
        if self.bar:
            met = self.bar.is_met(self.median)
            facts |= {"bar": str(self.bar), "aim": self.bar.aim, "met": met}
        return facts

    def row(self) -> list[str]:
        """Return the figure as a row of the table: bar, aim, median, spread, whether it is met."""
        bar = aim = met = ""
        if self.bar:
            bar, met = str(self.bar), "yes" if self.bar.is_met(self.median) else "NO"
            aim = "" if self.bar.aim is None else _number(self.bar.aim)
        value = f"{_number(self.median)} {self.unit}".rstrip()
        spread = f"{_number(min(self.values))} to {_number(max(self.values))}"
        return [self.name, bar, aim, value, spread, met]


def print_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table as Markdown has it, so that docs/PERFORMANCE.md can take it as it is."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    print(f"\n{title}\n")
    for row in (headings, ["-" * width for width in widths], *rows):
        print(f"| {' | '.join(map(str.ljust, row, widths))} |")


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
