"""What `terminal` needs of rich to print a table, for a computer on which rich is not installed."""

import sys
from typing import Any, TextIO


class Table:
    """Columns of text below their names, a title above and a caption beneath."""

    def __init__(self, *names: str, title: str = "") -> None:
        self.caption = ""
        self._title = title
        self._rows: list[tuple[str, ...]] = [names]

    def add_row(self, *cells: str) -> None:
        """Adds a line of cells, one for each column."""
        self._rows.append(cells)

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(*self._rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in self._rows
        ]
        return "\n".join(part for part in (self._title, *lines, self.caption) if part)


class Console:
    """Prints on stdout, or another stream; a table has the width that it needs anywhere."""

    is_terminal = True

    def __init__(self, file: TextIO | None = None, width: int | None = None) -> None:
        self._file = file

    def print(self, renderable: Any) -> None:
        """Prints whatever has a text."""
        (self._file or sys.stdout).write(f"{renderable}\n")
