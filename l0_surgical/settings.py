"""The settings of each algorithm and of the sparsifiers; `config` puts them together."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class DDPGConfig:
    """DDPG with hindsight replay and demonstration-guided exploration (Goddla 2024, Algorithm 3)."""

    hidden: tuple[int, ...] = (256, 256, 256)
    """Units of each hidden layer, actor and critic alike."""
    batch_size: int = 64
    """Transitions per update."""
    updates_per_episode: int = 50
    """Gradient updates after each episode."""
    buffer_size: int = 10_000
    """Transitions the agent's replay buffer holds (D_A)."""
    actor_learning_rate: float = 1e-3
    """Adam, actor weights."""
    critic_learning_rate: float = 1e-3
    """Adam, critic weights."""
    final_learning_rate_factor: float = 1.0
    """Both learning rates decay linearly to this fraction over the training."""
    discount: float = 0.95
    """gamma."""
    target_rate: float = 5e-3
    """tau of (3.10), (3.11)."""
    noise_scale: float = 0.1
    """Standard deviation of the exploration noise at epsilon = 1, in units of the action; epsilon falls linearly to 0."""
    relabel_fraction: float = 0.8
    """Part of a batch with hindsight goals: k / (k + 1) for k = 4."""
    dex_coefficient: float = 5.0
    """alpha of (3.14), (3.15) at the start."""
    dex_anneal_episodes: int = 60
    """Episodes over which alpha falls linearly to 0; 0 holds it."""
    neighbours: int = 5
    """k nearest demonstrations of (3.13)."""
    action_penalty: float = 0.0
    """Weight of the mean squared action in the actor's loss."""
    clip_target: bool = True
    """Keeps the critic's target at or below the most that can be returned: the highest reward so far, or 0, over 1 - gamma."""
    observation_scale_floor: float = 0.1
    """Least standard deviation that the observation normaliser divides by."""
    observation_clip: float = 5.0
    """Normalised observations are clipped to +- this."""


@dataclass(frozen=True)
class SparsityConfig:
    """What is made sparse and how."""

    apply_to: Literal["both", "actor", "critic"] = "both"
    """Which networks carry the regulariser."""
    critic_coefficient_ratio: float = 1.0
    """The critic's coefficient is the actor's times this."""
    temperature: float = 2 / 3
    """beta of the hard-concrete distribution (4.2)."""
    stretch_low: float = -0.1
    """gamma of (4.2)."""
    stretch_high: float = 1.1
    """zeta of (4.2)."""
    initial_log_alpha: float = 2.0
    """Where every gate's log alpha starts."""
    gate_learning_rate: float = 1e-2
    """Adam, log alpha."""
    evaluation: Literal["sampled", "deterministic"] = "deterministic"
    """The gates of evaluation and deployment: one frozen sample (the paper) or z_hat of (4.3)."""
    gates_wait: bool = False
    """All gates are 1 and log alpha does not move before the penalty starts: the network learns dense first."""
    penalty_start: int = 60
    """No penalty before this round."""
    penalty_ramp: int = 0
    """Rounds over which the penalty grows linearly to its full weight."""
    finetune_start: int | None = None
    """From this round on there is no penalty, gates rest as they are evaluated, zeros stay, and the other weights learn on; None: never."""
    threshold: float = 1e-3
    """L1 and L2 only: weights below it count as zero when evaluated."""


@dataclass(frozen=True)
class DQNConfig:
    """Deep Q-learning (Goddla 2024, Algorithm 1)."""

    hidden: tuple[int, ...] = (128, 64, 32)
    """Units of each hidden layer."""
    environments: int = 64
    """Environments side by side, per member."""
    steps_per_cycle: int = 4
    """Steps of every environment between two phases of learning."""
    updates_per_cycle: int = 32
    """Gradient updates in a phase of learning."""
    batch_size: int = 64
    """Transitions per update."""
    cycles_per_round: int = 20
    """Cycles between two lines of metrics."""
    buffer_size: int = 100_000
    """Transitions the replay buffer holds."""
    learning_starts: int = 1000
    """Transitions in the buffer before the first update."""
    learning_rate: float = 1e-3
    """Adam."""
    final_learning_rate_factor: float = 0.0
    """The learning rate falls linearly to this fraction over the training."""
    discount: float = 0.99
    """gamma."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this before they are learned; with it goes the weight of the loss against a sparsity penalty."""
    initial_value: float = 0.0
    """Added to the biases of the outputs at the start: about the (scaled) return that is to be learned, which else has to grow first."""
    target_period: int = 1
    """Updates between two of the target network."""
    target_rate: float = 0.01
    """How far the target network goes towards the network then; 1 copies it."""
    huber_delta: float = 100.0
    """TD errors beyond it count linearly."""
    exploration_fraction: float = 0.3
    """Part of the training over which epsilon falls from 1 to its final value (cosine annealing)."""
    final_epsilon: float = 0.1
    """Share of random actions after that."""
    double: bool = True
    """Double Q-learning: the network chooses the next action, the target network values it."""
    prioritized: Literal["none", "proportional", "softmax"] = "none"
    """Prioritised replay: in proportion to |TD error|^alpha (a sum tree), or by its softmax over the buffer (2.3)."""
    priority_exponent: float = 0.6
    """alpha."""
    importance_exponent: float = 0.4
    """beta of the importance weights that correct for prioritised sampling; 0 corrects nothing."""


@dataclass(frozen=True)
class PPOConfig:
    """Proximal policy optimisation (Goddla 2024, Algorithm 2)."""

    hidden: tuple[int, ...] = (128, 64, 32)
    """Units of each hidden layer, policy and value network alike."""
    environments: int = 32
    """Environments side by side, per member."""
    horizon: int = 256
    """Steps of every environment in a roll-out."""
    epochs: int = 4
    """Passes over a roll-out."""
    minibatch_size: int = 1024
    """Samples per update."""
    learning_rate: float = 1e-3
    """Adam, both networks."""
    final_learning_rate_factor: float = 0.1
    """The learning rate falls linearly to this fraction over the training."""
    discount: float = 0.99
    """gamma."""
    gae_lambda: float = 0.95
    """lambda of generalised advantage estimation."""
    clip: float = 0.2
    """How far the ratio of new to old probability counts away from 1."""
    entropy_coefficient: float = 0.01
    """Weight of the entropy bonus."""
    max_gradient_norm: float = 0.5
    """Limit of the gradient's norm, per network and member (gates excluded)."""
    reward_scale: float = 1.0
    """Rewards are multiplied by this before the value network learns them."""
