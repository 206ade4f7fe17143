"""A results folder of `suite classic`: what is in it, what is refused, and which cells are missing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from l0_surgical.experiments.intervals import Estimate, Estimates
from l0_surgical.experiments.rows import Rows, read_json, read_table
from l0_surgical.experiments.suite_format import (
    ALGORITHMS,
    ENVIRONMENTS,
    FORMAT,
    MORE_SEEDS,
    RANKS,
    REGULARIZERS,
    SUITE,
    TABLES,
)
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import number_name

# observation, hidden units, actions: with one network of these widths every printed size is met (Table 3,
# Fig. 32)
WIDTHS = {
    "cartpole": (4, 128, 64, 32, 2),
    "acrobot": (6, 128, 64, 32, 3),
    "lunar-lander": (8, 128, 64, 32, 4),
}

_ESTIMATED = ("return_mean", "sparsity", "sparsity_at_init", "critic_sparsity", "steps_to_target")
_COMPRESSED_ESTIMATED = ("return_mean", "parameters", "bytes", "size_decrease_percent")

Cell = tuple[str, str]  # environment, algorithm
Group = tuple[str, str, str, float]  # environment, algorithm, regularizer, coefficient


@dataclass(frozen=True)
class ClassicResults:
    """The rows of every table; `missing` says in words what is not there, `failed` which policies failed and
    why.

    `more_seeds` are further seeds of some coefficients. They count only where they are asked for: what was
        picked was picked without them.
    """

    path: Path
    run: dict[str, Any]
    members: Rows
    curves: Rows
    ranks: Rows
    compressed: Rows
    temperatures: Rows
    more_seeds: Rows

    @property
    def cells(self) -> list[Cell]:
        """All six (environment, algorithm), also those without a policy."""
        return [(environment, algorithm) for environment in ENVIRONMENTS for algorithm in ALGORITHMS]

    @cached_property
    def groups(self) -> dict[Group, Rows]:
        """The policies by (environment, algorithm, regularizer, coefficient), one row for each seed; failed
        ones too."""
        return _grouped(self.members)

    @cached_property
    def grouped_curves(self) -> dict[Group, Rows]:
        """The validation points, in the same way."""
        return _grouped(self.curves)

    @cached_property
    def grouped_ranks(self) -> dict[Group, Rows]:
        """The rank sweeps, in the same way."""
        return _grouped(self.ranks)

    def dense(self, cell: Cell) -> Rows:
        """The dense policies of a cell."""
        return self.groups.get((*cell, "none", 0.0), [])

    def coefficients(self, cell: Cell, regularizer: str = "l0") -> list[float]:
        """The coefficients of a cell's policies."""
        return sorted({key[3] for key in self.groups if key[:3] == (*cell, regularizer)})

    def sparse(self, cell: Cell, regularizer: str = "l0") -> Rows:
        """All policies of a cell with that regularizer."""
        return [row for key, rows in self.groups.items() if key[:3] == (*cell, regularizer) for row in rows]

    def estimate(self, rows: Iterable[dict[str, Any]], column: str, factor: float = 1.0) -> Estimate | None:
        """The interquartile mean of a column over seeds, times `factor`; None where no row has a value."""
        found = self._estimates(_known(rows, column))
        return None if found is None else found.scaled(factor)

    @cached_property
    def _estimates(self) -> Estimates:
        sets = [_known(rows, column) for rows in self.groups.values() for column in _ESTIMATED]
        kinds = (
            (self.ranks, ("rank",), _ESTIMATED[:1]),
            (self.compressed, ("method",), _COMPRESSED_ESTIMATED),
        )
        for table, extra, columns in (*kinds, (self.temperatures, ("temperature",), _ESTIMATED)):
            sets += [_known(rows, column) for rows in _grouped(table, extra).values() for column in columns]
        return Estimates(values for values in sets if values)

    @cached_property
    def failed(self) -> list[str]:
        """The policies that failed, each with its cause."""
        return [
            f"{_name(_key(row))}, seed {row['seed']}: {row['failed']}"
            for row in self.members
            if row["failed"]
        ]

    @cached_property
    def missing(self) -> list[str]:
        """What a full folder has and this one has not, in words."""
        seeds = sorted({row["seed"] for row in self.members})
        coefficients = {
            r: sorted({row["coefficient"] for row in self.members if row["regularizer"] == r})
            for r in REGULARIZERS
        }
        coefficients["none"] = [0.0]
        found = [f"no policy with {r.upper()}" for r in REGULARIZERS[1:] if not coefficients[r]]
        for cell in self.cells:
            for regularizer in REGULARIZERS:
                for coefficient in coefficients[regularizer]:
                    found += self._missing_of((*cell, regularizer, coefficient), seeds)
            if not any(
                row["regularizer"] == "l0"
                for row in self.ranks
                if (row["environment"], row["algorithm"]) == cell
            ):
                found.append(f"{name_of(cell)}: no sparse policy folded to low rank (ranks.csv)")
            if not any((row["environment"], row["algorithm"]) == cell for row in self.compressed):
                found.append(f"{name_of(cell)}: no compressed policy (compressed.csv)")
        return found

    def _missing_of(self, key: Group, seeds: list[int]) -> list[str]:
        rows = self.groups.get(key, [])
        found = []
        if absent := sorted(set(seeds) - {row["seed"] for row in rows}):
            found.append(f"{_name(key)}: {_seeds(absent)}")
        done = {row["seed"] for row in rows if row["return_mean"] is not None}
        if absent := sorted(done - {row["seed"] for row in self.grouped_curves.get(key, [])}):
            found.append(f"{_name(key)}: no reward curve of {_seeds(absent)} (curves.csv)")
        sweeps = self.grouped_ranks.get(key, [])
        swept = {(row["seed"], row["rank"]) for row in sweeps if row["return_mean"] is not None}
        wanted = {(seed, rank) for seed in done for rank in RANKS} if sweeps or key[2] == "none" else set()
        if absent := sorted({seed for seed, _ in wanted - swept}):
            found.append(
                f"{_name(key)}: not every rank from {RANKS[0]} to {RANKS[-1]} of {_seeds(absent)} (ranks.csv)"
            )
        return found


def name_of(cell: Cell) -> str:
    """A cell in words, e.g. LunarLander PPO."""
    return f"{ENVIRONMENTS[cell[0]]} {ALGORITHMS[cell[1]]}"


def in_order(groups: dict[tuple, Rows]) -> dict[tuple, Rows]:
    """Groups by (environment, algorithm, regularizer, ...) in the paper's order: CartPole first, dense before
    sparse."""
    places = (list(ENVIRONMENTS), list(ALGORITHMS), REGULARIZERS)
    return dict(
        sorted(
            groups.items(),
            key=lambda item: (
                *(known.index(name) for known, name in zip(places, item[0], strict=False)),
                *item[0][3:],
            ),
        )
    )


def shapes_of(environment: str) -> list[tuple[int, int]]:
    """The (out, in) of every layer of the environment's network."""
    widths = WIDTHS[environment]
    return list(zip(widths[1:], widths[:-1], strict=True))


def is_classic(run: dict[str, Any]) -> bool:
    """Whether run.json is that of this suite."""
    return run.get("suite") == SUITE


def read_classic(folder: Path) -> ClassicResults:
    """The results in `folder`.

    Raises:
        BadInputError: another suite or format, no policy at all, a missing column, a value that makes no
        sense, a policy twice.
    """
    run = read_json(folder / "run.json")
    if not is_classic(run):
        raise BadInputError(
            f"{folder} holds results of the suite {run.get('suite')!r}, not of {SUITE!r}; report it with "
            "its own version"
        )
    if run.get("format") != FORMAT:
        raise BadInputError(
            f"{folder} has format {run.get('format')!r} and this version reads format {FORMAT}; run the "
            "suite again into another folder"
        )
    if not (folder / "members.csv").is_file():
        raise BadInputError(
            f"{folder} has no members.csv, so no policy was trained; run: l0-surgical suite classic --out "
            f"{folder} --resume"
        )
    members = read_table(folder / "members.csv", TABLES["members"])
    if not members:
        raise BadInputError(
            f"{folder / 'members.csv'} has no row; run: l0-surgical suite classic --out {folder} --resume"
        )
    rest = {
        name: _optional(folder / f"{name}.csv", columns)
        for name, columns in TABLES.items()
        if name != "members"
    }
    results = ClassicResults(
        folder, run, members, **rest, more_seeds=_optional(folder / f"{MORE_SEEDS}.csv", TABLES["members"])
    )
    _check(results)
    return results


def _optional(path: Path, columns: dict[str, Any]) -> Rows:
    return read_table(path, columns) if path.is_file() else []


def _check(results: ClassicResults) -> None:
    every = [*results.members, *results.more_seeds]
    tables = [
        ("members", results.members, ()),
        (MORE_SEEDS, every, ()),
        ("curves", results.curves, ("env_steps",)),
    ]
    tables += [("ranks", results.ranks, ("rank",)), ("compressed", results.compressed, ("method",))]
    for name, rows, extra in tables:
        seen = set()
        for row in rows:
            key = (*_key(row), row["seed"], *(row[column] for column in extra))
            if key in seen:
                policy = f"{_name(_key(row))}, seed {row['seed']}" + "".join(
                    f", {column} {row[column]}" for column in extra
                )
                raise BadInputError(
                    f"{results.path / name}.csv holds {policy} twice; results of two runs are never mixed"
                )
            seen.add(key)
    for row in every:
        if (row["return_mean"] is None or row["sparsity"] is None) and not row["failed"]:
            raise BadInputError(
                f"{results.path / 'members.csv'}: {_name(_key(row))}, seed {row['seed']} has no return or "
                "no sparsity, and no cause "
                "in the column failed; run that cell again"
            )


def _grouped(rows: Iterable[dict[str, Any]], extra: Sequence[str] = ()) -> dict[tuple, Rows]:
    groups: dict[tuple, Rows] = {}
    for row in rows:
        groups.setdefault((*_key(row), *(row[column] for column in extra)), []).append(row)
    return in_order(groups)


def _known(rows: Iterable[dict[str, Any]], column: str) -> list[float]:
    return [row[column] for row in rows if row[column] is not None]


def _key(row: dict[str, Any]) -> Group:
    return row["environment"], row["algorithm"], row["regularizer"], row["coefficient"]


def _name(key: Group) -> str:
    return f"{name_of(key[:2])}, " + (
        "dense" if key[2] == "none" else f"{key[2].upper()} {number_name(key[3])}"
    )


def _seeds(seeds: list[int]) -> str:
    return ("seeds " if len(seeds) > 1 else "seed ") + ", ".join(map(str, seeds))
