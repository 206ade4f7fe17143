"""Gymnasium environments side by side in one process, each behind the boundary, so that one that fails takes
no other with it."""

from collections.abc import Callable, Sequence

import gymnasium
import numpy as np
from gymnasium import spaces

from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.stopping import Stopped
from l0_surgical.tasks.boundary import (
    CheckedEnvironment,
    Stop,
    close_environment,
    flatten_observation,
    never,
    open_environment,
)


class SideBySide:
    """A `VectorEnvironment` of environments that `make` makes."""

    def __init__(
        self, name: str, make: Callable[[], gymnasium.Env], seeds: Sequence[int], stop: Stop = never
    ) -> None:
        """Opens one environment of the task `name` for each seed.

        Raises:
            BadInputError: none can be made, there is no time limit, or its observation or actions are of
                another kind.
        """
        self.count, self.failures = len(seeds), {}
        self._stop, self._seeds = stop, [int(seed) for seed in seeds]
        self._names = [f"environment {number} (seed {seed})" for number, seed in enumerate(seeds)]
        self._environments: dict[int, CheckedEnvironment] = {}
        self._over, self._opened = np.zeros(self.count, np.bool_), False
        try:
            for number in range(self.count):
                self._open(number, name, make)
            first = next(iter(self._environments.values()))
            self.observation_size = _observation_size(name, first.observation_space)
            self.actions, self.chooses, self._start = _actions(name, first.action_space)
        except BaseException:
            self.close()
            raise

    def reset(self) -> np.ndarray:
        """See `VectorEnvironment`."""
        observations = np.zeros((self.count, self.observation_size), np.float32)
        for number in list(self._environments):
            observations[number] = self._first_observation(number)
        self._over[:], self._opened = False, True
        return observations

    def step(
        self, actions: np.ndarray, live: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """See `VectorEnvironment`."""
        numbers = range(self.count) if live is None else live.tolist()
        observations = np.zeros((len(numbers), self.observation_size), np.float32)
        rewards, terminated, truncated = (
            np.zeros(len(numbers), np.float32),
            *np.zeros((2, len(numbers)), np.bool_),
        )
        given = (actions + self._start).tolist() if self.chooses else actions
        for place, (number, action) in enumerate(zip(numbers, given, strict=True)):
            environment = self._environments.get(number)
            if environment is None:
                continue
            if self._stop():
                raise Stopped
            try:
                if self._over[number]:
                    observation, reward, ended, cut = (
                        environment.reset(None, self._names[number]),
                        0.0,
                        False,
                        False,
                    )
                else:
                    observation, reward, ended, cut, _ = environment.step(action)
            except L0SurgicalError as error:
                self._fail(number, error)
                continue
            observations[place], rewards[place] = flatten_observation(observation), reward
            terminated[place], truncated[place] = ended, cut and not ended
            self._over[number] = ended or cut
        return observations, rewards, terminated, truncated

    def close(self) -> None:
        """See `VectorEnvironment`."""
        for environment in self._environments.values():
            close_environment(environment)

    def _open(self, number: int, name: str, make: Callable[[], gymnasium.Env]) -> None:
        try:
            self._environments[number] = CheckedEnvironment(open_environment(name, make), name)
        except L0SurgicalError as error:
            self.failures[number] = str(error)
            if len(self.failures) == self.count:
                raise

    def _first_observation(self, number: int) -> np.ndarray:
        seed = None if self._opened else self._seeds[number]
        try:
            return flatten_observation(self._environments[number].reset(seed, self._names[number]))
        except L0SurgicalError as error:
            self._fail(number, error)
            return np.zeros(self.observation_size)

    def _fail(self, number: int, error: L0SurgicalError) -> None:
        self.failures[number] = str(error)
        close_environment(self._environments.pop(number))


def _observation_size(name: str, space: spaces.Space) -> int:
    """Numbers in the policy's input."""
    is_goal_task = isinstance(space, spaces.Dict)
    parts = [space[key] for key in ("observation", "desired_goal")] if is_goal_task else [space]
    if not all(isinstance(part, spaces.Box) and len(part.shape) == 1 for part in parts):
        raise BadInputError(f"{name} observes {space}; a vector observation is needed")
    return sum(part.shape[0] for part in parts)


def _actions(name: str, space: spaces.Space) -> tuple[int, bool, int]:
    """How many choices or numbers there are, whether it is a choice, and the number of the first choice."""
    if isinstance(space, spaces.Discrete):
        return int(space.n), True, int(space.start)
    if (
        isinstance(space, spaces.Box)
        and len(space.shape) == 1
        and np.all(space.low == -1)
        and np.all(space.high == 1)
    ):
        return space.shape[0], False, 0
    raise BadInputError(
        f"{name} takes {space}; discrete actions or a vector in [-1, 1] are needed: put "
        "gymnasium.wrappers.RescaleAction(..., -1, 1) around it"
    )
