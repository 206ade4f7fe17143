"""A goal task in three variants for the tests of training: a point in the plane steps to a goal, 20 steps of
up to 0.1 per axis."""

from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from l0_surgical.algorithms.goal_cohort import GoalCohort, GoalProblem, make_goal_problem
from l0_surgical.policy import Field
from l0_surgical.settings.training import MemberSpec, TrainingConfig
from l0_surgical.tasks import Task
from tests.small import small_config

RADIUS, STEPS = 0.05, 20


class Reach(gymnasium.Env):
    """The reward is `at_goal` within the radius and 1 less elsewhere; an episode never terminates."""

    def __init__(self, render_mode: None = None, at_goal: float = 0.0, reports_success: bool = True) -> None:
        box = spaces.Box(-10, 10, (2,), np.float64)
        self.observation_space = spaces.Dict({"observation": box, "achieved_goal": box, "desired_goal": box})
        self.action_space = spaces.Box(-1.0, 1.0, (2,))
        self._at_goal, self._reports_success = at_goal, reports_success

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self._position, self._goal = np.zeros(2), self.np_random.uniform(-0.5, 0.5, 2)
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self._position = self._position + 0.1 * np.clip(action, -1, 1)
        reward = float(self.compute_reward(self._position, self._goal, {}))
        info = {"is_success": reward == self._at_goal} if self._reports_success else {}
        return self._observe(), reward, self._ends(reward), False, info

    def compute_reward(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: dict[str, Any]
    ) -> np.ndarray:
        return (
            (np.linalg.norm(np.asarray(achieved_goal) - desired_goal, axis=-1) < RADIUS) - 1.0 + self._at_goal
        )

    def _ends(self, reward: float) -> bool:
        return False

    def _observe(self) -> dict[str, np.ndarray]:
        return {
            "observation": self._position.copy(),
            "achieved_goal": self._position.copy(),
            "desired_goal": self._goal.copy(),
        }


class EndingReach(Reach):
    """An episode terminates at its goal; nobody says so of other goals."""

    def _ends(self, reward: float) -> bool:
        return reward == self._at_goal


class RuledReach(EndingReach):
    """The same, with the rule."""

    def compute_terminated(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: dict[str, Any]
    ) -> bool:
        return bool(np.linalg.norm(achieved_goal - desired_goal) < RADIUS)


for kind in (Reach, EndingReach, RuledReach):
    gymnasium.register(f"test/{kind.__name__}-v0", kind, max_episode_steps=STEPS, disable_env_checker=True)


def expert(environment: gymnasium.Env, observation: dict[str, np.ndarray]) -> np.ndarray:
    """Goes straight to the goal at half speed."""
    return np.clip(10 * (observation["desired_goal"] - observation["achieved_goal"]), -0.5, 0.5).astype(
        np.float32
    )


def reach_task(kind: type[Reach] = Reach, **settings: Any) -> Task:
    """A variant, with its expert."""
    name = f"test/{kind.__name__}-v0"
    fields = (
        (Field("position", 2, "m"), Field("desired_goal", 2, "m")),
        (Field("step", 2, "0.1 m", -1.0, 1.0),),
    )
    return Task(name, partial(gymnasium.make, name, **settings), expert, *fields)


def reach_cohort(task: Task, folder: Path, members: int = 2, **changes: Any) -> GoalCohort:
    """Dense members on it."""
    config, problem = reach_problem(task, folder, **changes)
    return GoalCohort(config, [MemberSpec(seed, "none", 0.0) for seed in range(members)], problem)


def reach_problem(task: Task, folder: Path, **changes: Any) -> tuple[TrainingConfig, GoalProblem]:
    """Small settings and the opened task."""
    config = small_config(task=task.name, **changes)
    return config, make_goal_problem(config, task, folder / "demonstrations.npz", lambda text: None)
