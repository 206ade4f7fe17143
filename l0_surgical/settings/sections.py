"""The settings of each algorithm and of the sparsifiers, each with its bounds; `config` puts them together.

Upper bounds are far beyond any use. They stand where a slip of the keyboard would otherwise end in a full
memory, in an overflow of float32, or in a training that cannot learn.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from l0_surgical.system.bounds import Bound

Units = Annotated[int, Bound(1, 4096, beyond="two such layers and their optimiser already take a gigabyte")]
Environments = Annotated[
    int, Bound(1, 4096, beyond="each is simulated on its own; make the round longer instead")
]
Batch = Annotated[
    int, Bound(1, 65_536, beyond="more would not fit into memory with all the updates of a round")
]
Buffer = Annotated[
    int, Bound(1, 10_000_000, beyond="that is a gigabyte per member, and more would not fit into memory")
]
Repeats = Annotated[
    int, Bound(1, 10_000, beyond="the random numbers of a whole round would not fit into memory")
]
Period = Annotated[int, Bound(1, 10**9)]
Start = Annotated[int, Bound(0, 10**9)]
Share = Annotated[float, Bound(0, 1)]
Temperature = Annotated[float, Bound(1e-3, 1000)]
LearningRate = Annotated[float, Bound(above=0, most=1)]
Scale = Annotated[float, Bound(1e-6, 10**6)]
"""A factor or a limit; its square and its inverse are still good numbers in float32."""
NotNegative = Annotated[float, Bound(0, 10**6)]


@dataclass(frozen=True)
class DDPGConfig:
    """DDPG with hindsight replay and demonstration-guided exploration (Goddla 2024, Algorithm 3)."""

    hidden: tuple[Units, ...] = (256, 256, 256)
    """Units of each hidden layer, actor and critic alike."""
    batch_size: Annotated[
        int, Bound(1, 8192, beyond="each transition is compared with as many demonstrations")
    ] = 64
    """Transitions per update."""
    updates_per_episode: Repeats = 50
    """Gradient updates after each episode."""
    buffer_size: Buffer = 10_000
    """Transitions the agent's replay buffer holds (D_A)."""
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
    relabel_fraction: Share = 0.8
    """Part of a batch with hindsight goals: k / (k + 1) for k = 4."""
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
    observation_scale_floor: Scale = 0.1
    """Least standard deviation that the observation normaliser divides by."""
    observation_clip: Scale = 5.0
    """Normalised observations are clipped to +- this."""


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


@dataclass(frozen=True)
class DQNConfig:
    """Deep Q-learning (Goddla 2024, Algorithm 1)."""

    hidden: tuple[Units, ...] = (128, 64, 32)
    """Units of each hidden layer."""
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


@dataclass(frozen=True)
class PPOConfig:
    """Proximal policy optimisation (Goddla 2024, Algorithm 2)."""

    hidden: tuple[Units, ...] = (128, 64, 32)
    """Units of each hidden layer, policy and value network alike."""
    environments: Environments = 32
    """Environments side by side, per member."""
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
