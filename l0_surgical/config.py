"""Every setting of a training run and its validation.

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
from l0_surgical.settings import DDPGConfig, DQNConfig, PPOConfig, SparsityConfig

Algorithm = Literal["ddpg", "dqn", "ppo"]
Regularizer = Literal["l0", "l1", "l2", "none"]


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
    """needle-reach, surrol:<id>, cartpole, acrobot, lunar-lander, or any registered Gymnasium id."""
    preset: Literal["best", "paper"] = "best"
    """Starting point for every setting below."""
    algorithm: Algorithm = "ddpg"
    """ddpg for goal tasks with continuous actions; dqn or ppo for a choice of actions (dqn by default)."""
    regularizer: tuple[Regularizer, ...] = ("l0",)
    """One or more regularisers; `none` trains dense members beside the others."""
    coefficient: tuple[float, ...] = (2e-2,)
    """Sparsification coefficients lambda_c; each regulariser but `none` is trained with each."""
    seeds: int = 1
    """Members per regulariser and coefficient."""
    seed: int = 0
    """First seed."""
    episodes: int = 200
    """Training episodes per member (ddpg)."""
    steps: int = 100_000
    """Training environment steps per member (dqn, ppo)."""
    demonstration_episodes: int = 100
    """Expert episodes collected for DEX (D_E) and to fit the observation normaliser."""
    demonstration_seed: int = 0
    """Seed of the expert episodes, shared by all members."""
    evaluate_every: int = 20
    """Rounds between evaluations on validation episodes; a round is an episode of ddpg, a roll-out of ppo, `cycles-per-round` of dqn."""
    evaluation_episodes: int = 5
    """Validation episodes per evaluation."""
    final_evaluation_episodes: int = 100
    """Unseen test episodes after the training."""
    keep_best_after: float = 1.0
    """dqn, ppo: under a penalty the best policy on validation episodes after this part of the training is kept; dense, of all of it."""
    stop_at_target: bool = False
    """dqn, ppo: a member stops learning once its validation return reaches the task's target, as in the paper."""
    checkpoint_every: int = 20
    """Rounds between checkpoints."""
    device: str = "cpu"
    """cpu or cuda."""
    threads: int = 0
    """Threads for the tensor library; 0: one for up to four members, all cores for larger grids."""
    ddpg: DDPGConfig = field(default_factory=DDPGConfig)
    dqn: DQNConfig = field(default_factory=DQNConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    sparsity: SparsityConfig = field(default_factory=SparsityConfig)

    @property
    def steps_per_round(self) -> int:
        """Environment steps of a member in a round of dqn or ppo."""
        if self.algorithm == "dqn":
            return self.dqn.environments * self.dqn.steps_per_cycle * self.dqn.cycles_per_round
        return self.ppo.environments * self.ppo.horizon

    @property
    def rounds(self) -> int:
        """How many rounds the training has; at least one."""
        return self.episodes if self.algorithm == "ddpg" else max(1, self.steps // self.steps_per_round)

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
        positive |= {"steps": self.steps, **_positive("dqn", self.dqn, _DQN_POSITIVE), **_positive("ppo", self.ppo, _PPO_POSITIVE)}
        positive |= {"ddpg.observation-scale-floor": ddpg.observation_scale_floor, "ddpg.observation-clip": ddpg.observation_clip}
        for name, value in positive.items():
            _require(math.isfinite(value) and value > 0, name, value, "pass a number > 0")
        not_negative = {"ddpg.noise-scale": ddpg.noise_scale, "ddpg.dex-coefficient": ddpg.dex_coefficient, "threads": self.threads}
        not_negative |= {"sparsity.threshold": sparsity.threshold, "sparsity.critic-coefficient-ratio": sparsity.critic_coefficient_ratio}
        not_negative |= {"ddpg.action-penalty": ddpg.action_penalty, "ddpg.dex-anneal-episodes": ddpg.dex_anneal_episodes}
        not_negative |= {"sparsity.penalty-start": sparsity.penalty_start}
        not_negative |= {"sparsity.penalty-ramp": sparsity.penalty_ramp}
        for name, value in not_negative.items():
            _require(math.isfinite(value) and value >= 0, name, value, "pass a number >= 0")
        _require(0 <= self.keep_best_after <= 1, "keep-best-after", self.keep_best_after, "pass a number in [0, 1]")
        self._validate_discrete()
        _require(0 <= ddpg.discount < 1, "ddpg.discount", ddpg.discount, "pass a number in [0, 1)")
        _require(0 < ddpg.target_rate <= 1, "ddpg.target-rate", ddpg.target_rate, "pass a number in (0, 1]")
        _require(0 <= ddpg.relabel_fraction <= 1, "ddpg.relabel-fraction", ddpg.relabel_fraction, "pass a number in [0, 1]")
        _require(
            0 <= ddpg.final_learning_rate_factor <= 1, "ddpg.final-learning-rate-factor", ddpg.final_learning_rate_factor, "use [0, 1]"
        )
        late = sparsity.finetune_start is None or sparsity.finetune_start > sparsity.penalty_start
        _require(late, "sparsity.finetune-start", sparsity.finetune_start, f"pass a round after the penalty's ({sparsity.penalty_start})")
        _require(sparsity.stretch_low < 0, "sparsity.stretch-low", sparsity.stretch_low, "pass a number < 0")
        _require(sparsity.stretch_high > 1, "sparsity.stretch-high", sparsity.stretch_high, "pass a number > 1")

    def _validate_discrete(self) -> None:
        dqn, ppo = self.dqn, self.ppo
        fractions = {"dqn.discount": dqn.discount, "dqn.exploration-fraction": dqn.exploration_fraction, "ppo.discount": ppo.discount}
        fractions |= {"dqn.final-epsilon": dqn.final_epsilon, "ppo.gae-lambda": ppo.gae_lambda}
        fractions |= {"dqn.target-rate": dqn.target_rate, "dqn.importance-exponent": dqn.importance_exponent}
        fractions |= {f"{name}.final-learning-rate-factor": part.final_learning_rate_factor for name, part in (("dqn", dqn), ("ppo", ppo))}
        for name, value in fractions.items():
            _require(0 <= value <= 1, name, value, "pass a number in [0, 1]")
        for name, value in {"dqn.priority-exponent": dqn.priority_exponent, "ppo.entropy-coefficient": ppo.entropy_coefficient}.items():
            _require(math.isfinite(value) and value >= 0, name, value, "pass a number >= 0")
        _require(math.isfinite(dqn.initial_value), "dqn.initial-value", dqn.initial_value, "pass a finite number")
        _require(
            0 < dqn.learning_starts <= dqn.buffer_size,
            "dqn.learning-starts",
            dqn.learning_starts,
            f"pass at least 1 and at most the buffer's size, {dqn.buffer_size}",
        )
        samples = ppo.environments * ppo.horizon
        _require(ppo.minibatch_size <= samples, "ppo.minibatch-size", ppo.minibatch_size, f"pass at most a roll-out's {samples} samples")


_DQN_POSITIVE = ("environments", "steps_per_cycle", "updates_per_cycle", "cycles_per_round", "batch_size", "buffer_size", "learning_rate")
_DQN_POSITIVE += ("target_period", "huber_delta", "reward_scale")
_PPO_POSITIVE = ("environments", "horizon", "epochs", "minibatch_size", "learning_rate", "clip", "max_gradient_norm", "reward_scale")


def _positive(section: str, settings: Any, names: tuple[str, ...]) -> dict[str, float]:
    return {f"{section}.{name.replace('_', '-')}": getattr(settings, name) for name in names}


def _require(holds: bool, name: str, value: Any, remedy: str) -> None:
    if not holds:
        raise BadInputError(f"--{name} {value}: {remedy}")


def as_dict(config: TrainingConfig) -> dict[str, Any]:
    """The configuration as JSON can hold it."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(data: dict[str, Any]) -> TrainingConfig:
    """The inverse of `as_dict`.

    Raises:
        BadInputError: a setting that this version does not know, or one that is missing.
    """
    nested = {"ddpg": DDPGConfig, "dqn": DQNConfig, "ppo": PPOConfig, "sparsity": SparsityConfig}
    try:
        values = {name: _build(nested[name], value) if name in nested else _value(value) for name, value in data.items()}
        return TrainingConfig(**values)
    except (TypeError, AttributeError) as error:
        raise BadInputError(f"the run's configuration is from another version of l0_surgical ({error}); train anew") from error


def _build(kind: type, data: dict[str, Any]) -> Any:
    return kind(**{name: _value(value) for name, value in data.items()})


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
