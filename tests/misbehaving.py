"""Environments that do one thing wrong, at one step of the episodes with one seed; importing this module
registers both.

`misbehaving/Line-v0`: three numbers, two actions, 20 steps. `misbehaving/Goal-v0`: a point that steps to a
goal, 10 steps, with an expert. Keyword arguments of both: `fault`, one of `STEP_FAULTS` and `RESET_FAULTS` or
"making"; `seed` of the episodes that have it (None: all); `step` that has it; `while_there`: it is left out
once that file is gone; `once`: it takes that file away.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from l0_surgical.policy import Dense, Field, Layer, Normalizer, Policy
from l0_surgical.tasks import Task, get_task

LINE, GOAL = "misbehaving/Line-v0", "misbehaving/Goal-v0"


def _raise(error: BaseException) -> None:
    raise error


def _observed(returned: tuple, observation: Any) -> tuple:
    return observation, *returned[1:]


def _with(place: int, value: Any) -> Callable[[tuple], tuple]:
    return lambda returned: (*returned[:place], value, *returned[place + 1 :])


def _each(observation: Any, change: Callable[[np.ndarray], Any]) -> Any:
    """The observation with its first vector changed."""
    return (
        {**observation, "observation": change(observation["observation"])}
        if isinstance(observation, dict)
        else change(observation)
    )


# what step returns instead of its five values
STEP_FAULTS: dict[str, Callable[[tuple], Any]] = {
    "raises": lambda returned: _raise(RuntimeError("lost the\nphysics server")),
    "panics": lambda returned: _raise(BaseException("a foreign library's own")),
    "interrupts": lambda returned: _raise(KeyboardInterrupt()),
    "nan": lambda returned: _observed(
        returned, _each(returned[0], lambda v: np.where(np.arange(v.size) == 1, np.nan, v))
    ),
    "huge": lambda returned: _observed(
        returned, _each(returned[0], lambda v: np.where(np.arange(v.size) == 1, 1e39, v))
    ),
    "longer": lambda returned: _observed(returned, _each(returned[0], lambda v: np.append(v, 0.0))),
    "shorter": lambda returned: _observed(returned, _each(returned[0], lambda v: v[:1])),
    "text": lambda returned: _observed(returned, "nothing to see"),
    "ragged": lambda returned: _observed(returned, [[1.0], [2.0, 3.0], 4.0]),
    "none": lambda returned: None,
    "four values": lambda returned: (*returned[:2], False, {}),
    "reward nan": _with(1, np.nan),
    "reward huge": _with(1, 1e39),
    "reward array": _with(1, np.ones(1)),
    "reward none": _with(1, None),
    "terminated number": _with(2, 0.5),
    "truncated none": _with(3, None),
    "info list": _with(4, ["fine"]),
    "success text": _with(4, {"is_success": "yes"}),
    "success list": _with(4, {"is_success": [True, False]}),
    # these two return what they should, but ...
    "sleeps": lambda returned: (time.sleep(0.1), returned)[1],
    "signals": lambda returned: (os.kill(os.getpid(), signal.SIGTERM), returned)[1],
    "kills": lambda returned: os.kill(os.getpid(), signal.SIGKILL),
    "exits": lambda returned: os._exit(7),
}
# what reset returns instead of its two values
RESET_FAULTS: dict[str, Callable[[tuple], Any]] = {
    "reset raises": lambda returned: _raise(OSError("no such device")),
    "reset nan": lambda returned: _observed(returned, _each(returned[0], lambda v: v * np.nan)),
    "reset alone": lambda returned: returned[0],
    "reset list": lambda returned: [*returned],
}


class _Misbehaving(gymnasium.Env):
    opened, closed, stepped = 0, 0, 0
    """How many of this class were opened and closed in this process, and how many steps they took."""

    def __init__(
        self,
        fault: str | None = None,
        seed: int | None = None,
        step: int = 3,
        while_there: Path | None = None,
        once: bool = False,
    ) -> None:
        type(self).opened += 1
        self._fault, self._at, self._while_there, self._once = fault, (seed, step), while_there, once
        if fault == "making" and self._is_there():
            raise ModuleNotFoundError("No module named 'simulator'; run `pip install simulator`")

    def _is_there(self) -> bool:
        if self._while_there is None or not self._while_there.exists():
            return self._while_there is None
        if self._once:
            self._while_there.unlink()
        return True

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self._seed, self._steps = seed, 0
        self._begin()
        here = self._fault in RESET_FAULTS and self._at[0] in (None, seed) and self._is_there()
        return RESET_FAULTS[self._fault]((self._observe(), {})) if here else (self._observe(), {})

    def step(self, action: Any) -> Any:
        type(self).stepped += 1
        self._steps += 1
        returned = self._move(action)
        here = self._at[0] in (None, self._seed) and self._steps == self._at[1] and self._is_there()
        return (
            STEP_FAULTS[self._fault](returned)
            if self._fault == "sleeps" or (here and self._fault in STEP_FAULTS)
            else returned
        )

    def close(self) -> None:
        type(self).closed += 1


class Line(_Misbehaving):
    """Action 1 pays more than action 0 where the first number is above 0."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.observation_space, self.action_space = (
            spaces.Box(-np.inf, np.inf, (3,), np.float64),
            spaces.Discrete(2),
        )

    def _begin(self) -> None:
        self._place = self.np_random.normal(size=3)

    def _observe(self) -> np.ndarray:
        return self._place.copy()

    def _move(self, action: int) -> tuple:
        self._place = self._place + 0.1 * (action - 0.5)
        return self._observe(), float(action == (self._place[0] > 0)), False, False, {}


class Goal(_Misbehaving):
    """A step of up to 0.1 per axis; success within 0.05 of the goal."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        box = spaces.Box(-10.0, 10.0, (2,), np.float64)
        self.observation_space = spaces.Dict({"observation": box, "achieved_goal": box, "desired_goal": box})
        self.action_space = spaces.Box(-1.0, 1.0, (2,))

    def _begin(self) -> None:
        self._place, self._goal = np.zeros(2), self.np_random.uniform(-0.5, 0.5, 2)

    def _observe(self) -> dict[str, np.ndarray]:
        return {
            "observation": self._place.copy(),
            "achieved_goal": self._place.copy(),
            "desired_goal": self._goal.copy(),
        }

    def _move(self, action: np.ndarray) -> tuple:
        self._place = self._place + 0.1 * np.clip(action, -1, 1)
        reward = float(self.compute_reward(self._place, self._goal, {}))
        return self._observe(), reward, False, False, {"is_success": reward == 0}

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: dict) -> np.ndarray:
        return (np.linalg.norm(np.asarray(achieved_goal) - desired_goal, axis=-1) < 0.05) - 1.0


def expert(environment: gymnasium.Env, observation: dict[str, np.ndarray]) -> np.ndarray:
    return np.clip(10 * (observation["desired_goal"] - observation["achieved_goal"]), -0.5, 0.5).astype(
        np.float32
    )


def register(base: str, name: str, *, steps: int | None = 0, **options: Any) -> str:
    """Registers an environment with a fault; returns its id. `steps`: another time limit, or None for
    none."""
    kind, usual = (Line, 20) if base == LINE else (Goal, 10)
    gymnasium.registry.pop(f"misbehaving/{name}-v0", None)  # of another test
    gymnasium.register(
        f"misbehaving/{name}-v0", kind, max_episode_steps=usual if steps == 0 else steps, kwargs=options
    )
    return f"misbehaving/{name}-v0"


def goal_task(gymnasium_id: str = GOAL) -> Task:
    """A goal task with its expert, which a registered id alone does not have."""
    task = get_task(gymnasium_id)
    return Task(task.name, task.make, expert, task.inputs, task.outputs)


def line_policy(task: str = LINE) -> Policy:
    """Takes action 1 where the first number is above 0."""
    layer = Layer(Dense(np.array([[0.0, 0, 0], [1.0, 0, 0]])), [0, 0], "linear")
    return Policy(
        task,
        (Field("observation", 3, "1"),),
        (Field("value", 2, "1"),),
        Normalizer.identity(3),
        (layer,),
        trained_parameters=8,
    )


register(LINE, "Line")
register(GOAL, "Goal")
