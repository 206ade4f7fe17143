"""`l0-surgical report`: reads results folders, writes tables (Markdown, CSV), figures (PNG, SVG) and one
self-contained page."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from l0_surgical.experiments.report.claims import claims_table
from l0_surgical.experiments.report.classic import is_classic, read_classic
from l0_surgical.experiments.report.classic_part import classic_part
from l0_surgical.experiments.report.content import Figure, Part, Section, Table
from l0_surgical.experiments.report.needle_reach import needle_reach_part
from l0_surgical.experiments.report.page import page
from l0_surgical.experiments.report.surgical import is_surgical, read_surgical
from l0_surgical.experiments.rows import read_json
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import atomic_write, make_folder

PAGE = "index.html"
# suite: how its folder is read, and what the report makes of it
READERS: dict[str, tuple[Callable[[Path], Any], Callable[[Any], Part]]] = {
    "classic": (read_classic, classic_part),
    "surgical": (read_surgical, needle_reach_part),
}


def build_report(folders: Sequence[Path], out: Path) -> dict[str, Any]:
    """Writes the report on `folders` into `out`; files of a former report there are replaced.

    Returns:
        `out`, `tables`, `figures` (files, relative to out), `page`, `missing`, `failed` (in words), `claims`
        and `seconds`.

    Raises:
        BadInputError: a folder holds no results, or results that cannot be read; two folders of one suite; no
        folder.
        L0SurgicalError: a file could not be written.
    """
    began = time.monotonic()
    parts = read_parts(folders)
    claims = claims_table([claim for part in parts for claim in part.claims])
    sections = [
        Section("claims-section", "The paper's claims", (), [claims]),
        *(section for part in parts for section in part.sections),
    ]
    items = [item for section in sections for item in section.items]
    tables = [item for item in items if isinstance(item, Table)]
    figures = [item for item in items if isinstance(item, Figure)]
    make_folder(out)
    written: dict[str, list[str]] = {"tables": [], "figures": []}
    for table in tables:
        written["tables"] += _write(out, f"tables/{table.name}.md", table.markdown().encode())
        written["tables"] += _write(out, f"tables/{table.name}.csv", table.csv().encode())
    for figure in figures:
        written["figures"] += _write(out, f"figures/{figure.name}.svg", figure.svg.encode())
        written["figures"] += _write(out, f"figures/{figure.name}.png", figure.png)
    missing = [words for part in parts for words in part.missing]
    failed = [words for part in parts for words in part.failed]
    _write(out, PAGE, page([part.source for part in parts], sections, missing, failed).encode())
    seconds = round(time.monotonic() - began, 1)
    summary = {"out": str(out), **written, "page": str(out / PAGE), "missing": missing, "failed": failed}
    return {**summary, "claims": [[str(value) for value in row] for row in claims.rows], "seconds": seconds}


def read_parts(folders: Sequence[Path]) -> list[Part]:
    """One part for each folder, in the given order.

    Raises:
        BadInputError: as in `build_report`.
    """
    if not folders:
        raise BadInputError("no results folder was given; name at least one, e.g. results/surgical")
    suites: dict[str, Path] = {}
    for folder in folders:
        suite = _suite(folder)
        if suite in suites:
            raise BadInputError(
                f"{suites[suite]} and {folder} are both results of the suite {suite}; report one at a time, "
                "runs are never mixed"
            )
        suites[suite] = folder
    results = {suite: READERS[suite][0](folder) for suite, folder in suites.items()}
    return [READERS[suite][1](found) for suite, found in results.items()]


def _suite(folder: Path) -> str:
    if not folder.is_dir():
        raise BadInputError(f"{folder} is no folder; give the folder that `l0-surgical suite` wrote (--out)")
    if (folder / "run.json").is_file():
        run = read_json(folder / "run.json")
        if is_classic(run):
            return "classic"
        raise BadInputError(
            f"{folder} holds results of the suite {run.get('suite')!r}; this version reports "
            f"{' and '.join(READERS)}"
        )
    if is_surgical(folder):
        return "surgical"
    raise BadInputError(
        f"{folder} is no results folder (neither run.json nor rank_sweeps.json); give the folder that a "
        "suite wrote"
    )


def _write(out: Path, name: str, data: bytes) -> list[str]:
    with atomic_write(out / name) as file:
        file.write(data)
    return [name]
