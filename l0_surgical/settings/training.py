"""Every setting of a training run, its bounds, and the rules between settings.

The command line is built from these dataclasses, so flags, files and documentation cannot diverge.
"""

import dataclasses
import itertools
import json
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from tyro.conf import Positional

from l0_surgical.settings.sections import (
    DDPGConfig,
    DQNConfig,
    NotNegative,
    Period,
    PPOConfig,
    Share,
    SparsityConfig,
)
from l0_surgical.system.bounds import Bound, Episodes, Seed, check_fields
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import number_name

Coefficient = NotNegative
Seeds = Annotated[int, Bound(1, 1000, beyond="start further runs with another --seed")]
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
        """A file name, e.g. `l0-0.001-seed3`, another one for every member."""
        regularizer = (
            "dense" if self.regularizer == "none" else f"{self.regularizer}-{number_name(self.coefficient)}"
        )
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
    coefficient: tuple[Coefficient, ...] = (2e-2,)
    """Sparsification coefficients lambda_c; each regulariser but `none` is trained with each."""
    seeds: Seeds = 1
    """Members per regulariser and coefficient."""
    seed: Seed = 0
    """First seed."""
    episodes: Annotated[int, Bound(1, 1_000_000)] = 200
    """Training episodes per member (ddpg)."""
    steps: Annotated[int, Bound(1, 10**9)] = 100_000
    """Training environment steps per member (dqn, ppo), in whole rounds and at least one."""
    demonstration_episodes: Episodes = 100
    """Expert episodes collected for DEX (D_E) and to fit the observation normaliser."""
    demonstration_seed: Seed = 0
    """Seed of the expert episodes, shared by all members."""
    evaluate_every: Period = 20
    """Rounds between evaluations on validation episodes; a round is an episode of ddpg, a roll-out of ppo,
    `cycles-per-round` of dqn."""
    evaluation_episodes: Episodes = 5
    """Validation episodes per evaluation."""
    final_evaluation_episodes: Episodes = 100
    """Unseen test episodes after the training."""
    keep_best_after: Share = 1.0
    """dqn, ppo: under a penalty the best policy on validation episodes after this part of the training is
    kept; dense, of all of it."""
    stop_at_target: bool = False
    """dqn, ppo: a member stops learning once its validation return reaches the task's target, as in the
    paper."""
    checkpoint_every: Period = 20
    """Rounds between checkpoints."""
    device: str = "cpu"
    """cpu or cuda."""
    threads: Annotated[int, Bound(0, 1024)] = 0
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
            [("none", 0.0)] if regularizer == "none" else [(regularizer, c) for c in self.coefficient]
            for regularizer in self.regularizer
        )
        return tuple(
            MemberSpec(seed, regularizer, coefficient) for regularizer, coefficient in cells for seed in seeds
        )

    def validate(self) -> None:
        """Checks everything that can be checked before compute starts: every setting by itself, then what
        must fit together.

        Raises:
            BadInputError: names the setting, its value and the remedy.
        """
        check_fields(self)
        for name in ("regularizer", "coefficient"):
            values = getattr(self, name)
            _require(len(set(values)) == len(values), name, values, "name every member of the grid once")
        _require(
            bool(self.members()),
            "regularizer",
            self.regularizer,
            "give a regularizer, and a coefficient unless it is none",
        )
        ddpg, dqn, ppo, sparsity = self.ddpg, self.dqn, self.ppo, self.sparsity
        late = sparsity.finetune_start is None or sparsity.finetune_start > sparsity.penalty_start
        _require(
            late,
            "sparsity.finetune-start",
            sparsity.finetune_start,
            f"pass a round after the penalty's ({sparsity.penalty_start})",
        )
        found = ddpg.dex_coefficient == 0 or ddpg.neighbours <= ddpg.batch_size
        _require(
            found, "ddpg.neighbours", ddpg.neighbours, f"pass at most the batch's size, {ddpg.batch_size}"
        )
        learns = dqn.learning_starts <= dqn.buffer_size
        _require(
            learns,
            "dqn.learning-starts",
            dqn.learning_starts,
            f"pass at most the buffer's size, {dqn.buffer_size}",
        )
        samples = ppo.environments * ppo.horizon
        _require(
            ppo.minibatch_size <= samples,
            "ppo.minibatch-size",
            ppo.minibatch_size,
            f"pass at most a roll-out's {samples} samples",
        )


def _require(holds: bool, name: str, value: Any, remedy: str) -> None:
    if not holds:
        raise BadInputError(f"--{name} {value}: {remedy}")


def as_dict(config: TrainingConfig) -> dict[str, Any]:
    """The configuration as JSON can hold it."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(data: dict[str, Any]) -> TrainingConfig:
    """The inverse of `as_dict`.

    Raises:
        BadInputError: a setting that this version does not know, one that is missing, or a value that it
        cannot have.
    """
    nested = {"ddpg": DDPGConfig, "dqn": DQNConfig, "ppo": PPOConfig, "sparsity": SparsityConfig}
    sections = {
        name: _build(kind, data.get(name) if isinstance(data, dict) else None, name)
        for name, kind in nested.items()
    }
    config = _build(TrainingConfig, {**data, **sections}, "run")
    try:
        check_fields(config)
    except BadInputError as error:
        raise BadInputError(f"the run's configuration is damaged ({error}); train anew") from error
    return config


def _build(kind: type, data: Any, section: str) -> Any:
    """The dataclass `kind` from an object of JSON, which names all its fields and no others."""
    names = {one.name for one in dataclasses.fields(kind)}
    if not isinstance(data, dict):
        raise BadInputError(f"the run's configuration is damaged ({section} holds no settings); train anew")
    if data.keys() != names:
        odd = ", ".join(sorted(map(str, data.keys() ^ names)))
        raise BadInputError(
            f"the run's configuration is from another version of l0_surgical ({section}: {odd}); train anew"
        )
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})
