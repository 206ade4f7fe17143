"""The classic suite's results, analysed: policies by way of training, what each rule picks, estimates over
seeds, lowest ranks, what is missing."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from l0_surgical.experiments import selection
from l0_surgical.experiments.results import (
    ALGORITHMS,
    CLASSIC,
    ENVIRONMENTS,
    FORMAT,
    KEY,
    MORE_SEEDS,
    RANKS,
    REGULARIZERS,
    SUITE,
    read_json,
    read_tables,
)
from l0_surgical.experiments.selection import RANDOM_RETURN, TARGET_RETURN, Comparison
from l0_surgical.experiments.statistics import Estimate, Estimates, across_tasks, interquartile_means
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import number_name
from l0_surgical.tasks.classic import CLASSIC as TASKS

# observation, hidden units, actions: with one network of these widths every printed size is met (Table 3,
# Fig. 32)
WIDTHS = {name: (len(task.fields), 128, 64, 32, len(task.actions)) for name, task in TASKS.items()}
RULES = {"paper": "paper's rule", "ours": "our rule", "doubt": "not shown lower"}
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

Group = tuple[str, str]  # environment, algorithm
Key = tuple[str, str, str, float]  # environment, algorithm, regularizer, coefficient
Curve = tuple[list[int], list[Estimate | None]]  # environment steps, estimates


@cache
def printed() -> dict[str, Any]:
    """The paper's printed numbers: percentages as printed, one entry for each group and environment."""
    return json.loads(Path(__file__).with_name("printed.json").read_text(encoding="utf-8"))


def printed_policy(group: Group, kind: str) -> dict[str, float]:
    """What Tables 2 and 4 print of a group's "dense" or "sparse" policy."""
    return printed()["policies"]["/".join(group)][kind]


@dataclass(frozen=True)
class ClassicResults:
    """The rows of every table.

    `more_seeds` are further seeds of some coefficients. They count only where they are asked for: what was
        picked was picked without them.
    """

    path: Path
    run: dict[str, Any]
    members: pd.DataFrame
    curves: pd.DataFrame
    ranks: pd.DataFrame
    compressed: pd.DataFrame
    temperatures: pd.DataFrame
    more_seeds: pd.DataFrame

    @cached_property
    def groups(self) -> "list[GroupAnalysis]":
        """All six environments and algorithms, also those without a policy."""
        return [GroupAnalysis(self, (name, algorithm)) for name in ENVIRONMENTS for algorithm in ALGORITHMS]

    @cached_property
    def policies(self) -> dict[Key, pd.DataFrame]:
        """The policies by their key, one row for each seed; failed ones too."""
        return grouped(self.members)

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

    @cached_property
    def failed(self) -> list[str]:
        """The policies that failed, each with its cause."""
        rows = self.members[self.members["failed"] != ""]
        return [f"{_name(row)}, seed {row['seed']}: {row['failed']}" for row in rows.to_dict("records")]

    @cached_property
    def missing(self) -> list[str]:
        """What a full folder has and this one has not, in words."""
        seeds = set(self.members["seed"])
        regularizers, coefficients = self.members["regularizer"], self.members["coefficient"]
        used = {name: sorted(set(coefficients[regularizers == name])) for name in REGULARIZERS}
        used["none"] = [0.0]
        found = [f"no policy with {name.upper()}" for name in REGULARIZERS[1:] if not used[name]]
        curves, ranks = grouped(self.curves), grouped(self.ranks)
        for analysis in self.groups:
            group = analysis.group
            for key in [(*group, name, c) for name in REGULARIZERS for c in used[name]]:
                found += self._missing_of(key, seeds, curves.get(key), ranks.get(key))
            if not any(key[:3] == (*group, "l0") for key in ranks):
                found.append(f"{name_of(group)}: no sparse policy folded to low rank (ranks.csv)")
            if not _are_of(self.compressed, group).any():
                found.append(f"{name_of(group)}: no compressed policy (compressed.csv)")
        return found

    def _missing_of(
        self, key: Key, seeds: set[int], curves: pd.DataFrame | None, ranks: pd.DataFrame | None
    ) -> list[str]:
        name, rows = _name(dict(zip(KEY, key, strict=True))), self.policies.get(key, self.members[:0])
        done = set(rows["seed"][rows["return_mean"].notna()])
        found = []
        if absent := seeds - set(rows["seed"]):
            found.append(f"{name}: {_seeds(absent)}")
        if absent := done - (set() if curves is None else set(curves["seed"])):
            found.append(f"{name}: no reward curve of {_seeds(absent)} (curves.csv)")
        if ranks is not None or key[2] == "none":
            known = self.ranks[:0] if ranks is None else ranks[ranks["return_mean"].notna()]
            swept = set(zip(known["seed"], known["rank"], strict=True))
            if absent := {seed for seed in done for rank in RANKS if (seed, rank) not in swept}:
                every = f"not every rank from {RANKS[0]} to {RANKS[-1]}"
                found.append(f"{name}: {every} of {_seeds(absent)} (ranks.csv)")
        return found


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
        return [key[3] for key in self.results.policies if key[:3] == (*self.group, regularizer)]

    def sparse(self, regularizer: str = "l0") -> pd.DataFrame:
        """All policies with that regularizer."""
        members = self.results.members[_are_of(self.results.members, self.group)]
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
        rows = rows[_are_of(rows, self.group) & rows["return_mean"].notna()]
        return dict(list(rows.groupby("coefficient")))

    def sweep(self, coefficient: float | None, regularizer: str = "l0") -> pd.DataFrame:
        """The rows of the rank sweep of that way of training."""
        ranks = self.results.ranks
        is_wanted = _are_of(ranks, self.group) & (ranks["regularizer"] == regularizer)
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
        rows = self.results.curves[_are_of(self.results.curves, self.group)]
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


def read_classic(folder: Path) -> ClassicResults:
    """The results in `folder`.

    Raises:
        BadInputError: another suite or format, no policy at all, a missing column, a value that makes no
        sense, a policy twice.
    """
    run = read_json(folder / "run.json")
    if run.get("suite") != SUITE:
        raise BadInputError(
            f"{folder} holds results of the suite {run.get('suite')!r}, not of {SUITE!r}; report it with "
            "its own version"
        )
    if run.get("format") != FORMAT:
        raise BadInputError(
            f"{folder} has format {run.get('format')!r} and this version reads format {FORMAT}; run the "
            "suite again into another folder"
        )
    remedy = f"run: l0-surgical suite classic --out {folder} --resume"
    if not (folder / "members.csv").is_file():
        raise BadInputError(f"{folder} has no members.csv, so no policy was trained; {remedy}")
    tables = read_tables(folder, {**CLASSIC, MORE_SEEDS: CLASSIC["members"]})
    if tables["members"].empty:
        raise BadInputError(f"{folder / 'members.csv'} has no row; {remedy}")
    results = ClassicResults(folder, run, more_seeds=tables.pop(MORE_SEEDS), **tables)
    _check(results)
    return results


def _check(results: ClassicResults) -> None:
    every = pd.concat([results.members, results.more_seeds]) if len(results.more_seeds) else results.members
    tables = [
        ("members", results.members, []),
        (MORE_SEEDS, every, []),
        ("curves", results.curves, ["env_steps"]),
        ("ranks", results.ranks, ["rank"]),
        ("compressed", results.compressed, ["method"]),
    ]
    for name, rows, more in tables:
        for row in rows[rows.duplicated([*KEY, "seed", *more])].to_dict("records"):
            policy = f"{_name(row)}, seed {row['seed']}" + "".join(f", {c} {row[c]}" for c in more)
            raise BadInputError(
                f"{results.path / name}.csv holds {policy} twice; results of two runs are never mixed"
            )
    unknown = every["return_mean"].isna() | every["sparsity"].isna()
    for row in every[unknown & (every["failed"] == "")].to_dict("records"):
        raise BadInputError(
            f"{results.path / 'members.csv'}: {_name(row)}, seed {row['seed']} has no return or no sparsity, "
            "and no cause in the column failed; run that cell again"
        )


def grouped(
    rows: pd.DataFrame, more: Sequence[str] = (), key: Sequence[str] = KEY
) -> dict[tuple, pd.DataFrame]:
    """The rows by key in the paper's order: CartPole first, dense before sparse."""
    return dict(list(rows.groupby([*key, *more], observed=True)))


def name_of(group: Group) -> str:
    """A group in words, e.g. LunarLander PPO."""
    return f"{ENVIRONMENTS[group[0]]} {ALGORITHMS[group[1]]}"


def shapes_of(environment: str) -> list[tuple[int, int]]:
    """The (out, in) of every layer of the environment's network."""
    widths = WIDTHS[environment]
    return list(zip(widths[1:], widths[:-1], strict=True))


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


def _are_of(rows: pd.DataFrame, group: Group) -> pd.Series:
    return (rows["environment"] == group[0]) & (rows["algorithm"] == group[1])


def _name(row: dict[str, Any]) -> str:
    regularizer, coefficient = row["regularizer"], row["coefficient"]
    words = "dense" if regularizer == "none" else f"{regularizer.upper()} {number_name(coefficient)}"
    return f"{name_of((row['environment'], row['algorithm']))}, {words}"


def _seeds(seeds: set[int]) -> str:
    return ("seeds " if len(seeds) > 1 else "seed ") + ", ".join(map(str, sorted(seeds)))


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
