"""The NeedleReach results: everything in results/surgical but the speeds, from training to tables and
figures.

    python benchmarks/surgical.py --out runs/surgical --results results/surgical [--jobs 2] [--threads 2]

1. preset `best`, dense and L0, 10 seeds in one process     4. return by rank of dense and sparse policies
(Figs. 16 to 18) 2. preset `paper`, dense and 8 coefficients, 5 seeds         5. tables (CSV), summary.json,
figures 3. `compress` of the policies of (1) Each stage keeps what it has finished in --out: run it again
after an interruption and it goes on.
"""

import argparse
import csv
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from l0_surgical import training
from l0_surgical.commands.terminal import ProgressBar
from l0_surgical.compression import rank_sweep
from l0_surgical.compression.request import Request, compress_to
from l0_surgical.evaluation.remembering import RememberingEvaluator
from l0_surgical.experiments import figures
from l0_surgical.policy import load_policy
from l0_surgical.policy.description import describe
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import TrainingConfig
from l0_surgical.system.files import number_name

RANKS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 60, 80, 100, 130)
RANKED_SEEDS = 3
PAPER_BEST_COEFFICIENT = 0.05
SUMMARISED = (
    "return_mean",
    "success_rate",
    "sparsity",
    "sparsity_at_init",
    "critic_sparsity",
    "parameters",
    "bytes",
    "size_decrease_percent",
)


def main() -> None:
    """Runs the stages in order."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="working folder (large)")
    parser.add_argument("--results", type=Path, required=True, help="folder of the small tables and figures")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="of a training; 0: all cores")
    parser.add_argument("--stages", nargs="+", default=["best", "paper", "compress", "ranks", "report"])
    arguments = parser.parse_args()
    with ProgressBar() as bar:
        for stage in arguments.stages:
            STAGES[stage](arguments, bar)


def train_best(arguments: argparse.Namespace, bar: ProgressBar) -> None:
    """Stage 1."""
    config = dataclasses.replace(
        preset("best"), regularizer=("none", "l0"), seeds=10, threads=arguments.threads
    )
    _train(config, arguments.out / "best", bar)


def train_paper(arguments: argparse.Namespace, bar: ProgressBar) -> None:
    """Stage 2."""
    _train(
        dataclasses.replace(preset("paper"), seeds=5, threads=arguments.threads), arguments.out / "paper", bar
    )


def compress_best(arguments: argparse.Namespace, bar: ProgressBar) -> None:
    """Stage 3."""
    for row in _members(arguments.out / "best", "l0") + _members(arguments.out / "best", "none"):
        name = Path(row["policy"]).stem
        report = arguments.out / "compressed" / f"{name}.json"
        if not report.exists():
            request = Request(
                rank=None,
                ranks=None,
                keep=None,
                confidence=0.95,
                episodes=100,
                seed=row["seed"],
                jobs=arguments.jobs,
            )
            evidence = compress_to(row["policy"], report.with_suffix(".safetensors"), request, bar)
            report.write_text(json.dumps(evidence), encoding="utf-8")


def sweep_ranks(arguments: argparse.Namespace, bar: ProgressBar) -> None:
    """Stage 4."""
    cells = [
        ("best", "none", None),
        ("best", "l0", None),
        ("paper", "none", None),
        ("paper", "l0", PAPER_BEST_COEFFICIENT),
    ]
    with RememberingEvaluator(preset("best").task, arguments.jobs) as evaluator:
        for run, regularizer, coefficient in cells:
            rows = [
                r
                for r in _members(arguments.out / run, regularizer)
                if coefficient in (None, r["coefficient"])
            ]
            for row in rows[:RANKED_SEEDS]:
                path = arguments.out / "ranks" / f"{run}-{Path(row['policy']).stem}.json"
                if not path.exists():
                    path.parent.mkdir(exist_ok=True)
                    tell = lambda n, t=f"ranks, {path.stem}": bar(t, n, len(RANKS))  # noqa: E731
                    sweep = rank_sweep(
                        load_policy(row["policy"]), RANKS, stream="test", progress=tell, evaluator=evaluator
                    )
                    path.write_text(json.dumps(sweep), encoding="utf-8")


def write_report(arguments: argparse.Namespace, bar: ProgressBar) -> None:
    """Stage 5."""
    out, results = arguments.out, arguments.results
    results.mkdir(parents=True, exist_ok=True)
    keys = [
        "seed",
        "regularizer",
        "coefficient",
        "return_mean",
        "success_rate",
        "sparsity",
        "sparsity_at_init",
        "critic_sparsity",
    ]
    keys += ["critic_sparsity_at_init", "parameters", "env_steps", "updates"]
    for run in ("best", "paper"):
        _write_csv(results / f"{run}.csv", [{key: row[key] for key in keys} for row in _members(out / run)])
        figures.learning_curves(
            figures.read_metrics(out / run / "metrics.csv"),
            results / f"learning_curves_{run}.png",
            f"Preset {run}",
        )
    reports = sorted(
        (out / "compressed").glob("*.json"),
        key=lambda p: (p.stem.startswith("dense"), int(p.stem.split("seed")[1])),
    )
    compressed = [_compressed_row(path) for path in reports]
    _write_csv(results / "compressed.csv", compressed)
    sweeps = _mean_sweeps(out / "ranks")
    (results / "rank_sweeps.json").write_text(json.dumps(sweeps, indent=1) + "\n", encoding="utf-8")
    for run in ("best", "paper"):
        curves = [(name.split(" ", 1)[1], rows) for name, rows in sweeps.items() if name.startswith(run)]
        title = (
            f"Low-rank decomposition, preset {run}: mean over {RANKED_SEEDS} seeds, 100 unseen episodes each"
        )
        figures.return_by_rank(
            curves, results / f"return_by_rank_{run}.png", title, ("return_range", "band: worst to best seed")
        )
    figures.by_coefficient(
        _members(out / "paper"),
        results / "by_coefficient_paper.png",
        "Preset paper: 5 seeds, 100 unseen episodes each",
    )
    summary = {
        "best": {kind: _medians(_members(out / "best", kind)) for kind in ("none", "l0")},
        "compressed": {
            kind: _medians([row for row in compressed if row["policy"].startswith(kind)])
            for kind in ("l0", "dense")
        },
        "paper": {
            number_name(c): _medians([r for r in _members(out / "paper") if r["coefficient"] == c])
            for c in _coefficients(out)
        },
        "wall_seconds": {
            run: json.loads((out / run / "summary.json").read_text(encoding="utf-8"))["wall_seconds"]
            for run in ("best", "paper")
        },
    }
    (results / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    bar("report", 1, 1)


STAGES: dict[str, Callable[[argparse.Namespace, ProgressBar], None]] = {
    "best": train_best,
    "paper": train_paper,
    "compress": compress_best,
    "ranks": sweep_ranks,
    "report": write_report,
}


def _train(config: TrainingConfig, run: Path, bar: ProgressBar) -> None:
    if (run / "summary.json").exists():
        return
    if (run / "config.json").exists():
        training.resume(run, progress=bar)
    else:
        training.train(config, run, progress=bar)


def _members(run: Path, regularizer: str | None = None) -> list[dict[str, Any]]:
    rows = json.loads((run / "summary.json").read_text(encoding="utf-8"))["members"]
    return [row for row in rows if regularizer in (None, row["regularizer"])]


def _coefficients(out: Path) -> list[float]:
    return sorted({row["coefficient"] for row in _members(out / "paper")})


def _compressed_row(path: Path) -> dict[str, Any]:
    chosen = json.loads(path.read_text(encoding="utf-8"))["chosen"]
    description = describe(load_policy(path.with_suffix(".safetensors")))
    kinds = "+".join(layer["representation"] for layer in description["layers"])
    units = "-".join(str(units) for units in description["network"])
    figures_ = {
        "parameters": chosen["parameters"],
        "bytes": chosen["bytes"],
        "size_decrease_percent": chosen["size_decrease_percent"],
    }
    test = chosen["test"]
    return {
        "policy": path.stem,
        **figures_,
        "units": units,
        "representation": kinds,
        **{k: test[k] for k in ("return_mean", "success_rate")},
    }


def _mean_sweeps(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Per cell and rank: means over seeds, and the worst and best seed's return."""
    cells: dict[str, list[list[dict[str, Any]]]] = {}
    for path in sorted(folder.glob("*.json")):
        cell = path.stem.rsplit("-seed", 1)[0]
        name = (
            cell.replace("best-dense", "best dense")
            .replace("paper-dense", "paper dense")
            .replace("-l0-", " L0 ")
        )
        cells.setdefault(name, []).append(json.loads(path.read_text(encoding="utf-8")))
    result = {}
    for name, sweeps in cells.items():
        rows = []
        for same_rank in zip(*sweeps, strict=True):
            means = np.array([row["return_mean"] for row in same_rank])
            row = {
                key: same_rank[0][key]
                for key in ("rank", "parameters_paper", "parameters", "size_decrease_percent")
            }
            row |= {
                "return_mean": float(means.mean()),
                "return_range": [float(means.min()), float(means.max())],
            }
            rows.append(
                {
                    **row,
                    "success_rate": float(np.mean([r["success_rate"] for r in same_rank])),
                    "seeds": len(same_rank),
                }
            )
        result[name] = rows
    return result


def _medians(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Median over seeds, 95 % percentile bootstrap interval of the median, worst and best seed."""
    generator = np.random.default_rng(0)
    result: dict[str, Any] = {"seeds": len(rows)}
    for key in SUMMARISED:
        if key in rows[0]:
            values = np.array([row[key] for row in rows], float)
            medians = np.median(generator.choice(values, (10_000, len(values))), axis=1)
            low, high = np.percentile(medians, [2.5, 97.5])
            bounds = {
                "ci95": [float(low), float(high)],
                "min": float(values.min()),
                "max": float(values.max()),
            }
            result[key] = {"median": float(np.median(values)), **bounds}
    return result


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
