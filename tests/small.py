"""Small settings and problems shared by the tests of training."""

import dataclasses
from pathlib import Path

from l0_surgical.algorithms.goal_cohort import GoalProblem, make_goal_problem
from l0_surgical.algorithms.sparsifiers import Sparsify
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import TrainingConfig
from l0_surgical.sparsity import NoSparsifier
from l0_surgical.tasks import get_task


def small_config(**changes: object) -> TrainingConfig:
    """A run of seconds: four episodes, narrow networks, the penalty from episode 1."""
    config = preset("best")
    ddpg = dataclasses.replace(
        config.algorithm, hidden=(32, 32), updates_per_episode=10, dex_anneal_episodes=3
    )
    sparsity = dataclasses.replace(config.sparsity, penalty_start=1)
    small = {"episodes": 4, "evaluate_every": 2, "evaluation_episodes": 1, "final_evaluation_episodes": 3}
    small |= {
        "demonstration_episodes": 4,
        "checkpoint_every": 2,
        "threads": 1,
        "algorithm": ddpg,
        "sparsity": sparsity,
    }
    return dataclasses.replace(config, **{**small, **changes})


def small_problem(config: TrainingConfig, folder: Path) -> GoalProblem:
    """NeedleReach with demonstrations collected into `folder`."""
    return make_goal_problem(
        config, get_task("needle-reach"), folder / "demonstrations.npz", lambda text: None
    )


def dense(members: int) -> Sparsify:
    """No sparsifier for any network of a learner."""
    return lambda role: NoSparsifier(members)
