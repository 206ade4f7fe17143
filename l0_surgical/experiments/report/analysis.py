"""The classic suite's results, analysed: what each rule picks, estimates over seeds, reward curves, lowest
ranks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from l0_surgical.experiments import selection
from l0_surgical.experiments.report.classic import GROUPS, ClassicTables, Group, are_of, grouped, name_of
from l0_surgical.experiments.results import RANKS, REGULARIZERS
from l0_surgical.experiments.selection import RANDOM_RETURN, TARGET_RETURN, Comparison
from l0_surgical.experiments.statistics import Estimate, Estimates, across_tasks, interquartile_means

CURVE_POINTS = 60
MEASURES = {
    "λ": "coefficient",
    "sparsity": "sparsity",
    "reward": "return_mean",
    "steps to target": "steps_to_target",
    "critic sparsity": "critic_sparsity",
    "env. steps": "env_steps",
}
_ESTIMATED = ("return_mean", "sparsity", "sparsity_at_init", "critic_sparsity", "steps_to_target")
_COMPRESSED_ESTIMATED = ("return_mean", "parameters", "bytes", "size_decrease_percent")

Curve = tuple[list[int], list[Estimate | None]]  # environment steps, estimates


class ClassicResults(ClassicTables):
    """The tables with what is estimated from them."""

    @cached_property
    def groups(self) -> "list[GroupAnalysis]":
        """All six environments and algorithms, also those without a policy."""
        return [GroupAnalysis(self, group) for group in GROUPS]

    @cached_property
    def regularizers(self) -> list[str]:
        """Those, beside none, that the results have."""
        return [name for name in REGULARIZERS[1:] if (self.members["regularizer"] == name).any()]

    def estimate(self, rows: pd.DataFrame, column: str, factor: float = 1.0) -> Estimate | None:
        """The interquartile mean of a column over seeds, times `factor`; None where no row has a value."""
        found = self._estimates(rows[column].dropna())
        return None if found is None else found.scaled(factor)

    @cached_property
    def _estimates(self) -> Estimates:
        kinds = (
            (self.members, [], _ESTIMATED),
            (self.ranks, ["rank"], _ESTIMATED[:1]),
            (self.compressed, ["method"], _COMPRESSED_ESTIMATED),
            (self.temperatures, ["temperature"], _ESTIMATED),
        )
        sets = [
            tuple(rows[column].dropna())
            for table, more, columns in kinds
            for rows in grouped(table, more).values()
            for column in columns
        ]
        return Estimates(values for values in sets if values)


@dataclass(frozen=True)
class GroupAnalysis:
    """One environment and algorithm."""

    results: ClassicResults
    group: Group
    name: str = field(init=False)
    """In words, e.g. LunarLander PPO."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", name_of(self.group))

    @property
    def random_return(self) -> float:
        """The return of random actions."""
        return RANDOM_RETURN[self.group[0]]

    @property
    def target(self) -> float:
        """The paper's target reward."""
        return TARGET_RETURN[self.group[0]]

    def coefficients(self, regularizer: str = "l0") -> list[float]:
        """The coefficients of the policies with that regularizer."""
        return [float(key[3]) for key in self.results.policies if key[:3] == (*self.group, regularizer)]

    def sparse(self, regularizer: str = "l0") -> pd.DataFrame:
        """All policies with that regularizer."""
        members = self.results.members[are_of(self.results.members, self.group)]
        return members[members["regularizer"] == regularizer].sort_values("coefficient", kind="stable")

    @cached_property
    def comparisons(self) -> dict[tuple[str, float], Comparison]:
        """The reward of every (regularizer, coefficient) against the dense policies'."""
        found = {key[2:]: rows for key, rows in self.results.policies.items() if key[:2] == self.group}
        dense = found.pop(("none", 0.0), self.results.members[:0])
        return selection.compare(found, dense, self.random_return)

    def pick(self, rule: str, regularizer: str = "l0") -> float | None:
        """The coefficient that a rule of `RULES` picks; None if it picks none."""
        rows = self.sparse(regularizer)
        if rule == "paper":
            return selection.by_paper(rows)
        compared = {c: found for (name, c), found in self.comparisons.items() if name == regularizer}
        return (selection.by_evidence if rule == "ours" else selection.by_doubt)(rows, compared)

    def policies(self, coefficient: float | None, regularizer: str = "l0") -> pd.DataFrame:
        """The policies of a coefficient that did not fail; the dense ones for the regularizer none."""
        rows = self.results.policies.get((*self.group, regularizer, coefficient), self.results.members[:0])
        return rows[rows["return_mean"].notna()]

    @cached_property
    def dense(self) -> pd.DataFrame:
        """The dense policies that did not fail."""
        return self.policies(0.0, "none")

    @cached_property
    def further(self) -> dict[float, pd.DataFrame]:
        """The L0 policies of further seeds that did not fail, by coefficient (dense: 0), smallest first."""
        rows = self.results.more_seeds
        rows = rows[are_of(rows, self.group) & rows["return_mean"].notna()]
        return dict(list(rows.groupby("coefficient")))

    def sweep(self, coefficient: float | None, regularizer: str = "l0") -> pd.DataFrame:
        """The rows of the rank sweep of that way of training."""
        ranks = self.results.ranks
        is_wanted = are_of(ranks, self.group) & (ranks["regularizer"] == regularizer)
        if coefficient is None:
            return ranks[:0]
        return ranks[is_wanted & (ranks["coefficient"] == coefficient) & ranks["return_mean"].notna()]

    def lowest_ranks(self, coefficient: float | None, regularizer: str = "l0") -> list[int]:
        """For each seed the lowest rank whose return reaches the target; one more than the highest rank if
        none does."""
        sweep = self.sweep(coefficient, regularizer)
        reached = sweep[sweep["return_mean"] >= self.target].groupby("seed")["rank"].min()
        return reached.reindex(sorted(set(sweep["seed"])), fill_value=RANKS[-1] + 1).tolist()

    def estimate(self, rows: pd.DataFrame, column: str, factor: float = 1.0) -> Estimate | None:
        """As `ClassicResults.estimate`."""
        return self.results.estimate(rows, column, factor)

    @cached_property
    def curves(self) -> dict[tuple[str, float], Curve]:
        """The validation reward of the dense policies ("none", 0.0) and of every L0 coefficient; all
        estimates in one go."""
        rows = self.results.curves[are_of(self.results.curves, self.group)]
        points = {
            key[2:]: _curve_points(policies)
            for key, policies in grouped(rows).items()
            if key[2] in ("none", "l0")
        }
        found = iter(interquartile_means([values for _, sets in points.values() for values in sets]))
        return {key: (steps, [next(found) for _ in sets]) for key, (steps, sets) in points.items()}

    @cached_property
    def correlations(self) -> np.ndarray:
        """Spearman's correlation of `MEASURES` over the L0 policies (measures, measures); NaN where one does
        not vary."""
        rows = self.sparse()
        columns = rows[rows["return_mean"].notna()][list(MEASURES.values())].astype(float).to_numpy().T
        return np.array([[_spearman(a, b) for b in columns] for a in columns])


def reaching(rows: pd.DataFrame, target: float) -> str:
    """How many policies reach the target in test, in words."""
    return f"{(rows['return_mean'] >= target).sum()} of {len(rows)}"


def normalised(analyses: Sequence[GroupAnalysis], picked: Sequence[pd.DataFrame]) -> Estimate | None:
    """The interquartile mean over seeds and groups of (reward - random) / (target - random); None unless
    every group has the same seeds."""
    sizes = {len(rows) for rows in picked}
    if len(sizes) != 1 or sizes <= {0, 1}:
        return None
    columns = [
        (rows["return_mean"].to_numpy() - a.random_return) / (a.target - a.random_return)
        for a, rows in zip(analyses, picked, strict=True)
    ]
    return across_tasks(np.array(columns).T)


def _curve_points(rows: pd.DataFrame) -> tuple[list[int], list[list[float]]]:
    """At most `CURVE_POINTS` steps of all seeds, and the seeds' rewards at each; a seed keeps its last value
    once it has stopped."""
    seeds = rows.pivot(index="env_steps", columns="seed", values="return_mean").ffill()
    places = np.unique(np.linspace(0, len(seeds) - 1, CURVE_POINTS).round().astype(int))
    seeds = seeds.iloc[places]
    return seeds.index.tolist(), [row[~np.isnan(row)].tolist() for row in seeds.to_numpy()]


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    known = ~(np.isnan(a) | np.isnan(b))
    a, b = a[known], b[known]
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(spearmanr(a, b).statistic)
