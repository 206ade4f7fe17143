"""`l0-surgical report`: reads results folders, writes tables (Markdown, CSV), figures (PNG, SVG) and one
self-contained page."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from l0_surgical.experiments.report import figures, tables
from l0_surgical.experiments.report.analysis import ClassicResults
from l0_surgical.experiments.report.claims import claims_table, classic_claims
from l0_surgical.experiments.report.content import Figure, Part, Section, Table
from l0_surgical.experiments.report.needle_reach import needle_reach_part, read_surgical
from l0_surgical.experiments.report.page import page
from l0_surgical.experiments.results import SUITE, SWEEPS, read_json
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import atomic_write, make_folder

PAGE = "index.html"


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
    first = Section("claims-section", "The paper's claims", (), [claims])
    sections = [first, *(section for part in parts for section in part.sections)]
    items = [item for section in sections for item in section.items]
    missing = [words for part in parts for words in part.missing]
    failed = [words for part in parts for words in part.failed]
    contents = {
        "tables": [
            (f"tables/{item.name}.{kind}", text.encode())
            for item in items
            if isinstance(item, Table)
            for kind, text in (("md", item.markdown()), ("csv", item.csv()))
        ],
        "figures": [
            (f"figures/{item.name}.{kind}", data)
            for item in items
            if isinstance(item, Figure)
            for kind, data in (("svg", item.svg.encode()), ("png", item.png))
        ],
        "page": [(PAGE, page([part.source for part in parts], sections, missing, failed).encode())],
    }
    make_folder(out)
    for name, data in (file for files in contents.values() for file in files):
        with atomic_write(out / name) as file:
            file.write(data)
    return {
        "out": str(out),
        **{kind: [name for name, _ in contents[kind]] for kind in ("tables", "figures")},
        "page": str(out / PAGE),
        "missing": missing,
        "failed": failed,
        "claims": [[str(value) for value in row] for row in claims.rows],
        "seconds": round(time.monotonic() - began, 1),
    }


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
        suite = read_json(folder / "run.json").get("suite")
        if suite == SUITE:
            return SUITE
        raise BadInputError(
            f"{folder} holds results of the suite {suite!r}; this version reports {' and '.join(READERS)}"
        )
    if (folder / SWEEPS).is_file():
        return "surgical"
    raise BadInputError(
        f"{folder} is no results folder (neither run.json nor {SWEEPS}); give the folder that a suite wrote"
    )


def classic_part(results: ClassicResults) -> Part:
    """All that the report has on the classic environments, in the order of the page."""
    groups = results.groups
    map_ = tables.temperatures(results)
    no_map = () if map_ else ("These results hold no map of the temperature β (no temperatures.csv).",)
    regularizers = (
        "The paper compares L0 with L1 and L2 in Mario only. Here all three run over the same "
        "coefficients in every cell."
    )
    sections = [
        _section(
            "tables",
            "The paper's tables",
            tables.targets(results),
            tables.dense_and_sparse(groups),
            tables.spaces(results),
            tables.lowest_ranks(groups),
            tables.picks(results),
            tables.more_seeds(groups),
            tables.aggregate(results),
        ),
        _section("rewards", "Reward curves", *figures.best_curves(groups)),
        _section(
            "regularizers-section",
            "L0 against L1 and L2",
            tables.by_regularizer(results),
            tables.other_groups(results),
            *(figures.trade_off(a) for a in groups),
            *(figures.sparsity(a) for a in groups),
            paragraphs=(regularizers,),
        ),
        _section(
            "low-rank",
            "Low rank and compression",
            figures.size_by_rank(),
            *(figures.rank_sweep(a) for a in groups),
            figures.compression(results),
            tables.compressed(results),
            tables.size_by_rank(),
        ),
        _section(
            "effects",
            "The effect of λ and β",
            *figures.all_curves(groups),
            *figures.correlations(groups),
            *figures.temperature_maps(results),
            map_,
            tables.every_coefficient(results),
            paragraphs=no_map,
        ),
        _section("cost-section", "Cost", tables.cost(results)),
    ]
    return Part(_source(results), classic_claims(results), sections, results.missing, results.failed)


def _section(name: str, title: str, *items: Table | Figure | None, paragraphs: Sequence[str] = ()) -> Section:
    return Section(name, title, paragraphs, [item for item in items if item is not None])


def _source(results: ClassicResults) -> str:
    """Where the results come from, in words."""
    run, seeds = results.run, results.members["seed"].nunique()
    parts = [f"Classic suite: {len(results.members)} policies, {seeds} seeds"]
    parts += [f"{key} {run[key]}" for key in ("preset", "l0_surgical") if run.get(key)]
    if run.get("commit"):  # the parts of a run may differ
        parts.append("commit " + ", ".join(commit[:7] for commit in run["commit"].split(", ")))
    parts += [f"{name} {version}" for name, version in (run.get("versions") or {}).items()]
    parts += [str(run[key]) for key in ("machine", "command") if run.get(key)]
    hours = {"wall": run.get("wall_seconds"), "CPU": run.get("cpu_seconds")}
    parts += [f"{seconds / 3600:.1f} h {word}" for word, seconds in hours.items() if seconds]
    return " · ".join(parts)


# suite: how its folder is read, and what the report makes of it
READERS: dict[str, tuple[Callable[[Path], Any], Callable[[Any], Part]]] = {
    SUITE: (ClassicResults.read, classic_part),
    "surgical": (read_surgical, needle_reach_part),
}
