"""What the settings of every algorithm have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from l0_surgical.settings.values import Buffer, Environments, Scale, Share, Units

Experience = Literal["goal", "vector"]
"""How an algorithm gathers it: episodes of a goal task one after the other, or steps of environments side by
side."""

ActionKind = Literal["choice", "box"]
"""One of several actions, or a vector in [-1, 1]."""


@dataclass(frozen=True)
class AlgorithmConfig:
    """The settings of an algorithm, its section in a run's configuration; a subclass adds its own.

    Attributes:
        name: of the algorithm; its flags are `--NAME.field`.
        experience: which cohort plays for it.
        learner: the class that learns, or its `module:name`, which is loaded when a run begins.
    """

    name: ClassVar[str]
    experience: ClassVar[Experience]
    learner: ClassVar[str | Callable[..., Any]]

    hidden: tuple[Units, ...] = (128, 64, 32)
    """Units of each hidden layer."""
    final_learning_rate_factor: Share = 1.0
    """The learning rates fall linearly to this fraction over the training."""

    @property
    def draws_per_round(self) -> int:
        """How often a sparsifier is stepped in a round."""
        return 1

    def check(self) -> None:
        """Raises BadInputError where settings do not fit together."""


@dataclass(frozen=True)
class GoalConfig(AlgorithmConfig):
    """Of an algorithm that learns a goal task from episodes, with goals in hindsight."""

    experience: ClassVar[Experience] = "goal"

    buffer_size: Buffer = 10_000
    """Transitions the agent's replay buffer holds (D_A)."""
    relabel_fraction: Share = 0.8
    """Part of a batch with hindsight goals: k / (k + 1) for k = 4."""
    observation_scale_floor: Scale = 0.1
    """Least standard deviation that the observation normaliser divides by."""
    observation_clip: Scale = 5.0
    """Normalised observations are clipped to +- this."""


@dataclass(frozen=True)
class VectorConfig(AlgorithmConfig):
    """Of an algorithm that learns from environments side by side."""

    experience: ClassVar[Experience] = "vector"
    action_kinds: ClassVar[tuple[ActionKind, ...]] = ("choice",)
    """The kinds of actions that it can learn."""

    environments: Environments = 32
    """Environments side by side, per member."""

    @property
    def steps_per_round(self) -> int:
        """Environment steps of a member in a round: between two lines of metrics."""
        raise NotImplementedError
