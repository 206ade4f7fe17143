"""The settings of proximal policy optimisation."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from l0_surgical.settings.algorithm import VectorConfig
from l0_surgical.settings.values import (
    LearningRate,
    NotNegative,
    Repeats,
    Scale,
    Share,
    Units,
    require,
)
from l0_surgical.system.bounds import Bound


@dataclass(frozen=True)
class PPOConfig(VectorConfig):
    """Proximal policy optimisation (Goddla 2024, Algorithm 2)."""

    name: ClassVar[str] = "ppo"
    learner: ClassVar[str] = "l0_surgical.algorithms.ppo:PPO"

    hidden: tuple[Units, ...] = (128, 64, 32)
    """Units of each hidden layer, policy and value network alike."""
    horizon: Repeats = 256
    """Steps of every environment in a roll-out."""
    epochs: Annotated[int, Bound(1, 1000)] = 4
    """Passes over a roll-out."""
    minibatch_size: Annotated[int, Bound(1, 10_000_000)] = 1024
    """Samples per update."""
    learning_rate: LearningRate = 1e-3
    """Adam, both networks."""
    final_learning_rate_factor: Share = 0.1
    """The learning rate falls linearly to this fraction over the training."""
    discount: Share = 0.99
    """gamma."""
    gae_lambda: Share = 0.95
    """lambda of generalised advantage estimation."""
    clip: Scale = 0.2
    """How far the ratio of new to old probability counts away from 1."""
    entropy_coefficient: NotNegative = 0.01
    """Weight of the entropy bonus."""
    max_gradient_norm: Scale = 0.5
    """Limit of the gradient's norm, per network and member (gates excluded)."""
    reward_scale: Scale = 1.0
    """Rewards are multiplied by this before the value network learns them."""

    @property
    def steps_per_round(self) -> int:
        """Environment steps of a member in a round."""
        return self.environments * self.horizon

    @property
    def draws_per_round(self) -> int:
        """How often a sparsifier is stepped in a round: its noise is held for all updates of a roll-out."""
        return 1

    def check(self) -> None:
        """Raises BadInputError where settings do not fit together."""
        samples, size = self.steps_per_round, self.minibatch_size
        require(size <= samples, "ppo.minibatch-size", size, f"pass at most a roll-out's {samples} samples")
