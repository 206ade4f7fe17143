"""The classic suite as vector environments: CartPole-v1, Acrobot-v1, LunarLander-v3; by EnvPool where it is
installed, else Gymnasium.

Both engines end an episode alike: the step that ends it returns its true last observation with `terminated`
or `truncated`, and the environment's next step ignores its action and returns the first observation of a new
episode with reward 0. EnvPool and Gymnasium draw start states differently, so one seed gives other episodes
in each, of the same distribution.

LunarLander: the paper used v2, which Gymnasium has retired. v3 is used in both engines; without wind, which
is off by default, only the version number differs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Literal, Protocol

import gymnasium
import numpy as np

from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.stopping import Stopped
from l0_surgical.tasks.boundary import Stop, never
from l0_surgical.tasks.quiet import silenced
from l0_surgical.tasks.side_by_side import SideBySide

Engine = Literal["auto", "envpool", "gymnasium"]
ENGINES: tuple[Engine, ...] = ("auto", "envpool", "gymnasium")


@dataclass(frozen=True)
class ClassicTask:
    """A task of the suite.

    Attributes:
        gymnasium_id: the same in EnvPool.
        target: the paper's target return (Goddla 2024, Table 1).
        fields: name and unit of each entry of the observation.
        scale: an observation divided by it is of order one; the policies' normaliser.
        actions: what each action does.
    """

    gymnasium_id: str
    target: float
    fields: tuple[tuple[str, str], ...]
    scale: tuple[float, ...]
    actions: tuple[str, ...]


CLASSIC: dict[str, ClassicTask] = {
    "cartpole": ClassicTask(
        "CartPole-v1",
        500.0,
        (("cart_position", "m"), ("cart_velocity", "m/s"), ("pole_angle", "rad"), ("pole_velocity", "rad/s")),
        (2.4, 2.0, 0.2, 2.0),
        ("push_left", "push_right"),
    ),
    "acrobot": ClassicTask(
        "Acrobot-v1",
        -100.0,
        (
            *(("cos_angle_1", "1"), ("sin_angle_1", "1"), ("cos_angle_2", "1"), ("sin_angle_2", "1")),
            *(("velocity_1", "rad/s"), ("velocity_2", "rad/s")),
        ),
        (1.0, 1.0, 1.0, 1.0, 4.0, 8.0),
        ("torque_minus_1", "torque_0", "torque_plus_1"),
    ),
    "lunar-lander": ClassicTask(
        "LunarLander-v3",
        200.0,
        (
            *(
                ("x", "half width of the viewport"),
                ("y", "half height of the viewport"),
                ("velocity_x", "1"),
                ("velocity_y", "1"),
            ),
            *(
                ("angle", "rad"),
                ("angular_velocity", "1"),
                ("left_leg_contact", "1"),
                ("right_leg_contact", "1"),
            ),
        ),
        (1.0,) * 8,
        ("nothing", "left_engine", "main_engine", "right_engine"),
    ),
}


class VectorEnvironment(Protocol):
    """N environments side by side, each seeded on its own.

    Attributes:
        count: N.
        observation_size: numbers in an observation.
        actions: how many choices there are.
        failures: causes by number of the environments that failed; from then on one gives zeros and no end.
    """

    count: int
    observation_size: int
    actions: int
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
    if engine == "gymnasium" or (engine == "auto" and (name not in CLASSIC or find_spec("envpool") is None)):
        return "gymnasium"
    if name not in CLASSIC:
        raise BadInputError(
            f"EnvPool is used for {', '.join(CLASSIC)} only; open {name} with the engine gymnasium"
        )
    if find_spec("envpool") is None:
        raise BadInputError("EnvPool is not installed; pip install envpool, or choose the engine gymnasium")
    return "envpool"


def open_vector(
    name: str, seeds: Sequence[int], engine: Engine = "auto", stop: Stop = never
) -> VectorEnvironment:
    """Opens one environment for each seed.

    Args:
        name: `cartpole`, `acrobot`, `lunar-lander`, or a Gymnasium id with a vector observation and discrete
            actions.
        seeds: in [0, 2^31) for EnvPool; larger ones are folded into that range.
        engine: `auto` takes EnvPool where it is installed (3 to 40 times as fast).
        stop: whether the caller wants to stop.

    Raises:
        BadInputError: an unknown task, one without a time limit, or one whose actions are not a choice or
        whose observation is no vector.
    """
    gymnasium_id = CLASSIC[name].gymnasium_id if name in CLASSIC else name
    if vector_engine(name, engine) == "envpool":
        return _EnvPool(gymnasium_id, seeds, stop)
    return SideBySide(
        gymnasium_id, partial(gymnasium.make, gymnasium_id, disable_env_checker=True), seeds, stop
    )


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
            self.actions = int(self._pool.action_space.n)
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
