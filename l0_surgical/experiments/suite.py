"""Runs a suite in a folder, or goes on with it: trainings, then what is made of the trained policies, then
the tables that `report` reads.

The stages are cells (`jobs.run_cells`) or training runs, each resumable at any point.
"""

import dataclasses
import hashlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from l0_surgical import __version__, training
from l0_surgical.experiments.jobs import Cell, CellResult, Outcome, run_cells
from l0_surgical.experiments.results import CLASSIC, FORMAT, SUITE, with_bounds, write_json, write_table
from l0_surgical.experiments.selection import RANDOM_RETURN, by_doubt, by_evidence, by_paper, compare
from l0_surgical.experiments.suites import classic, surgical
from l0_surgical.experiments.suites.classic import SuiteConfig
from l0_surgical.experiments.suites.surgical import SurgicalConfig
from l0_surgical.experiments.surgical_tables import write_surgical_tables
from l0_surgical.experiments.works import GO_ON, REDUCE, REDUCE_SURGICAL, TRAIN, save_policies
from l0_surgical.system.bounds import Jobs, check_value
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.progress import Progress

VERSIONS = ("torch", "numpy", "gymnasium", "numba")
CONFIGS = {"classic": SuiteConfig, "surgical": SurgicalConfig}
"""Suites by name, each with the record of its flags."""


@dataclass(frozen=True)
class Where:
    """Where the cells run: `jobs` at a time as local processes, or on a Ray cluster, at `address` or one of
    their own; `progress` is told the cells done."""

    engine: Literal["local", "ray"] = "local"
    jobs: int = 1
    address: str | None = None
    progress: Progress = lambda text, done, total: None


def run_suite(
    config: SuiteConfig | SurgicalConfig, out: Path, where: Where = Where(), command: str = ""
) -> dict[str, Any]:
    """Runs a suite in the folder `out`, or goes on with it, and writes its tables there.

    Returns:
        The tables' file names, what was chosen, and what failed or had to be run again.

    Raises:
        BadInputError: a grid with a duplicate, or a folder of another suite or version.
        InterruptedCells, InterruptedRun: stopped by a signal; the same call goes on.
    """
    config.validate()
    check_value("jobs", where.jobs, Jobs)
    started = time.monotonic()
    if isinstance(config, SurgicalConfig):
        result = _run_surgical(config, out, where)
    else:
        result = _run_classic(config, out, where, command)
    return {"out": str(out), **result, "wall_seconds": time.monotonic() - started}


def _run_classic(config: SuiteConfig, out: Path, where: Where, command: str) -> dict[str, Any]:
    engine = {"engine": where.engine, "address": where.address}
    local = {"jobs": where.jobs, "progress": where.progress}
    trained = run_cells(classic.training_cells(config), TRAIN, out / "training", **engine, **local)
    members = [row for cell in trained.finished for row in save_policies(cell, out)]
    main = [row for row in members if not row["mapped"]]
    chosen = choose(main)
    cells = classic.reduction_cells(config, main, chosen)
    # it reads the policies that the first stage has left on this machine
    reduced = _run_some(cells, REDUCE, out / "reduction", **local)
    spent = sum(cell.cpu_seconds for cell in (*trained.finished, *reduced.finished))
    tables = Tables(members, trained.finished, reduced.finished)
    files = write_tables(tables, out, config=dataclasses.asdict(config), command=command, cpu_seconds=spent)
    return {"files": files, "policies": len(members), **_told(chosen, trained, reduced), "cpu_seconds": spent}


def _run_surgical(config: SurgicalConfig, out: Path, where: Where) -> dict[str, Any]:
    if where.engine != "local":
        raise BadInputError("--engine ray: the surgical suite runs on this machine; leave it out")
    members, failed, began, wall = {}, {}, os.times(), {}
    for name, settings in surgical.trainings(config).items():
        if (out / name).exists() and not training.is_of(out / name, settings):
            raise BadInputError(f"{out / name} holds another training; choose another --out")
        summary = training.complete(settings, out / name, progress=where.progress, go_on=GO_ON)
        wall[name] = summary["wall_seconds"]
        rows = [{**row, "name": Path(row["policy"] or row["unevaluated"]).stem} for row in summary["members"]]
        failed |= {f"{name}/{row['name']}": row["failed"] for row in rows if row.get("failed")}
        members[name] = [{**row, **_hashed(out / name, row)} for row in rows if not row.get("failed")]
    ended = os.times()
    cells = surgical.reduction_cells(config, members)
    reduced = run_cells(cells, REDUCE_SURGICAL, out / "reduction", jobs=where.jobs, progress=where.progress)
    told = _told({}, reduced)
    spent = ended.user + ended.system - began.user - began.system
    return {
        "files": write_surgical_tables(out, members, reduced.finished, wall),
        "policies": sum(map(len, members.values())) + len(failed),
        **told,
        "failed": {**failed, **told["failed"]},
        "cpu_seconds": spent + sum(cell.cpu_seconds for cell in reduced.finished),
    }


def _hashed(run: Path, row: dict[str, Any]) -> dict[str, Any]:
    file = run / "policies" / f"{row['name']}.safetensors"
    return {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def _run_some(cells: Sequence[Cell], *how: Any, **more: Any) -> Outcome:
    return run_cells(cells, *how, **more) if cells else Outcome([], {}, [])


def _told(chosen: dict[tuple[str, str], list[float]], *stages: Outcome) -> dict[str, Any]:
    return {
        "chosen": {"/".join(cell): picks for cell, picks in chosen.items()},
        "failed": {name: cause for stage in stages for name, cause in stage.failed.items()},
        "run_again": [f"{name}: {reason}" for stage in stages for name, reason in stage.rerun],
    }


def train_seeds(cells: Sequence[Cell], out: Path, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Trains cells of `classic.seed_cells` one after the other, each in a folder of its own in `out`, or
    takes what is there; the members' rows.

    Raises:
        BadInputError: a folder of another version or other settings.
        InterruptedCells: stopped by a signal; the same call goes on.
        L0SurgicalError: a cell failed in every attempt.
    """
    rows = []
    for cell in cells:
        outcome = run_cells([cell], TRAIN, out / cell.name / "training", progress=progress)
        if outcome.failed:
            raise L0SurgicalError(f"{cell.name}: {outcome.failed[cell.name]}")
        rows += save_policies(outcome.finished[0], out / cell.name)
    return rows


def choose(members: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[float]]:
    """For every environment and algorithm the L0 coefficients of the paper's rule and of both forms of ours,
    without duplicates."""
    if not members:
        return {}
    chosen: dict[tuple[str, str], list[float]] = {}
    for cell, rows in pd.DataFrame(members).groupby(["environment", "algorithm"], sort=False):
        good = rows[rows["failed"] == ""]
        sparse, dense = (good[good["regularizer"] == name] for name in ("l0", "none"))
        found = compare(dict(list(sparse.groupby("coefficient"))), dense, RANDOM_RETURN[cell[0]])
        picks = [by_paper(sparse), by_evidence(sparse, found), by_doubt(sparse, found)]
        chosen[cell] = [pick for pick in dict.fromkeys(picks) if pick is not None]
    return chosen


@dataclass(frozen=True)
class Tables:
    """The members' rows (`works.save_policies`), and the training and reduction cells."""

    members: Sequence[dict[str, Any]]
    trained: Sequence[CellResult]
    reduced: Sequence[CellResult]


def write_tables(
    tables: Tables, out: Path, *, config: dict[str, Any], command: str, cpu_seconds: float
) -> list[str]:
    """Writes every table of the classic suite into `out`; returns the files' names."""
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
        "curves": [
            {**cell.specification, **point}
            for cell in tables.trained
            if cell.specification["temperature"] is None
            for point in cell.result["curves"]
        ],
        "ranks": [with_bounds(row) for cell in tables.reduced for row in cell.result["ranks"]],
        "compressed": [row for cell in tables.reduced for row in cell.result["compressed"]],
    }
    for name, table in rows.items():
        write_table(out / f"{name}.csv", CLASSIC[name], table)
    versions = {name: importlib.metadata.version(name) for name in (*VERSIONS, *_installed("envpool"))}
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
    write_json(out / "run.json", run)
    return ["run.json", *(f"{name}.csv" for name in rows)]


def _installed(name: str) -> list[str]:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return []
    return [name]
