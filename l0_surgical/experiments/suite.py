"""The classic suite: every environment x algorithm x regulariser x coefficient x seed, then ranks and
representations of the best.

Two stages of cells (`cells.run_cells`), each resumable at any point. A training cell holds all coefficients
of one seed, as members of one process; a reduction cell is one trained policy. The tables that `report` reads
are written at the end, see `suite_tables`.
"""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from l0_surgical.experiments.cells import Cell, Outcome, run_cells
from l0_surgical.experiments.selection import RANDOM_RETURN, by_doubt, by_evidence, by_paper, compare
from l0_surgical.experiments.suite_format import RANKS
from l0_surgical.experiments.suite_tables import Tables, write_tables
from l0_surgical.experiments.suite_work import cell_config, policy_folder, save_policies, settings_digest
from l0_surgical.settings.presets import preset
from l0_surgical.settings.presets.classic import COEFFICIENTS
from l0_surgical.settings.training import Coefficient, Seeds
from l0_surgical.settings.values import Temperature
from l0_surgical.system.bounds import Jobs, check_fields, check_value
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.progress import Progress

Algorithm = Literal["dqn", "ppo"]

# longest first, so that no long cell is left alone at the end
ENVIRONMENTS = ("lunar-lander", "acrobot", "cartpole")
TEMPERATURES = (0.1, 0.25, 1.0, 2.0)
TEMPERATURE_GRID = (("cartpole", "ppo"), ("acrobot", "ppo"))


@dataclass(frozen=True)
class SuiteConfig:
    """What the suite runs."""

    environments: tuple[Literal["lunar-lander", "acrobot", "cartpole"], ...] = ENVIRONMENTS
    """Tasks."""
    algorithms: tuple[Literal["dqn", "ppo"], ...] = ("dqn", "ppo")
    """Learning algorithms."""
    regularizers: tuple[Literal["l0", "l1", "l2", "none"], ...] = ("none", "l0", "l1", "l2")
    """Trained with every coefficient; none once per seed. Empty: only the map of temperatures."""
    coefficients: tuple[Coefficient, ...] = COEFFICIENTS
    """Sparsification coefficients lambda."""
    seeds: Seeds = 5
    """Policies for each coefficient."""
    preset: Literal["best", "paper"] = "best"
    """Settings of the trainings."""
    temperatures: tuple[Temperature, ...] = TEMPERATURES
    """beta of the map beta x lambda (L0 with PPO on CartPole and Acrobot), beside the preset's; empty for no
    map."""
    temperature_seeds: Seeds = 2
    """Policies for each cell of the map."""
    quick: bool = False
    """A few hundred steps each: shows that everything runs, not that anything is learned."""

    def validate(self) -> None:
        """Checks the grid.

        Raises:
            BadInputError: a number out of its range, an empty axis or a duplicate.
        """
        check_fields(self)
        for name in ("environments", "algorithms", "regularizers", "coefficients", "temperatures"):
            values = getattr(self, name)
            if len(set(values)) != len(values):
                raise BadInputError(
                    f"--{name} {' '.join(map(str, values))}: a cell of the grid would be run twice; name "
                    "each once"
                )
            if not values and name not in ("coefficients", "regularizers", "temperatures"):
                raise BadInputError(f"--{name}: give at least one")
        if not self.regularizers and not self.temperatures:
            raise BadInputError("--regularizers: give at least one, or --temperatures for their map alone")
        # six digits are what the tables and the cells' names tell
        names = [
            f"{value:g}"
            for value in (*self.temperatures, preset(self.preset, *TEMPERATURE_GRID[0]).sparsity.temperature)
        ]
        if len(set(names)) != len(names):
            shown = " ".join(map(str, self.temperatures))
            raise BadInputError(
                f"--temperatures {shown}: name each once, apart in six digits, and not the preset's "
                f"{names[-1]}"
            )
        if set(self.regularizers) != {"none"} and not self.coefficients:
            raise BadInputError("--coefficients: give at least one, or only the regularizer none")


def training_cells(config: SuiteConfig) -> list[Cell]:
    """The first stage, the most wanted results first: dense and L0, then L1 and L2, then the map of
    temperatures."""
    groups = [
        [r for r in config.regularizers if r in ("none", "l0")],
        [r for r in config.regularizers if r in ("l1", "l2")],
    ]
    cells = [
        _training_cell(config, environment, algorithm, regularizer, seed)
        for group in groups
        for environment in config.environments
        for algorithm in config.algorithms
        for regularizer in group
        for seed in range(1 if regularizer == "none" else config.seeds)
    ]
    mapped = [
        cell for cell in TEMPERATURE_GRID if cell[0] in config.environments and cell[1] in config.algorithms
    ]
    if "l0" in config.regularizers or not config.regularizers:
        cells += [
            _training_cell(config, environment, algorithm, "l0", seed, temperature)
            for environment, algorithm in mapped
            for temperature in config.temperatures
            for seed in range(config.temperature_seeds)
        ]
    return cells


def _training_cell(
    config: SuiteConfig,
    environment: str,
    algorithm: str,
    regularizer: str,
    seed: int,
    temperature: float | None = None,
) -> Cell:
    dense = regularizer == "none"
    parts = [environment, algorithm, "dense" if dense else regularizer]
    parts += [] if temperature is None else [f"beta{temperature:g}"]
    specification = {
        "environment": environment,
        "algorithm": algorithm,
        "regularizer": regularizer,
        "coefficients": [] if dense else list(config.coefficients),
        "seed": seed,
        "seeds": config.seeds if dense else 1,
        "temperature": temperature,
        "preset": config.preset,
        "quick": config.quick,
    }
    # results of another preset under the same name are refused
    specification["settings"] = settings_digest(cell_config(specification))
    return Cell("-".join([*parts, "all-seeds" if dense else f"seed{seed}"]), specification)


def seed_cells(
    environment: str, algorithm: str, coefficients: Sequence[float], seeds: range, quick: bool = False
) -> list[Cell]:
    """Further seeds of some L0 coefficients (0: dense) with preset `best`: one cell for each coefficient, the
    seeds its members."""
    cells = []
    for coefficient in coefficients:
        specification = {
            "environment": environment,
            "algorithm": algorithm,
            "regularizer": "l0" if coefficient else "none",
            "coefficients": [coefficient] if coefficient else [],
            "seed": seeds.start,
            "seeds": len(seeds),
            "temperature": None,
            "preset": "best",
            "quick": quick,
        }
        specification["settings"] = settings_digest(cell_config(specification))
        label = f"l0-{coefficient:g}" if coefficient else "dense"
        cells.append(Cell(f"{environment}-{algorithm}-{label}-seeds{seeds.start}-{seeds[-1]}", specification))
    return cells


def train_seeds(cells: Sequence[Cell], out: Path, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Trains cells of `seed_cells` one after the other, each in a folder of its own in `out`, or takes what
    is there; the members' rows.

    Raises:
        BadInputError: a folder of another version or other settings.
        InterruptedCells: stopped by a signal; the same call goes on.
        L0SurgicalError: a cell failed in every attempt.
    """
    rows = []
    for cell in cells:
        outcome = run_cells(
            [cell],
            "l0_surgical.experiments.suite_work:train_cell",
            out / cell.name / "training",
            progress=progress,
        )
        if outcome.failed:
            raise L0SurgicalError(f"{cell.name}: {outcome.failed[cell.name]}")
        rows += save_policies(outcome.finished[0], policy_folder(out / cell.name))
    return rows


def reduction_cells(
    config: SuiteConfig, members: Sequence[dict[str, Any]], chosen: dict[tuple[str, str], list[float]]
) -> list[Cell]:
    """The second stage: every dense policy and the L0 policies of the chosen coefficients."""
    wanted = [
        row
        for row in members
        if not row["failed"]
        and (
            row["regularizer"] == "none"
            or (row["regularizer"] == "l0" and row["coefficient"] in chosen[_cell_of(row)])
        )
    ]
    ranks = list(RANKS[::12] if config.quick else RANKS)
    return [
        Cell(
            f"{row['environment']}-{row['algorithm']}-{row['policy']}",
            {
                **{
                    key: row[key]
                    for key in (
                        "environment",
                        "algorithm",
                        "regularizer",
                        "coefficient",
                        "seed",
                        "policy",
                        "sha256",
                    )
                },
                "ranks": ranks,
                "episodes": 4 if config.quick else 100,
            },
        )
        for row in wanted
    ]


def choose(members: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[float]]:
    """For every environment and algorithm the L0 coefficients of the paper's rule and of both forms of ours,
    without duplicates."""
    chosen: dict[tuple[str, str], list[float]] = {}
    for cell in dict.fromkeys(_cell_of(row) for row in members):
        rows = [row for row in members if _cell_of(row) == cell and not row["failed"]]
        sparse = [row for row in rows if row["regularizer"] == "l0"]
        dense = [row for row in rows if row["regularizer"] == "none"]
        groups = {
            c: [row for row in sparse if row["coefficient"] == c]
            for c in sorted({row["coefficient"] for row in sparse})
        }
        comparisons = compare(groups, dense, RANDOM_RETURN[cell[0]])
        picks = [by_paper(sparse), by_evidence(sparse, comparisons), by_doubt(sparse, comparisons)]
        chosen[cell] = [pick for pick in dict.fromkeys(picks) if pick is not None]
    return chosen


def run_classic(
    config: SuiteConfig,
    out: Path,
    *,
    engine: Literal["local", "ray"] = "local",
    jobs: int = 1,
    address: str | None = None,
    command: str = "",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Runs the suite in the folder `out`, or goes on with it, and writes its tables there.

    Returns:
        The tables' file names, what was chosen, and what failed or had to be run again.

    Raises:
        BadInputError: a grid with a duplicate, or a folder of another suite or version.
        InterruptedCells: stopped by a signal; the same call goes on.
    """
    config.validate()
    check_value("jobs", jobs, Jobs)
    started, engines = (
        time.monotonic(),
        {"engine": engine, "jobs": jobs, "address": address, "progress": progress},
    )
    trained = run_cells(
        training_cells(config), "l0_surgical.experiments.suite_work:train_cell", out / "training", **engines
    )
    members = [row for cell in trained.finished for row in save_policies(cell, policy_folder(out))]
    main = [row for row in members if not row["mapped"]]
    chosen = choose(main)
    # the second stage reads the policies that the first has left on this machine
    cells = reduction_cells(config, main, chosen)
    work = "l0_surgical.experiments.suite_work:reduce_cell"
    reduced = (
        run_cells(cells, work, out / "reduction", jobs=jobs, progress=progress)
        if cells
        else Outcome([], {}, [])
    )
    spent = sum(cell.cpu_seconds for cell in (*trained.finished, *reduced.finished))
    tables = Tables(members, trained.finished, reduced.finished)
    files = write_tables(tables, out, config=dataclasses.asdict(config), command=command, cpu_seconds=spent)
    return {
        "out": str(out),
        "files": files,
        "policies": len(members),
        "chosen": {"/".join(cell): picks for cell, picks in chosen.items()},
        "failed": {**trained.failed, **reduced.failed},
        "run_again": [f"{name}: {reason}" for name, reason in (*trained.rerun, *reduced.rerun)],
        "wall_seconds": time.monotonic() - started,
        "cpu_seconds": spent,
    }


def _cell_of(row: dict[str, Any]) -> tuple[str, str]:
    return row["environment"], row["algorithm"]
