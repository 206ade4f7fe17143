"""The tables of the classic suite, as `report` reads them: small CSV files and run.json."""

import csv
import importlib.metadata
import io
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from l0_surgical import __version__
from l0_surgical.experiments.cells import CellResult
from l0_surgical.experiments.suite_format import FORMAT, SUITE, TABLES
from l0_surgical.system.files import atomic_write, number_name

VERSIONS = ("torch", "numpy", "gymnasium", "numba")


@dataclass(frozen=True)
class Tables:
    """The members' rows (`suite_work.save_policies`), and the training and reduction cells."""

    members: Sequence[dict[str, Any]]
    trained: Sequence[CellResult]
    reduced: Sequence[CellResult]


def write_tables(
    tables: Tables, out: Path, *, config: dict[str, Any], command: str, cpu_seconds: float
) -> list[str]:
    """Writes every table into `out`; returns the files' names."""
    members = [with_bounds(row) for row in tables.members]
    mapped = {(row["environment"], row["algorithm"]) for row in members if row["mapped"]}
    rows = {
        "members": [row for row in members if not row["mapped"]],
        # the preset's own temperature is part of the map
        "temperatures": [
            row
            for row in members
            if row["regularizer"] == "l0" and (row["environment"], row["algorithm"]) in mapped
        ],
        "curves": _curves(tables.trained),
        "ranks": [with_bounds(row) for cell in tables.reduced for row in cell.result["ranks"]],
        "compressed": [row for cell in tables.reduced for row in cell.result["compressed"]],
    }
    for name, table in rows.items():
        write_csv(out / f"{name}.csv", tuple(TABLES[name]), table)
    versions = {name: importlib.metadata.version(name) for name in VERSIONS}
    versions |= {name: importlib.metadata.version(name) for name in ("envpool",) if _is_installed(name)}
    run = {
        "suite": SUITE,
        "format": FORMAT,
        "l0_surgical": __version__,
        "commit": ", ".join(sorted({row["commit"] for row in members if row.get("commit")})),
        "versions": {"python": platform.python_version(), **versions},
        "command": command,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
        "wall_seconds": sum(row["wall_seconds"] for row in members),
        "cpu_seconds": cpu_seconds,
        "preset": config["preset"],
        "config": config,
    }
    with atomic_write(out / "run.json") as file:
        file.write((json.dumps(run, indent=2) + "\n").encode())
    return ["run.json", *(f"{name}.csv" for name in rows)]


def _curves(trained: Sequence[CellResult]) -> list[dict[str, Any]]:
    return [
        {**{key: cell.specification[key] for key in ("environment", "algorithm")}, **point}
        for cell in trained
        if cell.specification["temperature"] is None
        for point in cell.result["curves"]
    ]


def with_bounds(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the interval of its return in two columns."""
    low, high = row.get("return_ci95") or (None, None)
    return {**row, "return_low": low, "return_high": high}


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Writes these columns of the rows, numbers to six digits."""
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, columns, extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows({key: _shown(key, row.get(key)) for key in columns} for row in rows)
    with atomic_write(path) as file:
        file.write(buffer.getvalue().encode())


def _shown(column: str, value: Any) -> Any:
    """Six digits are more than any of these figures is known to; a coefficient is none of them, but says
    which policies these are."""
    if column == "coefficient":
        return number_name(value)
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else value


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
