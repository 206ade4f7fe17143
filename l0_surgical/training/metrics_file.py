"""metrics.csv of a run: a row for every member and round, under the columns that its cohorts report."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from l0_surgical.system.files import atomic_write


class MetricsFile:
    """Keeps what a former process wrote of the first `rounds` rounds and appends to it; later rows, of work
    to be done again, are dropped.

    A metric without a column gets one: the file is written anew, once, with the new column behind the others.

    Args:
        path: of the file, which may be absent, or end in a row that a crash or a full disk has cut short.
        rounds: how many are done.
        columns: what is reported, in the order of a new file.

    Raises:
        L0SurgicalError: the disk is full.
    """

    def __init__(self, path: Path, rounds: int, columns: Sequence[str]) -> None:
        self._path = path
        found, rows = _read(path)
        self._open(
            [*found, *(name for name in columns if name not in found)],
            (row for row in rows if int(row["round"]) < rounds),
        )

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Appends rows; a column that a row does not name stays empty in it."""
        unknown = dict.fromkeys(name for row in rows for name in row if name not in self._writer.fieldnames)
        if unknown:
            self.close()
            found, former = _read(self._path)
            self._open([*found, *unknown], former)
        self._writer.writerows(rows)

    def flush(self) -> None:
        """Hands everything to the system."""
        self._file.flush()

    def close(self) -> None:
        """Flushes and closes the file."""
        self._file.close()

    def _open(self, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, columns)
        writer.writeheader()
        writer.writerows(rows)
        with atomic_write(self._path) as file:
            file.write(buffer.getvalue().encode())
        self._file = self._path.open("a", newline="", encoding="utf-8")
        self._writer = csv.DictWriter(self._file, columns)


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the complete rows of a file; of none if it is absent or has no rounds."""
    if not path.exists():
        return [], []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    reader = csv.DictReader(line.replace("\0", "") for line in lines if line.endswith("\n"))
    rows = [
        row
        for row in reader
        if (row.get("round") or "").isdecimal() and None not in row.values() and None not in row
    ]
    columns = list(reader.fieldnames or ())
    return (columns, rows) if "round" in columns else ([], [])
