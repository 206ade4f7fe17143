"""The tables of a results folder of the classic suite: what is refused, what has failed, what is missing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from l0_surgical.experiments.results import (
    ALGORITHMS,
    CLASSIC,
    ENVIRONMENTS,
    FORMAT,
    KEY,
    MORE_SEEDS,
    PAPER_ALGORITHMS,
    PAPER_ENVIRONMENTS,
    PAPER_REGULARIZERS,
    RANKS,
    REGULARIZERS,
    SUITE,
    read_json,
    read_tables,
)
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import number_name
from l0_surgical.tasks.classic import CLASSIC as TASKS

# observation, hidden units, actions: with one network of these widths every printed size is met (Table 3,
# Fig. 32)
WIDTHS = {name: (len(task.fields), 128, 64, 32, len(task.actions)) for name, task in TASKS.items()}
Group = tuple[str, str]  # environment, algorithm
Key = tuple[str, str, str, float]  # environment, algorithm, regularizer, coefficient
GROUPS = [(environment, algorithm) for environment in PAPER_ENVIRONMENTS for algorithm in PAPER_ALGORITHMS]
"""All six, in the paper's order."""


@cache
def printed() -> dict[str, Any]:
    """The paper's printed numbers: percentages as printed, one entry for each group and environment."""
    return json.loads(Path(__file__).with_name("printed.json").read_text(encoding="utf-8"))


def printed_policy(group: Group, kind: str) -> dict[str, float]:
    """What Tables 2 and 4 print of a group's "dense" or "sparse" policy."""
    return printed()["policies"]["/".join(group)][kind]


@dataclass(frozen=True)
class ClassicTables:
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

    @classmethod
    def read(cls, folder: Path) -> "ClassicTables":
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
        remedy = f"run: l0-surgical suite classic --out {folder}"
        if not (folder / "members.csv").is_file():
            raise BadInputError(f"{folder} has no members.csv, so no policy was trained; {remedy}")
        tables = read_tables(folder, {**CLASSIC, MORE_SEEDS: CLASSIC["members"]})
        if tables["members"].empty:
            raise BadInputError(f"{folder / 'members.csv'} has no row; {remedy}")
        results = cls(folder, run, more_seeds=tables.pop(MORE_SEEDS), **tables)
        _check(results)
        return results

    @cached_property
    def policies(self) -> dict[Key, pd.DataFrame]:
        """The policies by their key, one row for each seed; failed ones too."""
        return grouped(self.members)

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
        found = [f"no policy with {name.upper()}" for name in PAPER_REGULARIZERS[1:] if not used[name]]
        curves, ranks = grouped(self.curves), grouped(self.ranks)
        for group in GROUPS:
            for key in [(*group, name, c) for name in REGULARIZERS for c in used[name]]:
                found += self._missing_of(key, seeds, curves.get(key), ranks.get(key))
            if not any(key[:3] == (*group, "l0") for key in ranks):
                found.append(f"{name_of(group)}: no sparse policy folded to low rank (ranks.csv)")
            if not are_of(self.compressed, group).any():
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


def _check(results: ClassicTables) -> None:
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


def are_of(rows: pd.DataFrame, group: Group) -> pd.Series:
    """Which rows are of a group."""
    return (rows["environment"] == group[0]) & (rows["algorithm"] == group[1])


def _name(row: dict[str, Any]) -> str:
    regularizer, coefficient = row["regularizer"], row["coefficient"]
    words = "dense" if regularizer == "none" else f"{regularizer.upper()} {number_name(coefficient)}"
    return f"{name_of((row['environment'], row['algorithm']))}, {words}"


def _seeds(seeds: set[int]) -> str:
    return ("seeds " if len(seeds) > 1 else "seed ") + ", ".join(map(str, sorted(seeds)))
