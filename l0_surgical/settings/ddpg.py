"""The settings of DDPG with hindsight replay and DEX."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from l0_surgical.settings.algorithm import GoalConfig
from l0_surgical.settings.values import (
    LearningRate,
    NotNegative,
    Repeats,
    Share,
    Start,
    Units,
    require,
)
from l0_surgical.system.bounds import Bound


@dataclass(frozen=True)
class DDPGConfig(GoalConfig):
    """DDPG with hindsight replay and demonstration-guided exploration (Goddla 2024, Algorithm 3)."""

    name: ClassVar[str] = "ddpg"
    learner: ClassVar[str] = "l0_surgical.algorithms.ddpg:DDPG"

    hidden: tuple[Units, ...] = (256, 256, 256)
    """Units of each hidden layer, actor and critic alike."""
    batch_size: Annotated[
        int, Bound(1, 8192, beyond="each transition is compared with as many demonstrations")
    ] = 64
    """Transitions per update."""
    updates_per_episode: Repeats = 50
    """Gradient updates after each episode."""
    actor_learning_rate: LearningRate = 1e-3
    """Adam, actor weights."""
    critic_learning_rate: LearningRate = 1e-3
    """Adam, critic weights."""
    final_learning_rate_factor: Share = 1.0
    """Both learning rates decay linearly to this fraction over the training."""
    discount: Annotated[float, Bound(least=0, below=1)] = 0.95
    """gamma."""
    target_rate: Annotated[float, Bound(above=0, most=1)] = 5e-3
    """tau of (3.10), (3.11)."""
    noise_scale: NotNegative = 0.1
    """Standard deviation of the exploration noise at epsilon = 1, in units of the action; epsilon falls
    linearly to 0."""
    dex_coefficient: NotNegative = 5.0
    """alpha of (3.14), (3.15) at the start."""
    dex_anneal_episodes: Start = 60
    """Episodes over which alpha falls linearly to 0; 0 holds it."""
    neighbours: Annotated[int, Bound(1, 8192)] = 5
    """k nearest demonstrations of (3.13)."""
    action_penalty: NotNegative = 0.0
    """Weight of the mean squared action in the actor's loss."""
    clip_target: bool = True
    """Keeps the critic's target at or below the most that can be returned: the highest reward so far, or 0,
    over 1 - gamma."""

    @property
    def draws_per_round(self) -> int:
        """How often a sparsifier is stepped in a round: before every update."""
        return self.updates_per_episode

    def check(self) -> None:
        """Raises BadInputError where settings do not fit together."""
        found = self.dex_coefficient == 0 or self.neighbours <= self.batch_size
        require(
            found, "ddpg.neighbours", self.neighbours, f"pass at most the batch's size, {self.batch_size}"
        )
