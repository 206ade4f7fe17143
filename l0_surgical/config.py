"""Every setting of a training run, its validation, and the presets `paper` (as printed) and `best` (ours, the default).

The command line is built from these dataclasses, so flags, files and documentation cannot diverge.
"""

import dataclasses
import itertools
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

from tyro.conf import Positional

from l0_surgical.errors import BadInputError

Regularizer = Literal["l0", "l1", "l2", "none"]
PAPER_COEFFICIENTS = (5e-5, 5e-4, 5e-3, 5e-2, 5e-1, 1.0, 2.0, 5.0)


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
    """Keeps the critic's target at or below 0, the most a task with rewards <= 0 can return."""
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
    penalty_start_episode: int = 60
    """No penalty before this episode."""
    penalty_ramp_episodes: int = 0
    """Episodes over which the penalty grows linearly to its full weight."""
    threshold: float = 1e-3
    """L1 and L2 only: weights below it count as zero when evaluated."""


@dataclass(frozen=True)
class MemberSpec:
    """One member of a grid."""

    seed: int
    regularizer: Regularizer
    coefficient: float

    @property
    def name(self) -> str:
        """A file name, e.g. `l0-0.001-seed3`."""
        regularizer = "dense" if self.regularizer == "none" else f"{self.regularizer}-{self.coefficient:g}"
        return f"{regularizer}-seed{self.seed}"


@dataclass(frozen=True)
class TrainingConfig:
    """A whole training run: the task, the grid of members, and the settings they share."""

    task: Positional[str] = "needle-reach"
    """needle-reach, surrol:<id>, or any registered goal-based Gymnasium id."""
    preset: Literal["best", "paper"] = "best"
    """Starting point for every setting below."""
    algorithm: Literal["ddpg"] = "ddpg"
    """The learning algorithm."""
    regularizer: tuple[Regularizer, ...] = ("l0",)
    """One or more regularisers; `none` trains dense members beside the others."""
    coefficient: tuple[float, ...] = (2e-2,)
    """Sparsification coefficients lambda_c; each regulariser but `none` is trained with each."""
    seeds: int = 1
    """Members per regulariser and coefficient."""
    seed: int = 0
    """First seed."""
    episodes: int = 200
    """Training episodes per member."""
    demonstration_episodes: int = 100
    """Expert episodes collected for DEX (D_E) and to fit the observation normaliser."""
    demonstration_seed: int = 0
    """Seed of the expert episodes, shared by all members."""
    evaluate_every: int = 20
    """Episodes between evaluations on validation episodes."""
    evaluation_episodes: int = 5
    """Validation episodes per evaluation."""
    final_evaluation_episodes: int = 100
    """Unseen test episodes after the training."""
    checkpoint_every: int = 20
    """Episodes between checkpoints."""
    device: str = "cpu"
    """cpu or cuda."""
    threads: int = 0
    """Threads for the tensor library; 0: one for up to four members, all cores for larger grids."""
    ddpg: DDPGConfig = field(default_factory=DDPGConfig)
    sparsity: SparsityConfig = field(default_factory=SparsityConfig)

    def members(self) -> tuple[MemberSpec, ...]:
        """The grid: every regulariser x coefficient x seed, dense members once per seed."""
        seeds = range(self.seed, self.seed + self.seeds)
        cells = itertools.chain.from_iterable(
            [("none", 0.0)] if regularizer == "none" else [(regularizer, c) for c in self.coefficient] for regularizer in self.regularizer
        )
        return tuple(MemberSpec(seed, regularizer, coefficient) for regularizer, coefficient in cells for seed in seeds)

    def validate(self) -> None:
        """Checks everything that can be checked before compute starts.

        Raises:
            BadInputError: names the setting, its value and the remedy.
        """
        ddpg, sparsity = self.ddpg, self.sparsity
        for value in self.coefficient:
            _require(math.isfinite(value) and value >= 0, "coefficient", value, "pass a finite number >= 0")
        _require(len(set(self.members())) == len(self.members()), "coefficient", self.coefficient, "name every member of the grid once")
        _require(bool(self.members()), "regularizer", self.regularizer, "give a regularizer, and a coefficient unless it is none")
        _require(self.seed >= 0, "seed", self.seed, "pass an integer >= 0")
        positive = {"seeds": self.seeds, "episodes": self.episodes, "evaluate-every": self.evaluate_every}
        positive |= {"evaluation-episodes": self.evaluation_episodes, "final-evaluation-episodes": self.final_evaluation_episodes}
        positive |= {"checkpoint-every": self.checkpoint_every, "demonstration-episodes": self.demonstration_episodes}
        positive |= {"ddpg.batch-size": ddpg.batch_size, "ddpg.updates-per-episode": ddpg.updates_per_episode}
        positive |= {"ddpg.neighbours": ddpg.neighbours, "ddpg.hidden": min(ddpg.hidden, default=1), "ddpg.buffer-size": ddpg.buffer_size}
        positive |= {"ddpg.actor-learning-rate": ddpg.actor_learning_rate, "ddpg.critic-learning-rate": ddpg.critic_learning_rate}
        positive |= {"sparsity.temperature": sparsity.temperature, "sparsity.gate-learning-rate": sparsity.gate_learning_rate}
        positive |= {"ddpg.observation-scale-floor": ddpg.observation_scale_floor, "ddpg.observation-clip": ddpg.observation_clip}
        for name, value in positive.items():
            _require(math.isfinite(value) and value > 0, name, value, "pass a number > 0")
        not_negative = {"ddpg.noise-scale": ddpg.noise_scale, "ddpg.dex-coefficient": ddpg.dex_coefficient, "threads": self.threads}
        not_negative |= {"sparsity.threshold": sparsity.threshold, "sparsity.critic-coefficient-ratio": sparsity.critic_coefficient_ratio}
        not_negative |= {"ddpg.action-penalty": ddpg.action_penalty, "ddpg.dex-anneal-episodes": ddpg.dex_anneal_episodes}
        not_negative |= {"sparsity.penalty-start-episode": sparsity.penalty_start_episode}
        not_negative |= {"sparsity.penalty-ramp-episodes": sparsity.penalty_ramp_episodes}
        for name, value in not_negative.items():
            _require(math.isfinite(value) and value >= 0, name, value, "pass a number >= 0")
        _require(0 <= ddpg.discount < 1, "ddpg.discount", ddpg.discount, "pass a number in [0, 1)")
        _require(0 < ddpg.target_rate <= 1, "ddpg.target-rate", ddpg.target_rate, "pass a number in (0, 1]")
        _require(0 <= ddpg.relabel_fraction <= 1, "ddpg.relabel-fraction", ddpg.relabel_fraction, "pass a number in [0, 1]")
        _require(
            0 <= ddpg.final_learning_rate_factor <= 1, "ddpg.final-learning-rate-factor", ddpg.final_learning_rate_factor, "use [0, 1]"
        )
        _require(sparsity.stretch_low < 0, "sparsity.stretch-low", sparsity.stretch_low, "pass a number < 0")
        _require(sparsity.stretch_high > 1, "sparsity.stretch-high", sparsity.stretch_high, "pass a number > 1")


def _require(holds: bool, name: str, value: Any, remedy: str) -> None:
    if not holds:
        raise BadInputError(f"--{name} {value}: {remedy}")


def preset(name: str) -> TrainingConfig:
    """The named preset for NeedleReach.

    `paper` is what Goddla 2024 prints (sec. 5.1.3); where it prints nothing, the reference DEX code's value is used
    (discount 0.99, normalised observations with floor 0.01, squared-action term); beta = 0.25 because only then is the printed
    36 % sparsity in reach of a log alpha that moves by 1e-5 per update (35.4 % of the gates are closed at log alpha = 0).
    """
    best = TrainingConfig()
    if name == "best":
        return best
    if name != "paper":
        raise BadInputError(f"--preset {name}: choose best or paper")
    return dataclasses.replace(
        best,
        preset="paper",
        regularizer=("none", "l0"),
        coefficient=PAPER_COEFFICIENTS,
        ddpg=DDPGConfig(
            actor_learning_rate=1e-5,
            critic_learning_rate=1e-5,
            discount=0.99,
            target_rate=1e-3,
            dex_anneal_episodes=0,
            action_penalty=1.0,
            observation_scale_floor=0.01,
        ),
        sparsity=SparsityConfig(
            temperature=0.25, initial_log_alpha=0.0, gate_learning_rate=1e-5, evaluation="sampled", penalty_start_episode=0
        ),
    )


def as_dict(config: TrainingConfig) -> dict[str, Any]:
    """The configuration as JSON can hold it."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(data: dict[str, Any]) -> TrainingConfig:
    """The inverse of `as_dict`.

    Raises:
        BadInputError: a setting that this version does not know, or one that is missing.
    """
    nested = {"ddpg": DDPGConfig, "sparsity": SparsityConfig}
    try:
        values = {name: _build(nested[name], value) if name in nested else _value(value) for name, value in data.items()}
        return TrainingConfig(**values)
    except (TypeError, AttributeError) as error:
        raise BadInputError(f"the run's configuration is from another version of l0_surgical ({error}); train anew") from error


def _build(kind: type, data: dict[str, Any]) -> Any:
    return kind(**{name: _value(value) for name, value in data.items()})


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
