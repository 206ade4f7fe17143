"""One SurRoL environment in a process of its own: `python -m l0_surgical.tasks.surrol.worker DESCRIPTOR`.

SurRoL cannot share a process with other simulations: it speaks to PyBullet's first client whoever owns it,
draws from NumPy's global generator, and prints. Here it has all three to itself. The parent sends (method,
arguments) and gets (result, None) or (None, error line).
"""

import importlib
import os
import sys
from multiprocessing.connection import Connection
from typing import Any

import numpy as np


class Requests:
    """The requests that a parent can make; each public method is one."""

    def open(self, name: str) -> dict[str, Any]:
        """Builds the task `name` ("NeedlePick", with or without a version) and returns its sizes and its time
        limit.

        Raises:
            ImportError: SurRoL, or something that it needs, is not installed.
            KeyError: SurRoL has no such task; the message lists those that it has.
        """
        np.float = float  # noqa: NPY001 (SurRoL's camera tasks use what NumPy 1.24 took away)
        import surrol.gym  # noqa: F401 (registers the tasks)
        from gym.envs.registration import registry

        known = getattr(registry, "env_specs", registry)  # gym before 0.26 wraps the dictionary
        specs = {
            key.split("-v")[0]: spec
            for key, spec in known.items()
            if str(spec.entry_point).startswith("surrol.")
        }
        if name.split("-v")[0] not in specs:
            raise KeyError(", ".join(f"surrol:{task}" for task in sorted(specs)))
        spec = specs[name.split("-v")[0]]
        module, attribute = spec.entry_point.split(":")
        self._env = getattr(importlib.import_module(module), attribute)()
        space = self._env.observation_space
        goal = hasattr(space, "spaces")
        sizes = (
            {key: part.shape[0] for key, part in space.spaces.items()}
            if goal
            else {"observation": space.shape[0]}
        )
        return {
            "sizes": sizes,
            "goal": goal,
            "action": self._env.action_space.shape[0],
            "steps": spec.max_episode_steps,
        }

    def reset(self, seed: int, goal: np.ndarray | None) -> Any:
        """Starts the episode that `seed` determines; a given goal replaces the drawn one."""
        np.random.seed(seed)  # noqa: NPY002 (SurRoL draws from the global generator)
        # SurRoL forgets to forget that the last episode ended with the needle in the jaws.
        self._env._activated = -1
        observation = self._env.reset()
        if goal is not None:
            self._env.goal = goal
            self._env._sample_goal_callback()
            observation["desired_goal"] = goal
        return observation

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, dict[str, Any]]:
        """Moves the arm; returns observation, reward, done, info."""
        observation, reward, done, info = self._env.step(action)
        return (
            observation,
            float(reward),
            bool(done),
            {key: float(value) for key, value in info.items() if value is not None},
        )

    def reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray) -> np.ndarray:
        """Returns SurRoL's reward of goals (..., n) as (...)."""
        return self._env.compute_reward(achieved_goal, desired_goal, {})

    def oracle(self, observation: Any) -> np.ndarray:
        """Returns the action of SurRoL's scripted expert."""
        return self._env.get_oracle_action(observation)

    def render(self) -> np.ndarray:
        """Returns a picture (height, width, 3), uint8."""
        return np.asarray(self._env.render("rgb_array"))


def serve(connection: Connection) -> None:
    """Answers requests until the parent hangs up."""
    worker = Requests()
    while True:
        try:
            method, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = (getattr(worker, method)(*arguments), None)
        except Exception as error:  # the parent raises it again, in its own words
            answer = (None, (type(error).__name__, str(error)))
        connection.send(answer)


def main() -> None:
    """Serves the connection whose file descriptor is the first argument; SurRoL's chatter goes nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with Connection(int(sys.argv[1])) as connection:
        serve(connection)


if __name__ == "__main__":
    main()
