"""The tables and figures of the surgical suite: one row per policy, rank sweeps over seeds, medians."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from l0_surgical.experiments.jobs import CellResult
from l0_surgical.experiments.report import pictures
from l0_surgical.experiments.results import SURGICAL, SWEEPS, write_json, write_table
from l0_surgical.experiments.suites.surgical import RANKED_SEEDS
from l0_surgical.system.files import number_name

Row = dict[str, Any]
SUMMARISED = ("return_mean", "success_rate", "sparsity", "sparsity_at_init", "critic_sparsity")
SUMMARISED += ("parameters", "bytes", "size_decrease_percent")


def write_surgical_tables(
    out: Path,
    members: Mapping[str, Sequence[Row]],
    reduced: Sequence[CellResult],
    wall_seconds: Mapping[str, float],
) -> list[str]:
    """Writes best.csv, paper.csv, compressed.csv, rank_sweeps.json, summary.json and the figures; returns
    their names."""
    compressed = [cell.result for cell in reduced if cell.specification["do"] == "compress"]
    sweeps = _mean_sweeps([cell for cell in reduced if cell.specification["do"] == "ranks"])
    for name, rows in {**members, "compressed": compressed}.items():
        write_table(out / f"{name}.csv", SURGICAL[name], rows, digits=None)
    write_json(out / SWEEPS, sweeps, indent=1)
    summary = {
        "best": {kind: _medians(_of(members["best"], regularizer=kind)) for kind in ("none", "l0")},
        "compressed": {
            kind: _medians([row for row in compressed if row["policy"].startswith(kind)])
            for kind in ("l0", "dense")
        },
        "paper": {
            number_name(c): _medians(_of(members["paper"], coefficient=c))
            for c in sorted({row["coefficient"] for row in members["paper"]})
        },
        "wall_seconds": dict(wall_seconds),
    }
    write_json(out / "summary.json", summary, indent=1)
    files = [*(f"{name}.csv" for name in SURGICAL), SWEEPS, "summary.json"]
    return [*files, *_draw(out, members, sweeps)]


def _draw(out: Path, members: Mapping[str, Sequence[Row]], sweeps: dict[str, list[Row]]) -> list[str]:
    for run in members:
        pictures.learning_curves(
            out / run / "metrics.csv", out / f"learning_curves_{run}.png", f"Preset {run}"
        )
        title = (
            f"Low-rank decomposition, preset {run}: mean over {RANKED_SEEDS} seeds, 100 unseen episodes each"
        )
        curves = [(name.split(" ", 1)[1], rows) for name, rows in sweeps.items() if name.startswith(run)]
        pictures.return_by_rank(
            curves, out / f"return_by_rank_{run}.png", title, ("return_range", "band: worst to best seed")
        )
    seeds = len({row["seed"] for row in members["paper"]})
    title = f"Preset paper: {seeds} seeds, 100 unseen episodes each"
    pictures.by_coefficient(members["paper"], out / "by_coefficient_paper.png", title)
    return [
        *(f"{kind}_{run}.png" for run in members for kind in ("learning_curves", "return_by_rank")),
        "by_coefficient_paper.png",
    ]


def _of(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    return [row for row in rows if wanted.items() <= row.items()]


def _mean_sweeps(cells: Sequence[CellResult]) -> dict[str, list[Row]]:
    """Per preset and policy ("best dense", "paper L0 0.05") and rank: means over seeds, and the worst and
    best seed's return."""
    sweeps: dict[str, list[list[Row]]] = {}
    for cell in cells:
        policy = cell.specification["name"].rsplit("-seed", 1)[0].replace("l0-", "L0 ")
        sweeps.setdefault(f"{cell.specification['run']} {policy}", []).append(cell.result["ranks"])
    result = {}
    for name, seeds in sweeps.items():
        by_rank = pd.DataFrame([row for rows in seeds for row in rows]).groupby("rank", sort=False)
        result[name] = [
            {
                "rank": int(rank),
                **{key: rows[key].iloc[0].item() for key in ("parameters_paper", "parameters")},
                "size_decrease_percent": float(rows["size_decrease_percent"].iloc[0]),
                "return_mean": float(np.mean(rows["return_mean"])),
                "return_range": [float(rows["return_mean"].min()), float(rows["return_mean"].max())],
                "success_rate": float(np.mean(rows["success_rate"])),
                "seeds": len(rows),
            }
            for rank, rows in by_rank
        ]
    return result


def _medians(rows: Sequence[Row]) -> Row:
    """Median over seeds, 95 % percentile bootstrap interval of the median, worst and best seed."""
    generator = np.random.default_rng(0)
    result: Row = {"seeds": len(rows)}
    for key in SUMMARISED:
        if rows and key in rows[0]:
            values = np.array([row[key] for row in rows], float)
            medians = np.median(generator.choice(values, (10_000, len(values))), axis=1)
            low, high = np.percentile(medians, [2.5, 97.5]).tolist()
            bounds = {"ci95": [low, high], "min": float(values.min()), "max": float(values.max())}
            result[key] = {"median": float(np.median(values)), **bounds}
    return result
