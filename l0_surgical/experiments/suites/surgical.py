"""The surgical suite: NeedleReach with the preset `best`, dense and with L0, and with the paper's settings
over its coefficients; then the best policies compressed, and ranks of dense and sparse ones (Figs. 16 to
18)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

from l0_surgical.experiments.jobs.store import Cell
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import Seeds, TrainingConfig
from l0_surgical.system.bounds import Bound, check_fields

RANKS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 40, 50, 60, 80, 100, 130)
RANKED_SEEDS = 3
PAPER_BEST_COEFFICIENT = 0.05
SWEPT = (("best", "none", None), ("best", "l0", None), ("paper", "none", None))
SWEPT += (("paper", "l0", PAPER_BEST_COEFFICIENT),)
"""Preset, regulariser and coefficient (None: every one there is) of the rank sweeps."""


@dataclass(frozen=True)
class SurgicalConfig:
    """What the suite runs."""

    seeds: Seeds = 10
    """Policies of the preset best, dense and with L0 each."""
    paper_seeds: Seeds = 5
    """Policies of the preset paper, dense and for each of its coefficients."""
    threads: Annotated[int, Bound(0, 1024)] = 0
    """Threads of a training; 0: all cores."""
    quick: bool = False
    """A few episodes each: shows that everything runs, not that anything is learned."""

    def validate(self) -> None:
        """Checks the numbers.

        Raises:
            BadInputError: one is out of its range.
        """
        check_fields(self)


def trainings(config: SurgicalConfig) -> dict[str, TrainingConfig]:
    """The trainings by preset, each a run of all its members side by side."""
    best = replace(preset("best"), regularizer=("none", "l0"), seeds=config.seeds, threads=config.threads)
    paper = replace(preset("paper"), seeds=config.paper_seeds, threads=config.threads)
    if config.quick:
        best, paper = quick(best), replace(quick(paper), coefficient=(PAPER_BEST_COEFFICIENT,))
    return {"best": best, "paper": paper}


def quick(config: TrainingConfig) -> TrainingConfig:
    """The training in seconds, which only shows that everything runs."""
    return replace(
        config,
        algorithm=replace(config.algorithm, updates_per_episode=5, hidden=(32, 32, 32)),
        sparsity=replace(config.sparsity, penalty_start=1),
        episodes=4,
        evaluate_every=2,
        evaluation_episodes=1,
        final_evaluation_episodes=4,
        demonstration_episodes=5,
    )


def reduction_cells(config: SurgicalConfig, members: Mapping[str, Sequence[dict[str, Any]]]) -> list[Cell]:
    """What is made of the trained policies: every one of the preset best compressed, L0 first, and the rank
    sweeps of the first seeds."""
    l0_first = sorted(members["best"], key=lambda row: row["regularizer"] == "none")
    cells = [_cell("compress", "best", row, 2 if config.quick else 100) for row in l0_first]
    for run, regularizer, coefficient in SWEPT:
        rows = [
            row
            for row in members[run]
            if row["regularizer"] == regularizer and coefficient in (None, row["coefficient"])
        ]
        ranks = list(RANKS[::8] if config.quick else RANKS)
        cells += [
            _cell("ranks", run, row, 2 if config.quick else 100, ranks=ranks) for row in rows[:RANKED_SEEDS]
        ]
    return cells


def _cell(do: str, run: str, row: dict[str, Any], episodes: int, **more: Any) -> Cell:
    named = {key: row[key] for key in ("name", "seed", "sha256")}
    return Cell(f"{do}-{run}-{row['name']}", {"do": do, "run": run, **named, "episodes": episodes, **more})
