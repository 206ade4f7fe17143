"""What the tables, figures and claims of the classic suite share: the picked coefficients, estimates over
seeds, lowest ranks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from l0_surgical.experiments import selection
from l0_surgical.experiments.intervals import Estimate, across_tasks, interquartile_means
from l0_surgical.experiments.report.classic import Cell, ClassicResults
from l0_surgical.experiments.rows import Rows
from l0_surgical.experiments.selection import RANDOM_RETURN, TARGET_RETURN, Comparison
from l0_surgical.experiments.suite_format import RANKS, REGULARIZERS

RULES = {"paper": "paper's rule", "ours": "our rule", "doubt": "not shown lower"}
CURVE_POINTS = 60
Curve = tuple[list[int], list[Estimate | None]]  # environment steps, estimates
MEASURES = ("λ", "sparsity", "reward", "steps to target", "critic sparsity", "env. steps")
_MEASURE_COLUMNS = (
    "coefficient",
    "sparsity",
    "return_mean",
    "steps_to_target",
    "critic_sparsity",
    "env_steps",
)


@dataclass(frozen=True)
class CellAnalysis:
    """One environment and algorithm."""

    results: ClassicResults
    cell: Cell

    @property
    def random_return(self) -> float:
        """The return of random actions."""
        return RANDOM_RETURN[self.cell[0]]

    @property
    def target(self) -> float:
        """The paper's target reward."""
        return TARGET_RETURN[self.cell[0]]

    @cached_property
    def comparisons(self) -> dict[tuple[str, float], Comparison]:
        """The reward of every (regularizer, coefficient) against the dense policies'."""
        groups = {
            key[2:]: rows
            for key, rows in self.results.groups.items()
            if key[:2] == self.cell and key[2] != "none"
        }
        return selection.compare(groups, self.results.dense(self.cell), self.random_return)

    def pick(self, rule: str, regularizer: str = "l0") -> float | None:
        """The coefficient that a rule of `RULES` picks; None if it picks none."""
        rows = self.results.sparse(self.cell, regularizer)
        if rule == "paper":
            return selection.by_paper(rows)
        compared = {
            coefficient: found
            for (name, coefficient), found in self.comparisons.items()
            if name == regularizer
        }
        return (selection.by_evidence if rule == "ours" else selection.by_doubt)(rows, compared)

    def policies(self, coefficient: float | None, regularizer: str = "l0") -> Rows:
        """The policies of a coefficient that did not fail; the dense ones for the regularizer none."""
        rows = self.results.groups.get(
            (*self.cell, regularizer, -1.0 if coefficient is None else coefficient), []
        )
        return [row for row in rows if row["return_mean"] is not None]

    @cached_property
    def dense(self) -> Rows:
        """The dense policies that did not fail."""
        return self.policies(0.0, "none")

    @cached_property
    def further(self) -> dict[float, Rows]:
        """The L0 policies of further seeds that did not fail, by coefficient (dense: 0), smallest first."""
        groups: dict[float, Rows] = {}
        for row in self.results.more_seeds:
            if (row["environment"], row["algorithm"]) == self.cell and row["return_mean"] is not None:
                groups.setdefault(row["coefficient"], []).append(row)
        return dict(sorted(groups.items()))

    def sweep(
        self, coefficient: float | None, regularizer: str = "l0"
    ) -> dict[int, dict[int, dict[str, Any]]]:
        """The rows of the rank sweep by seed and rank."""
        sweeps: dict[int, dict[int, dict[str, Any]]] = {}
        for row in self.results.grouped_ranks.get(
            (*self.cell, regularizer, -1.0 if coefficient is None else coefficient), []
        ):
            if row["return_mean"] is not None:
                sweeps.setdefault(row["seed"], {})[row["rank"]] = row
        return sweeps

    def lowest_ranks(self, coefficient: float | None, regularizer: str = "l0") -> list[int]:
        """For each seed the lowest rank whose return reaches the target; one more than the highest rank if
        none does."""
        sweeps = self.sweep(coefficient, regularizer)
        beyond = RANKS[-1] + 1
        return [
            min(
                (rank for rank, row in sorted(rows.items()) if row["return_mean"] >= self.target),
                default=beyond,
            )
            for _, rows in sorted(sweeps.items())
        ]

    def estimate(self, rows: Sequence[dict[str, Any]], column: str, factor: float = 1.0) -> Estimate | None:
        """As `ClassicResults.estimate`."""
        return self.results.estimate(rows, column, factor)

    @cached_property
    def curves(self) -> dict[tuple[str, float], Curve]:
        """The validation reward of the dense policies ("none", 0.0) and of every L0 coefficient; all
        estimates in one go."""
        groups = {
            key[2:]: rows
            for key, rows in self.results.grouped_curves.items()
            if key[:2] == self.cell and key[2] in ("none", "l0")
        }
        points = {key: _curve_points(rows) for key, rows in groups.items()}
        found = iter(interquartile_means([values for _, sets in points.values() for values in sets]))
        return {key: (steps, [next(found) for _ in sets]) for key, (steps, sets) in points.items()}

    @cached_property
    def correlations(self) -> np.ndarray:
        """Spearman's correlation of `MEASURES` over the L0 policies (measures, measures); NaN where one does
        not vary."""
        rows = [row for row in self.results.sparse(self.cell) if row["return_mean"] is not None]
        columns = [
            [math.nan if row[name] is None else row[name] for row in rows] for name in _MEASURE_COLUMNS
        ]
        size = len(MEASURES)
        return np.array([[_spearman(columns[i], columns[j]) for j in range(size)] for i in range(size)])


def reaching(rows: Sequence[dict[str, Any]], target: float) -> str:
    """How many policies reach the target in test, in words."""
    return f"{sum(row['return_mean'] >= target for row in rows)} of {len(rows)}"


def normalised(analyses: Sequence[CellAnalysis], picked: Sequence[Rows]) -> Estimate | None:
    """The interquartile mean over seeds and cells of (reward - random) / (target - random); None unless every
    cell has the same seeds."""
    sizes = {len(rows) for rows in picked}
    if len(sizes) != 1 or sizes <= {0, 1}:
        return None
    columns = [
        [(row["return_mean"] - a.random_return) / (a.target - a.random_return) for row in rows]
        for a, rows in zip(analyses, picked, strict=True)
    ]
    return across_tasks(np.array(columns).T)


def regularizers(results: ClassicResults) -> list[str]:
    """The regularizers, beside none, that the results have."""
    return [name for name in REGULARIZERS[1:] if any(row["regularizer"] == name for row in results.members)]


def _curve_points(rows: Sequence[dict[str, Any]]) -> tuple[list[int], list[list[float]]]:
    """At most `CURVE_POINTS` steps of all seeds, and the seeds' rewards at each; a seed keeps its last value
    once it has stopped."""
    seeds: dict[int, list[tuple[int, float]]] = {}
    for row in rows:
        seeds.setdefault(row["seed"], []).append((row["env_steps"], row["return_mean"]))
    steps = np.unique([step for points in seeds.values() for step, _ in points])
    steps = steps[np.unique(np.linspace(0, len(steps) - 1, CURVE_POINTS).round().astype(int))]
    columns = []
    for points in seeds.values():
        known, values = np.array(sorted(points), float).T
        place = np.searchsorted(known, steps, side="right") - 1
        columns.append(np.where(place >= 0, values[np.maximum(place, 0)], np.nan))
    return steps.tolist(), [column[~np.isnan(column)].tolist() for column in np.array(columns).T]


def _spearman(a: list[float], b: list[float]) -> float:
    pairs = np.array([(x, y) for x, y in zip(a, b, strict=True) if not (math.isnan(x) or math.isnan(y))])
    if len(pairs) < 3 or any(len(set(column)) < 2 for column in pairs.T):
        return math.nan
    return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)
