"""Any task of an installed SurRoL as a Gymnasium environment: `surrol:NeedlePick` and its like.

SurRoL (Xu et al. 2021, github.com/med-air/SurRoL) keeps to the retired `gym` interface and to global state;
it runs in a process of its own (`surrol_worker`), so any number of its tasks can be open beside anything
else.
"""

import os
import subprocess
import sys
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import EzPickle

from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.tasks.checks import finite_vector, known_render_mode

ANSWER_S = 120.0  # opening a task imports and loads for a while; a step takes a tenth of a second
CLOSING_S = 1.0
INSTALL = "pip install -e 'git+https://github.com/med-air/SurRoL#egg=surrol'"
GOAL_KEYS = ("observation", "achieved_goal", "desired_goal")


class SurRoLEnv(gymnasium.Env, EzPickle):
    """A SurRoL task; an episode is a function of its seed alone. Lengths are SurRoL's scaled metres (five
    times life size).

    Goal tasks have a dictionary of observation, achieved_goal and desired_goal and `compute_reward`,
    like `gymnasium_robotics.core.GoalEnv`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(self, name: str, render_mode: str | None = None) -> None:
        """Opens the task `name` without the "surrol:", for example "NeedlePick".

        Raises:
            BadInputError: SurRoL is not installed, has no such task, or the render mode is unknown.
        """
        EzPickle.__init__(self, name, render_mode)
        self.render_mode = known_render_mode(render_mode)
        self._connection, self._process = _start_worker()
        try:
            facts = self._ask("open", name)
        except Exception:
            self.close()
            raise
        self.max_episode_steps = facts["steps"]
        self.spec = EnvSpec(f"surrol:{name}")  # to which TimeLimit adds the limit
        boxes = {
            key: spaces.Box(-np.inf, np.inf, (size,), np.float64) for key, size in facts["sizes"].items()
        }
        self.observation_space = spaces.Dict(boxes) if facts["goal"] else boxes["observation"]
        self.action_space = spaces.Box(-1.0, 1.0, (facts["action"],), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Starts an episode; `options={"desired_goal": ...}` replaces the drawn goal (the objects stay where
        they were drawn).

        Raises:
            BadInputError: the goal does not have the space's shape or is not finite.
        """
        super().reset(seed=seed)
        goal = (options or {}).get("desired_goal")
        if goal is not None:
            if not isinstance(self.observation_space, spaces.Dict):
                raise BadInputError("this SurRoL task has no goal; reset it without desired_goal")
            goal = finite_vector(goal, self.observation_space["desired_goal"].shape[0], "desired_goal")
        return _numeric(self._ask("reset", int(self.np_random.integers(2**32)), goal)), {}

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Moves the arm for 0.2 s; the action is never changed.

        Raises:
            BadInputError: the action does not have the space's shape or is not finite.
        """
        observation, reward, done, info = self._ask(
            "step", finite_vector(action, self.action_space.shape[0], "action")
        )
        if "is_success" in info:
            info["is_success"] = bool(info["is_success"])
        return _numeric(observation), reward, done, False, info

    def compute_reward(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> np.ndarray:
        """Returns SurRoL's reward of achieved goals (..., n) for desired goals (..., n) as (...); `info`
        plays no part."""
        return np.asarray(
            self._ask("reward", np.asarray(achieved_goal), np.asarray(desired_goal)), dtype=np.float64
        )

    def expert_action(self, observation: Any) -> np.ndarray:
        """Returns the action of SurRoL's scripted expert; some experts look at the simulation too, so ask
        before the step."""
        action = np.asarray(self._ask("oracle", observation), dtype=np.float32)
        return np.clip(action, self.action_space.low, self.action_space.high)

    def render(self) -> np.ndarray | None:
        """Returns SurRoL's picture, uint8, (480, 640, 3) but for the camera tasks; None without a render
        mode."""
        return None if self.render_mode is None else np.asarray(self._ask("render"), dtype=np.uint8)

    def close(self) -> None:
        """Ends the worker process; harmless when it has ended already."""
        self._connection.close()
        try:
            self._process.wait(timeout=CLOSING_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, method: str, *arguments: Any) -> Any:
        try:
            self._connection.send((method, arguments))
            if not self._connection.poll(ANSWER_S):
                raise L0SurgicalError(
                    f"the SurRoL process has not answered {method} for {ANSWER_S:g} s; open the task again"
                )
            result, error = self._connection.recv()
        except (OSError, EOFError) as broken:
            raise L0SurgicalError(
                f"the SurRoL process ended during {method}; open the task again"
            ) from broken
        if error is None:
            return result
        kind, message = error
        if kind in ("ModuleNotFoundError", "ImportError"):
            raise BadInputError(
                f"SurRoL is not installed or incomplete ({message}); install it with: {INSTALL}"
            )
        if kind == "KeyError" and method == "open":
            raise BadInputError(f"SurRoL has no task {arguments[0]!r}; it has {message.strip(chr(39))}")
        hint = (
            "; SurRoL was written for NumPy 1, an environment with numpy<2 may help"
            if "numpy" in message
            else ""
        )
        raise L0SurgicalError(
            f"SurRoL failed in {method}: {kind}: {message.splitlines()[0] if message else ''}{hint}"
        )


def make_surrol(name: str, render_mode: str | None = None) -> gymnasium.Env:
    """Returns the SurRoL task `name` with its time limit (50 steps; ActiveTrack 500), which truncates."""
    env = SurRoLEnv(name, render_mode)
    return gymnasium.wrappers.TimeLimit(env, env.max_episode_steps)


def surrol_expert(env: gymnasium.Env, observation: Any) -> np.ndarray:
    """Returns the action of the SurRoL expert of an environment that `make_surrol` made."""
    return env.unwrapped.expert_action(observation)


def _numeric(observation: Any) -> Any:
    if isinstance(observation, dict):
        return {key: np.asarray(observation[key], dtype=np.float64) for key in GOAL_KEYS}
    return np.asarray(observation, dtype=np.float64)


def _start_worker() -> tuple[Connection, subprocess.Popen]:
    ours, theirs = Pipe()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
    command = [sys.executable, "-W", "ignore", "-m", "l0_surgical.tasks.surrol.worker", str(theirs.fileno())]
    process = subprocess.Popen(
        command,
        pass_fds=(theirs.fileno(),),
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    theirs.close()
    return ours, process
