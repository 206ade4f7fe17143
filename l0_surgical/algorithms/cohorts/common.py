"""What all cohorts share: their protocol, the sparsifier of a network, where a policy came from, and the
random numbers."""

import functools
import importlib.metadata
import platform
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from l0_surgical import __version__
from l0_surgical.policy import Policy
from l0_surgical.settings.training import MemberSpec, SparsityConfig, TrainingConfig, as_dict
from l0_surgical.sparsity import Dense, GateSettings, HardConcrete, Shrinkage, Sparsifier
from l0_surgical.tasks import Task

GATE_SEED = 0
"""Seed of the one gate map that `sampled` evaluation draws and freezes."""


class Cohort(Protocol):
    """Trains members in rounds; a round is what lies between two lines of metrics.

    A member whose environment fails stops alone. `Stopped` may leave `train_round` and `validate` at any
    step; a cohort that is then given this one's state makes the same call again and goes on with the round.

    Attributes:
        reports: names of the figures in the rows of `train_round` and `validate`, in the order of the
            metrics' columns.
        members: all of one regulariser.
        failures: causes by index of the members that stopped before their end.
    """

    reports: ClassVar[tuple[str, ...]]
    members: tuple[MemberSpec, ...]
    failures: dict[int, str]

    @property
    def is_over(self) -> bool:
        """Whether no member learns any more."""

    @property
    def env_steps(self) -> list[int]:
        """Environment steps of each member so far."""

    @property
    def updates(self) -> int:
        """Gradient updates per member so far."""

    def train_round(self, number: int) -> list[dict[str, float | None]]:
        """Gathers experience and learns from it. Returns one row of figures per member, empty for one that
        failed; None: not known."""

    def validate(self, number: int) -> list[dict[str, float | None]]:
        """Evaluates every member as it is after round `number` on validation episodes. Returns one row of
        figures per member."""

    def forgive(self) -> None:
        """Takes back the failures of environments in the last call of `train_round` or `validate`, so that it
        can be made again."""

    def policy(self, index: int) -> Policy:
        """The policy that one member's training results in, without provenance; of one that failed, as it was
        then."""

    def figures(self) -> list[dict[str, Any]]:
        """Every member's sparsity, size and cost, for the summary; empty for one that failed."""

    def state_dict(self) -> dict:
        """Everything needed to go on exactly where this left off."""

    def load_state_dict(self, state: dict) -> None:
        """Restores what `state_dict` gave."""


def make_sparsifier(
    config: TrainingConfig, members: Sequence[MemberSpec], network: str, steps_per_round: int
) -> Sparsifier:
    """The sparsifier of one network ("actor" or "critic") for members of one regulariser, which `step`s so
    often in a round."""
    sparsity: SparsityConfig = config.sparsity
    regularizer = members[0].regularizer
    if regularizer == "none" or sparsity.apply_to not in ("both", network):
        return Dense(len(members))
    ratio = sparsity.critic_coefficient_ratio if network == "critic" else 1.0
    coefficients = [member.coefficient * ratio for member in members]
    start, ramp = sparsity.penalty_start * steps_per_round, sparsity.penalty_ramp * steps_per_round

    finetune = None if sparsity.finetune_start is None else sparsity.finetune_start * steps_per_round

    def schedule(update: int) -> float:
        return float(update >= start) if ramp == 0 else min(max((update - start) / ramp, 0.0), 1.0)

    if regularizer == "l0":
        settings = GateSettings(
            sparsity.temperature,
            sparsity.stretch_low,
            sparsity.stretch_high,
            sparsity.initial_log_alpha,
            sparsity.gate_learning_rate,
            sparsity.evaluation,
            sparsity.gates_wait,
        )
        seeds, stream = [member.seed for member in members], {"actor": 0, "critic": 1}[network]
        return HardConcrete(coefficients, seeds, settings, stream, GATE_SEED, schedule, finetune)
    return Shrinkage(coefficients, regularizer, sparsity.threshold, schedule, finetune)


def provenance(config: TrainingConfig, member: MemberSpec) -> dict:
    """Where a policy came from: member, settings, versions and commit; no times, so that equal runs give
    equal files."""
    versions = {
        name: importlib.metadata.version(name) for name in ("torch", "numpy", "gymnasium", "pybullet")
    }
    return {
        "algorithm": config.algorithm,
        "seed": member.seed,
        "regularizer": member.regularizer,
        "coefficient": member.coefficient,
        "config": as_dict(config),
        "versions": {"l0_surgical": __version__, "python": platform.python_version(), **versions},
        "commit": commit(),
    }


@functools.lru_cache
def commit() -> str | None:
    """The git commit of this code; None where it is installed without one."""
    folder = Path(__file__).parent
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, encoding="utf-8", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()


def who_trains(task: Task) -> str:
    """The remedy for who has chosen an algorithm that cannot learn the task."""
    if task.discrete:
        return "for a choice of actions pass --algorithm dqn or ppo"
    if task.expert is not None:
        return "train it with --algorithm ddpg"
    return "no algorithm here can train it yet; choose another task"


def random_numbers(seed: int, stream: int, number: int) -> np.random.Generator:
    """The generator of one member for one purpose in one round."""
    return np.random.default_rng(np.random.SeedSequence([seed, stream, number]))


def linear_schedule(start: float, end: float, steps: int) -> Callable[[int], float]:
    """A value that goes linearly from `start` to `end` over `steps` and stays there; constant `start` if
    `steps` is 0."""
    return lambda step: start if steps == 0 else start + (end - start) * min(step / steps, 1.0)
