"""What a run sees of a cohort: the members of one kind of regulariser, with their learner and experience.

Every random draw is a function of (member seed, stream, round), so there is no generator state to save, and
neither an interruption nor the other members can change what a member sees.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

from l0_surgical.algorithms.learner import Learner
from l0_surgical.algorithms.schedules import Linear
from l0_surgical.algorithms.sparsifiers import sparsify_members
from l0_surgical.policy import Policy
from l0_surgical.settings.registry import ALGORITHMS, load
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.tasks import Task


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


class MemberCohort:
    """What both kinds of cohort share: the learner of all members, and those of them that stopped."""

    def __init__(
        self, config: TrainingConfig, members: Sequence[MemberSpec], dimensions: tuple[int, int]
    ) -> None:
        self.config, self.members = config, tuple(members)
        seeds, settings = [member.seed for member in members], config.algorithm
        make, sparsify = load(settings.learner), sparsify_members(config, members)
        self.learner: Learner = make(settings, dimensions, seeds, sparsify, config.device)
        self.reports = self.learner.reports
        self.failures: dict[int, str] = {}
        # whose environment failed in the last call of train_round or validate
        self._just_failed: set[int] = set()
        self._rate = Linear(1.0, settings.final_learning_rate_factor, config.rounds)

    @property
    def updates(self) -> int:
        """See `Cohort`."""
        return self.learner.updates

    def generators(self, stream: int, number: int) -> list[np.random.Generator]:
        """A generator per member of the random numbers of round `number`, others for every `stream`."""
        return [random_numbers(member.seed, stream, number) for member in self.members]

    def tensor(self, array: np.ndarray) -> Tensor:
        """An array where the networks are."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.config.device)

    def forgive(self) -> None:
        """See `Cohort`."""
        for index in self._just_failed:
            del self.failures[index], self.learner.diverged[index]
        self._just_failed.clear()

    def _environment_failed(self, index: int, cause: str) -> None:
        self.failures[index] = cause
        self._just_failed.add(index)
        self.learner.stop(index, cause)

    def _rows(
        self, figures: Mapping[str, Tensor | float], played: Sequence[Mapping[str, float | None] | None]
    ) -> list[dict[str, float | None]]:
        """One row per member of what was played and what the learner tells; empty for those that stopped."""
        arrays = {n: v.cpu().numpy() if isinstance(v, Tensor) else np.asarray(v) for n, v in figures.items()}
        each = {name: np.broadcast_to(array, len(self.members)) for name, array in arrays.items()}
        return [
            {}
            if index in self.failures or row is None
            else {**row, **{name: float(values[index]) for name, values in each.items()}}
            for index, row in enumerate(played)
        ]


def random_numbers(seed: int, stream: int, number: int) -> np.random.Generator:
    """The generator of one member for one purpose in one round."""
    return np.random.default_rng(np.random.SeedSequence([seed, stream, number]))


def who_trains(task: Task) -> str:
    """The remedy for who has chosen an algorithm that cannot learn the task."""
    kind = "choice" if task.discrete else "box"
    settings = [ALGORITHMS[name] for name in ALGORITHMS]
    fitting = [one.name for one in settings if one.experience == "vector" and kind in one.action_kinds]
    if task.expert is not None:
        fitting += [one.name for one in settings if one.experience == "goal"]
    if not fitting:
        return "no algorithm here can train it yet; choose another task"
    return f"train it with --algorithm {' or '.join(fitting)}"
