"""Every setting of a training run, its bounds, and the rules between settings.

The command line is built from these dataclasses, so flags, files and documentation cannot diverge.
"""

import dataclasses
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from tyro.conf import Positional

from l0_surgical.settings.algorithm import AlgorithmConfig
from l0_surgical.settings.ddpg import DDPGConfig
from l0_surgical.settings.registry import ALGORITHMS, DENSE, SPARSIFIERS
from l0_surgical.settings.sparsity import SparsityConfig
from l0_surgical.settings.values import NotNegative, Period, Share, require
from l0_surgical.system.bounds import Bound, Episodes, Seed, check_fields
from l0_surgical.system.errors import BadInputError
from l0_surgical.system.files import number_name

Coefficient = NotNegative
Seeds = Annotated[int, Bound(1, 1000, beyond="start further runs with another --seed")]


@dataclass(frozen=True)
class MemberSpec:
    """One member of a grid."""

    seed: int
    regularizer: str
    coefficient: float

    @property
    def is_dense(self) -> bool:
        """Whether nothing is taken from it."""
        return self.regularizer == DENSE

    @property
    def name(self) -> str:
        """A file name, e.g. `l0-0.001-seed3`, another one for every member."""
        kind = "dense" if self.is_dense else f"{self.regularizer}-{number_name(self.coefficient)}"
        return f"{kind}-seed{self.seed}"


@dataclass(frozen=True)
class TrainingConfig:
    """A whole training run: the task, the grid of members, and the settings they share."""

    task: Positional[str] = "needle-reach"
    """needle-reach, surrol:<id>, cartpole, acrobot, lunar-lander, or any registered Gymnasium id."""
    preset: Literal["best", "paper"] = "best"
    """Starting point for every setting below."""
    algorithm: AlgorithmConfig = field(default_factory=DDPGConfig)
    """The one section of the algorithm that learns, which also names it."""
    regularizer: tuple[str, ...] = ("l0",)
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
    sparsity: SparsityConfig = field(default_factory=SparsityConfig)
    sparsifiers: Mapping[str, Any] = field(default_factory=dict)
    """The sections of those regularisers that have settings of their own, by name."""

    @property
    def rounds(self) -> int:
        """How many rounds the training has; at least one."""
        if self.algorithm.experience == "goal":
            return self.episodes
        return max(1, self.steps // self.algorithm.steps_per_round)

    def members(self) -> tuple[MemberSpec, ...]:
        """The grid: every regulariser x coefficient x seed, dense members once per seed."""
        seeds = range(self.seed, self.seed + self.seeds)
        cells = itertools.chain.from_iterable(
            [(DENSE, 0.0)] if regularizer == DENSE else [(regularizer, c) for c in self.coefficient]
            for regularizer in self.regularizer
        )
        return tuple(
            MemberSpec(seed, regularizer, coefficient) for regularizer, coefficient in cells for seed in seeds
        )

    def section(self, regularizer: str) -> Any:
        """The settings that a regulariser has to itself: those given, or its defaults; None if it has
        none."""
        settings = SPARSIFIERS[regularizer].settings
        return self.sparsifiers.get(regularizer, None if settings is None else settings())

    def validate(self) -> None:
        """Checks everything that can be checked before compute starts: every setting by itself, then what
        must fit together.

        Raises:
            BadInputError: names the setting, its value and the remedy.
        """
        check_fields(self)
        for name in self.regularizer:
            require(name in SPARSIFIERS, "regularizer", name, SPARSIFIERS.known())
        for name in ("regularizer", "coefficient"):
            values = getattr(self, name)
            require(len(set(values)) == len(values), name, values, "name every member of the grid once")
        remedy = "give a regularizer, and a coefficient unless it is none"
        require(bool(self.members()), "regularizer", self.regularizer, remedy)
        for section in (self.sparsity, self.algorithm, *self.sparsifiers.values()):
            if hasattr(section, "check"):
                section.check()


def as_dict(config: TrainingConfig) -> dict[str, Any]:
    """The configuration as JSON can hold it: the algorithm by name, its settings in the section of that
    name."""
    name, flat = config.algorithm.name, dataclasses.asdict(config)
    if not flat["sparsifiers"]:
        del flat["sparsifiers"]
    return json.loads(json.dumps({**flat, "algorithm": name, name: flat["algorithm"]}))


def from_dict(data: dict[str, Any]) -> TrainingConfig:
    """The inverse of `as_dict`; also reads what the first release wrote, with the settings of all algorithms.

    Raises:
        BadInputError: a setting that this version does not know, one that is missing, or a value that it
            cannot have.
    """
    if not isinstance(data, dict):
        raise BadInputError("the run's configuration is damaged (run holds no settings); train anew")
    name = data.get("algorithm")
    if not isinstance(name, str) or name not in ALGORITHMS:
        raise BadInputError(
            f"the run's configuration is damaged (--algorithm {name!r}: {ALGORITHMS.known()}); train anew"
        )
    own = data.get("sparsifiers", {})
    if not isinstance(own, dict):
        raise BadInputError("the run's configuration is damaged (sparsifiers holds no settings); train anew")
    own = {key: _build(_settings_of(key), value, key) for key, value in own.items()}
    kept = {key: value for key, value in data.items() if key not in ALGORITHMS}
    sections = {
        "algorithm": _build(ALGORITHMS[name], data.get(name), name),
        "sparsity": _build(SparsityConfig, data.get("sparsity"), "sparsity"),
        "sparsifiers": own,
    }
    config = _build(TrainingConfig, {**kept, **sections}, "run")
    try:
        check_fields(config)
    except BadInputError as error:
        raise BadInputError(f"the run's configuration is damaged ({error}); train anew") from error
    return config


def _settings_of(name: str) -> type:
    settings = SPARSIFIERS[name].settings
    if settings is None:
        raise BadInputError(
            f"the run's configuration is damaged ({name} has no settings of its own); train anew"
        )
    return settings


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
