"""The settings that the sparsifiers share."""

from dataclasses import dataclass
from typing import Annotated, Literal

from l0_surgical.settings.values import LearningRate, NotNegative, Start, Temperature, require
from l0_surgical.system.bounds import Bound


@dataclass(frozen=True)
class SparsityConfig:
    """What is made sparse and how."""

    apply_to: Literal["both", "actor", "critic"] = "both"
    """Which networks carry the regulariser."""
    critic_coefficient_ratio: NotNegative = 1.0
    """The critic's coefficient is the actor's times this."""
    temperature: Temperature = 2 / 3
    """beta of the hard-concrete distribution (4.2)."""
    stretch_low: Annotated[float, Bound(least=-100, below=0)] = -0.1
    """gamma of (4.2)."""
    stretch_high: Annotated[float, Bound(above=1, most=100)] = 1.1
    """zeta of (4.2)."""
    initial_log_alpha: Annotated[float, Bound(-100, 100)] = 2.0
    """Where every gate's log alpha starts."""
    gate_learning_rate: LearningRate = 1e-2
    """Adam, log alpha."""
    evaluation: Literal["sampled", "deterministic"] = "deterministic"
    """The gates of evaluation and deployment: one frozen sample (the paper) or z_hat of (4.3)."""
    gates_wait: bool = False
    """All gates are 1 and log alpha does not move before the penalty starts: the network learns dense
    first."""
    penalty_start: Start = 60
    """No penalty before this round."""
    penalty_ramp: Start = 0
    """Rounds over which the penalty grows linearly to its full weight."""
    finetune_start: Start | None = None
    """From this round on there is no penalty, gates rest as they are evaluated, zeros stay, and the other
    weights learn on; None: never."""
    threshold: NotNegative = 1e-3
    """L1 and L2 only: weights below it count as zero when evaluated."""

    def check(self) -> None:
        """Raises BadInputError where settings do not fit together."""
        start, end = self.penalty_start, self.finetune_start
        late = end is None or end > start
        require(late, "sparsity.finetune-start", end, f"pass a round after the penalty's ({start})")
