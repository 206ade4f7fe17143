"""The cost of one update: dense against L0, and against Stable-Baselines3's dense DDPG + HER, in turn in one
run.

    python benchmarks/update_cost.py [--rounds 12] [--updates 60] [--json]

All learn NeedleReach with the paper's networks (three hidden layers of 256 units) and batches of 64. Ours is
what a training does after an episode: sample with hindsight, normalise, estimate the expert's action (DEX)
and update; `l0` has gates on actor and critic with the penalty on. Stable-Baselines3 samples with its
HerReplayBuffer and updates, dense. One thread, one member; medians over rounds.
"""

import argparse
import dataclasses
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import stable_baselines3 as sb3
import torch
from stable_baselines3.common.logger import Logger

from l0_surgical.algorithms.goal_cohort import GoalCohort, GoalProblem, make_goal_problem
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.tasks import get_task
from l0_surgical.training import set_threads

EPISODES = 20


def main() -> None:
    """Prints updates per second of each and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--updates", type=int, default=60, help="updates per round and contestant")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    set_threads(1)
    contestants = make_contestants(arguments.updates)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for round_number in range(arguments.rounds + 1):
        for name, run in contestants.items():
            started = time.perf_counter()
            run()
            if round_number > 0:  # the first round compiles and fills caches
                seconds[name].append((time.perf_counter() - started) / arguments.updates)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    result = {
        "milliseconds_per_update": {name: 1e3 * value for name, value in median.items()},
        "updates_per_second": {name: 1 / value for name, value in median.items()},
        "l0_over_dense": median["l0"] / median["dense"],
        "l0_over_dense_with_dex": median["l0_dex"] / median["dense_dex"],
        "l0_speed_against_sb3_dense": median["sb3_dense"] / median["l0"],
        "l0_dex_speed_against_sb3_dense": median["sb3_dense"] / median["l0_dex"],
    }
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


def make_contestants(updates: int) -> dict[str, Callable[[], None]]:
    """Each does `updates` updates when called; `_dex` with demonstrations guiding, as in the first 60
    episodes."""
    base = preset("best")
    ddpg = dataclasses.replace(base.algorithm, updates_per_episode=updates)
    sparsity = dataclasses.replace(base.sparsity, penalty_start=0)
    config = dataclasses.replace(base, algorithm=ddpg, sparsity=sparsity)
    with tempfile.TemporaryDirectory() as folder:
        problem = make_goal_problem(
            config, get_task(config.task), Path(folder) / "demonstrations.npz", lambda text: None
        )
    contestants: dict[str, Callable[[], None]] = {}
    for regularizer, name in (("none", "dense"), ("l0", "l0")):
        for guided in (False, True):
            contestants[name + "_dex" * guided] = _ours(config, problem, regularizer, guided)
    contestants["sb3_dense"] = _sb3(config, updates)
    return contestants


def _ours(config: TrainingConfig, problem: GoalProblem, regularizer: str, guided: bool) -> Callable[[], None]:
    weight = 5.0 if guided else 0.0
    config = dataclasses.replace(
        config, algorithm=dataclasses.replace(config.algorithm, dex_coefficient=weight, dex_anneal_episodes=0)
    )
    cohort = GoalCohort(config, [MemberSpec(0, regularizer, 1e-2)], problem)
    for episode in range(EPISODES):
        cohort.play(episode)
    return lambda: cohort.learn(EPISODES)


def _sb3(config: TrainingConfig, updates: int) -> Callable[[], None]:
    ddpg = config.algorithm
    model = sb3.DDPG(
        "MultiInputPolicy",
        get_task(config.task).make(),
        replay_buffer_class=sb3.HerReplayBuffer,
        replay_buffer_kwargs={"n_sampled_goal": 4, "goal_selection_strategy": "future"},
        learning_rate=ddpg.actor_learning_rate,
        buffer_size=ddpg.buffer_size,
        batch_size=ddpg.batch_size,
        tau=ddpg.target_rate,
        gamma=ddpg.discount,
        learning_starts=50 * EPISODES,
        policy_kwargs={"net_arch": list(ddpg.hidden)},
        device="cpu",
    )
    model.set_logger(Logger(None, []))
    model.learn(50 * EPISODES)
    layers = [m for m in model.actor.mu if isinstance(m, torch.nn.Linear)]
    assert [m.out_features for m in layers] == [*ddpg.hidden, 5], "the networks must be the same"
    np.random.seed(0)  # noqa: NPY002 (Stable-Baselines3 samples with NumPy's global generator)
    return lambda: model.train(updates, ddpg.batch_size)


if __name__ == "__main__":
    main()
