"""The classic suite: every environment x algorithm x regulariser x coefficient x seed, then a map of L0's
temperature, then ranks and representations of the best.

A training cell holds all coefficients of one seed, as members of one process; a reduction cell is one trained
policy.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from l0_surgical.experiments.jobs.store import Cell, canonical
from l0_surgical.experiments.results import (
    ALGORITHMS,
    KEY,
    PAPER_ALGORITHMS,
    PAPER_REGULARIZERS,
    RANKS,
    REGULARIZERS,
)
from l0_surgical.experiments.results import ENVIRONMENTS as KNOWN
from l0_surgical.settings.presets import preset
from l0_surgical.settings.presets.classic import COEFFICIENTS
from l0_surgical.settings.training import Coefficient, Seeds, TrainingConfig, as_dict
from l0_surgical.settings.values import Temperature
from l0_surgical.system.bounds import check_fields
from l0_surgical.system.errors import BadInputError

# longest first, so that no long cell is left alone at the end
ENVIRONMENTS = ("lunar-lander", "acrobot", "cartpole")
TEMPERATURES = (0.1, 0.25, 1.0, 2.0)
TEMPERATURE_GRID = (("cartpole", "ppo"), ("acrobot", "ppo"))


@dataclass(frozen=True)
class SuiteConfig:
    """What the suite runs."""

    environments: tuple[str, ...] = ENVIRONMENTS
    """Tasks: the paper's, or registered ones with environments side by side, a target and a random return."""
    algorithms: tuple[str, ...] = PAPER_ALGORITHMS
    """Learning algorithms."""
    regularizers: tuple[str, ...] = PAPER_REGULARIZERS
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
        known = {"environments": tuple(KNOWN), "algorithms": tuple(ALGORITHMS), "regularizers": REGULARIZERS}
        for name in ("environments", "algorithms", "regularizers", "coefficients", "temperatures"):
            values = getattr(self, name)
            for value in values:
                if name in known and value not in known[name]:
                    raise BadInputError(f"--{name} {value}: choose {', '.join(known[name])}")
            if len(set(values)) != len(values):
                raise BadInputError(
                    f"--{name} {' '.join(map(str, values))}: a cell of the grid would be run twice; name "
                    "each once"
                )
            if not values and name in ("environments", "algorithms"):
                raise BadInputError(f"--{name}: give at least one")
        if not self.regularizers and not self.temperatures:
            raise BadInputError("--regularizers: give at least one, or --temperatures for their map alone")
        # six digits are what the tables and the cells' names tell
        own = preset(self.preset, *TEMPERATURE_GRID[0]).sparsity.temperature
        names = [f"{value:g}" for value in (*self.temperatures, own)]
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
    cells = [
        _training_cell(config, environment, algorithm, regularizer, seed)
        for group in (("none", "l0"), set(config.regularizers) - {"none", "l0"})
        for environment in config.environments
        for algorithm in config.algorithms
        for regularizer in config.regularizers
        if regularizer in group
        for seed in range(1 if regularizer == "none" else config.seeds)
    ]
    if "l0" in config.regularizers or not config.regularizers:
        cells += [
            _training_cell(config, environment, algorithm, "l0", seed, temperature)
            for environment, algorithm in TEMPERATURE_GRID
            if environment in config.environments and algorithm in config.algorithms
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
    return _cell(
        "-".join([*parts, "all-seeds" if dense else f"seed{seed}"]),
        environment=environment,
        algorithm=algorithm,
        regularizer=regularizer,
        coefficients=[] if dense else list(config.coefficients),
        seed=seed,
        seeds=config.seeds if dense else 1,
        temperature=temperature,
        preset=config.preset,
        quick=config.quick,
    )


def seed_cells(
    environment: str, algorithm: str, coefficients: Sequence[float], seeds: range, quick: bool = False
) -> list[Cell]:
    """Further seeds of some L0 coefficients (0: dense) with preset `best`: one cell for each coefficient, the
    seeds its members."""
    return [
        _cell(
            f"{environment}-{algorithm}-{f'l0-{c:g}' if c else 'dense'}-seeds{seeds.start}-{seeds[-1]}",
            environment=environment,
            algorithm=algorithm,
            regularizer="l0" if c else "none",
            coefficients=[c] if c else [],
            seed=seeds.start,
            seeds=len(seeds),
            temperature=None,
            preset="best",
            quick=quick,
        )
        for c in coefficients
    ]


def _cell(name: str, **specification: Any) -> Cell:
    """The cell with a digest of its settings, by which results of another preset are refused."""
    return Cell(name, {**specification, "settings": settings_digest(cell_config(specification))})


def reduction_cells(
    config: SuiteConfig, members: Sequence[dict[str, Any]], chosen: dict[tuple[str, str], list[float]]
) -> list[Cell]:
    """The second stage: every dense policy and the L0 policies of the chosen coefficients."""
    more = {"ranks": list(RANKS[::12] if config.quick else RANKS), "episodes": 4 if config.quick else 100}
    return [
        Cell(
            f"{row['environment']}-{row['algorithm']}-{row['policy']}",
            {**{key: row[key] for key in (*KEY, "seed", "policy", "sha256")}, **more},
        )
        for row in members
        if not row["failed"]
        and (
            row["regularizer"] == "none"
            or (
                row["regularizer"] == "l0"
                and row["coefficient"] in chosen[row["environment"], row["algorithm"]]
            )
        )
    ]


def cell_config(specification: dict[str, Any]) -> TrainingConfig:
    """The training of a cell."""
    config = preset(specification["preset"], specification["environment"], specification["algorithm"])
    config = replace(
        config,
        regularizer=(specification["regularizer"],),
        coefficient=tuple(specification["coefficients"]),
        seed=specification["seed"],
        seeds=specification["seeds"],
        threads=1,
    )
    if specification["temperature"] is not None:
        config = replace(config, sparsity=replace(config.sparsity, temperature=specification["temperature"]))
    return _quick(config) if specification["quick"] else config


def _quick(config: TrainingConfig) -> TrainingConfig:
    soon = {"learning_starts": 100} if config.algorithm.name == "dqn" else {}
    return replace(
        config,
        steps=2 * config.algorithm.steps_per_round,
        evaluate_every=1,
        checkpoint_every=1,
        evaluation_episodes=2,
        final_evaluation_episodes=4,
        sparsity=replace(config.sparsity, penalty_start=0),
        algorithm=replace(config.algorithm, **soon),
    )


def settings_digest(config: TrainingConfig) -> str:
    """Changes with every setting that the training depends on."""
    return hashlib.sha256(canonical(as_dict(config)).encode()).hexdigest()[:16]
