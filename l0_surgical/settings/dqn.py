"""The settings of deep Q-learning."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from l0_surgical.settings.algorithm import VectorConfig
from l0_surgical.settings.values import (
    Batch,
    Buffer,
    Environments,
    LearningRate,
    Period,
    Repeats,
    Scale,
    Share,
    require,
)
from l0_surgical.system.bounds import Bound


@dataclass(frozen=True)
class DQNConfig(VectorConfig):
    """Deep Q-learning (Goddla 2024, Algorithm 1)."""

    name: ClassVar[str] = "dqn"
    learner: ClassVar[str] = "l0_surgical.algorithms.dqn:DQN"

    environments: Environments = 64
    """Environments side by side, per member."""
    steps_per_cycle: Repeats = 4
    """Steps of every environment between two phases of learning."""
    updates_per_cycle: Repeats = 32
    """Gradient updates in a phase of learning."""
    batch_size: Batch = 64
    """Transitions per update."""
    cycles_per_round: Repeats = 20
    """Cycles between two lines of metrics."""
    buffer_size: Buffer = 100_000
    """Transitions the replay buffer holds."""
    learning_starts: Buffer = 1000
    """Transitions in the buffer before the first update."""
    learning_rate: LearningRate = 1e-3
    """Adam."""
    final_learning_rate_factor: Share = 0.0
    """The learning rate falls linearly to this fraction over the training."""
    discount: Share = 0.99
    """gamma."""
    reward_scale: Scale = 1.0
    """Rewards are multiplied by this before they are learned; with it goes the weight of the loss against a
    sparsity penalty."""
    initial_value: Annotated[float, Bound(-(10**6), 10**6)] = 0.0
    """Added to the biases of the outputs at the start: about the (scaled) return that is to be learned, which
    else has to grow first."""
    target_period: Period = 1
    """Updates between two of the target network."""
    target_rate: Share = 0.01
    """How far the target network goes towards the network then; 1 copies it."""
    huber_delta: Scale = 100.0
    """TD errors beyond it count linearly."""
    exploration_fraction: Share = 0.3
    """Part of the training over which epsilon falls from 1 to its final value (cosine annealing)."""
    final_epsilon: Share = 0.1
    """Share of random actions after that."""
    double: bool = True
    """Double Q-learning: the network chooses the next action, the target network values it."""
    prioritized: Literal["none", "proportional", "softmax"] = "none"
    """Prioritised replay: in proportion to |TD error|^alpha (a sum tree), or by its softmax over the buffer
    (2.3)."""
    priority_exponent: Annotated[float, Bound(0, 2)] = 0.6
    """alpha."""
    importance_exponent: Share = 0.4
    """beta of the importance weights that correct for prioritised sampling; 0 corrects nothing."""

    @property
    def steps_per_round(self) -> int:
        """Environment steps of a member in a round."""
        return self.environments * self.steps_per_cycle * self.cycles_per_round

    @property
    def draws_per_round(self) -> int:
        """How often a sparsifier is stepped in a round: before every update."""
        return self.cycles_per_round * self.updates_per_cycle

    def check(self) -> None:
        """Raises BadInputError where settings do not fit together."""
        learns, size = self.learning_starts <= self.buffer_size, self.buffer_size
        require(
            learns, "dqn.learning-starts", self.learning_starts, f"pass at most the buffer's size, {size}"
        )
