"""What members save, and DQN and PPO against Stable-Baselines3's dense ones: updates per second, in turn in
one run, on one thread.

    python benchmarks/members.py [--rounds 5] [--json]

Grid: one process with 55 members (5 dense, 50 with L0, the penalty on) against the same 55 one after the
other (the time of one dense and one L0 member, 5 and 50 times). Both act, step their environments, sample and
update, on CartPole with the suite's network.
Peers: one member with L0 against Stable-Baselines3, dense: CartPole, the same network, batch, environments,
steps and updates. Its environments are Gymnasium's, as its users run them; ours are EnvPool's where that is
installed.
"""

import argparse
import dataclasses
import json
import statistics
import time
import warnings
from collections.abc import Callable, Sequence

import stable_baselines3 as sb3
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.logger import Logger

from l0_surgical.algorithms.vector_cohort import VectorCohort, VectorProblem
from l0_surgical.settings.presets import preset
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.tasks import get_task
from l0_surgical.training import set_threads

DENSE, SPARSE = 5, 50
Contestant = tuple[int, Callable[[], None]]  # member updates per call, the call


def main() -> None:
    """Prints the medians and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    set_threads(1)
    contestants = make_contestants()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(arguments.rounds + 1):
        for name, (updates, run) in contestants.items():
            started = time.perf_counter()
            run()
            if number > 0:  # the first round compiles and fills buffers
                seconds[name].append((time.perf_counter() - started) / updates)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    result: dict[str, object] = {"updates_per_second": {name: 1 / value for name, value in median.items()}}
    for batch in (32, 64):
        alone = (DENSE * median[f"dqn_{batch}_dense_alone"] + SPARSE * median[f"dqn_{batch}_l0_alone"]) / (
            DENSE + SPARSE
        )
        result[f"grid_of_55_speedup_batch_{batch}"] = alone / median[f"dqn_{batch}_grid"]
    for name in ("dqn", "ppo"):
        result[f"{name}_l0_speed_against_sb3_dense"] = median[f"{name}_sb3_dense"] / median[f"{name}_l0"]
        result[f"{name}_dense_speed_against_sb3_dense"] = (
            median[f"{name}_sb3_dense"] / median[f"{name}_dense"]
        )
    print(json.dumps(result) if arguments.json else json.dumps(result, indent=2))


def make_contestants() -> dict[str, Contestant]:
    """Every contestant, ready to run."""
    found: dict[str, Contestant] = {}
    for batch in (32, 64):
        config = _dqn(batch)
        found[f"dqn_{batch}_dense_alone"] = _ours(config, [[MemberSpec(0, "none", 0.0)]])
        found[f"dqn_{batch}_l0_alone"] = _ours(config, [[MemberSpec(0, "l0", 1e-2)]])
        grid = [
            [MemberSpec(seed, "none", 0.0) for seed in range(DENSE)],
            [MemberSpec(seed, "l0", 1e-2) for seed in range(SPARSE)],
        ]
        found[f"dqn_{batch}_grid"] = _ours(config, grid)
    for regularizer in ("none", "l0"):
        label = "dense" if regularizer == "none" else "l0"
        found[f"dqn_{label}"] = _ours(_dqn(64), [[MemberSpec(0, regularizer, 1e-2)]])
        found[f"ppo_{label}"] = _ours(_ppo(), [[MemberSpec(0, regularizer, 1e-2)]])
    found["dqn_sb3_dense"] = _sb3_dqn(_dqn(64))
    found["ppo_sb3_dense"] = _sb3_ppo(_ppo())
    return found


def _dqn(batch: int) -> TrainingConfig:
    base = preset("best", "cartpole", "dqn")
    changes = {
        "environments": 8,
        "steps_per_cycle": 4,
        "updates_per_cycle": 16,
        "cycles_per_round": 10,
        "batch_size": batch,
    }
    dqn = dataclasses.replace(
        base.algorithm, **changes, learning_starts=100, double=False, buffer_size=50_000
    )
    return dataclasses.replace(
        base, algorithm=dqn, sparsity=dataclasses.replace(base.sparsity, penalty_start=0)
    )


def _ppo() -> TrainingConfig:
    base = preset("best", "cartpole", "ppo")
    return dataclasses.replace(base, sparsity=dataclasses.replace(base.sparsity, penalty_start=0))


def _ours(config: TrainingConfig, cohorts: Sequence[Sequence[MemberSpec]]) -> Contestant:
    problem = VectorProblem.of(get_task("cartpole"))
    running = [VectorCohort(config, members, problem) for members in cohorts]

    def run() -> None:
        for cohort in running:
            cohort.train_round(0)

    if config.algorithm.name == "dqn":
        each = config.algorithm.cycles_per_round * config.algorithm.updates_per_cycle
    else:
        each = config.algorithm.epochs * (config.algorithm.steps_per_round // config.algorithm.minibatch_size)
    return each * sum(map(len, cohorts)), run


def _sb3_dqn(config: TrainingConfig) -> Contestant:
    dqn = config.algorithm
    model = sb3.DQN(
        "MlpPolicy",
        make_vec_env("CartPole-v1", dqn.environments, seed=0),
        learning_rate=dqn.learning_rate,
        buffer_size=dqn.buffer_size,
        learning_starts=dqn.learning_starts,
        batch_size=dqn.batch_size,
        tau=dqn.target_rate,
        target_update_interval=dqn.environments,
        train_freq=dqn.steps_per_cycle,
        gradient_steps=dqn.updates_per_cycle,
        policy_kwargs={"net_arch": list(dqn.hidden)},
        device="cpu",
    )
    _check(model.q_net, dqn.hidden)
    return _sb3(model, config.algorithm.steps_per_round, dqn.cycles_per_round * dqn.updates_per_cycle)


def _sb3_ppo(config: TrainingConfig) -> Contestant:
    ppo = config.algorithm
    model = sb3.PPO(
        "MlpPolicy",
        make_vec_env("CartPole-v1", ppo.environments, seed=0),
        learning_rate=ppo.learning_rate,
        n_steps=ppo.horizon,
        batch_size=ppo.minibatch_size,
        n_epochs=ppo.epochs,
        policy_kwargs={
            "net_arch": {"pi": list(ppo.hidden), "vf": list(ppo.hidden)},
            "activation_fn": torch.nn.ReLU,
        },
        device="cpu",
    )
    _check(model.policy.mlp_extractor.policy_net, ppo.hidden)
    return _sb3(
        model, config.algorithm.steps_per_round, ppo.epochs * (config.steps_per_round // ppo.minibatch_size)
    )


def _sb3(model: sb3.DQN | sb3.PPO, steps: int, updates: int) -> Contestant:
    model.set_logger(Logger(None, []))

    def run() -> None:
        model.learn(steps, reset_num_timesteps=False)

    return updates, run


def _check(network: torch.nn.Module, hidden: Sequence[int]) -> None:
    layers = [module.out_features for module in network.modules() if isinstance(module, torch.nn.Linear)]
    assert layers[: len(hidden)] == list(hidden), "the networks must be the same"


if __name__ == "__main__":
    main()
