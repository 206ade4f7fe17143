"""What a report is made of: sections of tables and figures, and a table as Markdown and CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from l0_surgical.experiments.intervals import Estimate
from l0_surgical.experiments.report.verdicts import Verdict

_GROUPED = 10_000  # numbers from which on thousands are set apart

Value = Estimate | Verdict | float | int | str | None


@dataclass(frozen=True)
class Column:
    """A column: its heading, the digits after the point of its numbers, and whether it is text."""

    title: str
    digits: int = 2
    text: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row. `name` is its file's name and its anchor on the page."""

    name: str
    title: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]

    def markdown(self) -> str:
        """The table as Markdown, with its title and caption."""
        lines = [
            [column.title for column in self.columns],
            ["---" if column.text else "---:" for column in self.columns],
        ]
        lines += [
            [show(value, column).replace("|", "\\|") for value, column in zip(row, self.columns, strict=True)]
            for row in self.rows
        ]
        body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"## {self.title}\n\n{self.caption}\n\n{body}\n"

    def csv(self) -> str:
        """The table as CSV: full precision, an estimate in three columns (value, low, high), an empty field
        for what is unknown."""
        wide = [
            any(isinstance(row[place], Estimate) for row in self.rows) for place in range(len(self.columns))
        ]
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\n")
        header = [
            (c.title, f"{c.title}, low", f"{c.title}, high") if w else (c.title,)
            for c, w in zip(self.columns, wide, strict=True)
        ]
        writer.writerow([name for names in header for name in names])
        for row in self.rows:
            writer.writerow([part for value, w in zip(row, wide, strict=True) for part in _fields(value, w)])
        return buffer.getvalue()


@dataclass(frozen=True)
class Figure:
    """A drawn figure; `alt` says what it shows to somebody who cannot see it. `wide` figures take a whole row
    of the page."""

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    png: bytes
    wide: bool = False


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


def show(value: Value, column: Column) -> str:
    """A cell in words: "–" for what is unknown, an estimate with its interval."""
    if value is None:
        return "–"
    if isinstance(value, Estimate):
        centre = _number(value.value, column.digits)
        if value.low is None or value.high is None:
            return f"{centre} (one seed)"
        return f"{centre} [{_number(value.low, column.digits)}, {_number(value.high, column.digits)}]"
    if isinstance(value, (int, float)):
        return _number(value, column.digits if isinstance(value, float) else 0)
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


def _fields(value: Value, wide: bool) -> Sequence[str | float | int | None]:
    if isinstance(value, Estimate):
        return value.value, value.low, value.high
    cell = None if value is None else str(value) if isinstance(value, Verdict) else value
    return (cell, None, None) if wide else (cell,)
