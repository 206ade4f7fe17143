"""Environments side by side; the classic ones by EnvPool where it is installed, else Gymnasium's.

Both engines end an episode alike: the step that ends it returns its true last observation with `terminated`
or `truncated`, and the environment's next step ignores its action and returns the first observation of a new
episode with reward 0. EnvPool and Gymnasium draw start states differently, so one seed gives other episodes
in each, of the same distribution.
"""

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Literal, Protocol

import gymnasium
import numpy as np

from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.stopping import Stopped
from l0_surgical.tasks.boundary import Stop, never
from l0_surgical.tasks.classic import CLASSIC
from l0_surgical.tasks.quiet import silenced
from l0_surgical.tasks.registry import TASKS
from l0_surgical.tasks.side_by_side import SideBySide

Engine = Literal["auto", "envpool", "gymnasium"]
ENGINES: tuple[Engine, ...] = ("auto", "envpool", "gymnasium")
ENVPOOL = {name: task.gymnasium_id for name, task in CLASSIC.items()}
"""The tasks that EnvPool plays, and their names there."""


class VectorEnvironment(Protocol):
    """N environments side by side, each seeded on its own.

    Attributes:
        count: N.
        observation_size: numbers in an observation.
        actions: how many choices there are, or numbers in an action.
        chooses: whether an action is a choice; otherwise it is a vector in [-1, 1].
        failures: causes by number of the environments that failed; from then on one gives zeros and no end.
    """

    count: int
    observation_size: int
    actions: int
    chooses: bool
    failures: dict[int, str]

    def reset(self) -> np.ndarray:
        """The first observations (N, obs) float32, of new episodes."""

    def step(
        self, actions: np.ndarray, live: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Takes one action in every environment, or only in those numbered `live` (n,), increasing.

        Returns:
            Observations (n, obs) float32, rewards (n,) float32, terminated (n,) bool, truncated (n,) bool;
            all finite.

        Raises:
            Stopped: the caller wants to stop.
            L0SurgicalError: all of them failed at once.
        """

    def close(self) -> None:
        """Frees it."""


def vector_engine(name: str, engine: Engine = "auto") -> Literal["envpool", "gymnasium"]:
    """The engine that `open_vector` uses for a task.

    Raises:
        BadInputError: EnvPool was asked for by name and is not installed or does not have the task, or the
        name is unknown.
    """
    if engine not in ENGINES:
        raise BadInputError(f"unknown engine {engine!r}; choose one of {', '.join(ENGINES)}")
    if engine == "gymnasium" or (engine == "auto" and (name not in ENVPOOL or find_spec("envpool") is None)):
        return "gymnasium"
    if name not in ENVPOOL:
        raise BadInputError(
            f"EnvPool is used for {', '.join(ENVPOOL)} only; open {name} with the engine gymnasium"
        )
    if find_spec("envpool") is None:
        raise BadInputError("EnvPool is not installed; pip install envpool, or choose the engine gymnasium")
    return "envpool"


def open_vector(
    name: str, seeds: Sequence[int], engine: Engine = "auto", stop: Stop = never
) -> VectorEnvironment:
    """Opens one environment for each seed.

    Args:
        name: a registered task, or a Gymnasium id, with a vector observation and actions that are a choice or
            a vector in [-1, 1].
        seeds: in [0, 2^31) for EnvPool; larger ones are folded into that range.
        engine: `auto` takes EnvPool where it is installed (3 to 40 times as fast).
        stop: whether the caller wants to stop.

    Raises:
        BadInputError: an unknown task, one without a time limit, or one whose observation or actions are of
            another kind.
    """
    if vector_engine(name, engine) == "envpool":
        return _EnvPool(ENVPOOL[name], seeds, stop)
    if name in TASKS:
        return SideBySide(name, TASKS[name].open().make, seeds, stop)
    return SideBySide(name, partial(gymnasium.make, name, disable_env_checker=True), seeds, stop)


class _EnvPool:
    def __init__(self, gymnasium_id: str, seeds: Sequence[int], stop: Stop) -> None:
        with silenced():
            import envpool

            folded = [int(seed) & 0x7FFFFFFF for seed in seeds]
            self._pool = envpool.make(
                gymnasium_id, env_type="gymnasium", num_envs=len(folded), num_threads=1, seed=folded
            )
            self.count = len(folded)
            self.observation_size = self._pool.observation_space.shape[0]
            self.actions, self.chooses = int(self._pool.action_space.n), True
        self.failures: dict[int, str] = {}
        self._name, self._stop = gymnasium_id, stop

    def reset(self) -> np.ndarray:
        return self._pool.reset()[0].astype(np.float32, copy=False)

    def step(
        self, actions: np.ndarray, live: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        if self._stop():
            raise Stopped
        numbers = None if live is None else live.astype(np.int32)
        observations, rewards, terminated, truncated, info = self._pool.step(
            actions.astype(np.int32), numbers
        )
        if live is not None and not np.array_equal(info["env_id"], live):
            order = np.argsort(info["env_id"])
            observations, rewards, terminated, truncated = (
                a[order] for a in (observations, rewards, terminated, truncated)
            )
        observations, rewards = (
            observations.astype(np.float32, copy=False),
            rewards.astype(np.float32, copy=False),
        )
        if not (np.isfinite(observations).all() and np.isfinite(rewards).all()):
            raise L0SurgicalError(
                f"EnvPool's {self._name} gave an observation or a reward that is not finite; choose the "
                "engine gymnasium"
            )
        # an episode that ends at its time limit and in a terminal state is terminated
        return observations, rewards, terminated, truncated & ~terminated

    def close(self) -> None:
        self._pool.close()
