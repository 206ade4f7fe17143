"""What a report is made of: sections of tables and figures, and a table as Markdown and CSV."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from l0_surgical.experiments.report.verdicts import EXACT, SOLVED, TOLERANCES, Verdict
from l0_surgical.experiments.results import RANKS
from l0_surgical.experiments.selection import RULES, TOLERANCE
from l0_surgical.experiments.statistics import Estimate

_GROUPED = 10_000  # numbers from which on thousands are set apart

Value = Estimate | Verdict | float | int | str | None
TEXT = None
"""The format of a column of words; that of numbers is how many digits they show after the point."""

# what captions.json names in braces
_FACTS = {"lowest": RANKS[0], "highest": RANKS[-1], "beyond": RANKS[-1] + 1, "exact": EXACT, "solved": SOLVED}
_FACTS |= {
    "tolerance": 100 * TOLERANCE,
    "tolerances": TOLERANCES,
    "ours": RULES["ours"],
    "doubt": RULES["doubt"],
}


@cache
def _captions() -> dict[str, dict[str, str]]:
    return json.loads(Path(__file__).with_name("captions.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row. Its title and caption are those of its name in captions.json.

    Attributes:
        name: of its files, and its anchor on the page.
        formats: `TEXT` or digits by column.
        rows: a value for each column, or values by column.
    """

    name: str
    formats: Mapping[str, int | None]
    rows: Sequence[Sequence[Value] | Mapping[str, Value]]

    @property
    def title(self) -> str:
        """What stands above it."""
        return _captions()[self.name]["title"]

    @property
    def caption(self) -> str:
        """What it shows, and how."""
        return _captions()[self.name]["caption"].format(**_FACTS)

    @property
    def frame(self) -> pd.DataFrame:
        """The values."""
        return pd.DataFrame(list(self.rows), columns=list(self.formats), dtype=object)

    def markdown(self) -> str:
        """The table as Markdown, with its title and caption."""
        lines = [
            list(self.formats),
            ["---" if digits is TEXT else "---:" for digits in self.formats.values()],
        ]
        lines += [[show(value, how).replace("|", "\\|") for value, how in row] for row in self.cells()]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"## {self.title}\n\n{self.caption}\n\n{body}\n"

    def csv(self) -> str:
        """The table as CSV: full precision, an estimate in three columns (value, low, high), an empty field
        for what is unknown."""
        columns: dict[str, list[Any]] = {}
        for name, values in self.frame.items():
            if any(isinstance(value, Estimate) for value in values):
                parts = [_bounds(value) for value in values]
                for place, bound in enumerate(("", ", low", ", high")):
                    columns[f"{name}{bound}"] = [part[place] for part in parts]
            else:
                columns[name] = [str(value) if isinstance(value, Verdict) else value for value in values]
        return pd.DataFrame(columns, dtype=object).to_csv(index=False, lineterminator="\n")

    def cells(self) -> list[list[tuple[Value, int | None]]]:
        """Each row as its values with their formats."""
        return [list(zip(row, self.formats.values(), strict=True)) for row in self.frame.to_numpy().tolist()]


@dataclass(frozen=True)
class Figure:
    """A drawn figure; `alt` says what it shows to somebody who cannot see it."""

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    png: bytes


@dataclass(frozen=True)
class Section:
    """A part of the page: paragraphs, then tables and figures in order."""

    name: str
    title: str
    paragraphs: Sequence[str] = ()
    items: Sequence[Table | Figure] = ()


@dataclass(frozen=True)
class Part:
    """What one results folder contributes: its source in words, its claims, its sections, what is missing or
    failed in it."""

    source: str
    claims: Sequence[Sequence[Value]] = ()
    sections: Sequence[Section] = ()
    missing: Sequence[str] = ()
    failed: Sequence[str] = ()


def show(value: Value, digits: int | None) -> str:
    """A cell in words: "–" for what is unknown, an estimate with its interval."""
    digits = 2 if digits is TEXT else digits
    if value is None:
        return "–"
    if isinstance(value, Estimate):
        centre = _number(value.value, digits)
        if value.low is None or value.high is None:
            return f"{centre} (one seed)"
        return f"{centre} [{_number(value.low, digits)}, {_number(value.high, digits)}]"
    if isinstance(value, (int, float)):
        return _number(value, digits if isinstance(value, float) else 0)
    return str(value)


def sort_key(value: Value) -> str:
    """What the page sorts a cell by: a number as such, else its words."""
    if isinstance(value, Estimate):
        return repr(value.value)
    return "" if value is None else str(value)


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    if abs(value) >= _GROUPED:
        text = f"{value:,.{digits}f}".replace(",", "\u202f")  # a thin space, which no line breaks at
    return text.replace("-", "−") if set(text) & set("123456789") else text.removeprefix("-")


def _bounds(value: Any) -> tuple[Any, Any, Any]:
    return (value.value, value.low, value.high) if isinstance(value, Estimate) else (value, None, None)
