"""What a goal task's rules are worth (D18, D50): a point in the plane learns to reach a goal, with its
episodes and rewards in variants.

    python benchmarks/goal_rules.py [--seeds 12]

The task is that of docs/extending.md: 20 steps of up to 0.1 per axis, success within 0.05. Dense DDPG of two
layers of 32 units, 150 episodes, 20 demonstrations; 100 unseen episodes per seed. About half a minute per
variant on one core.
"""

import argparse
import json
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from l0_surgical.algorithms.goal_cohort import GoalCohort, make_goal_problem
from l0_surgical.evaluation import Evaluation, episode_seeds, policy_act, rollouts
from l0_surgical.policy import Field
from l0_surgical.settings.ddpg import DDPGConfig
from l0_surgical.settings.training import TrainingConfig
from l0_surgical.tasks import Task
from l0_surgical.training import set_threads

RADIUS = 0.05


class Reach(gymnasium.Env):
    """The rewards are `elsewhere` and `at_goal`."""

    def __init__(self, elsewhere: float, at_goal: float, render_mode: None = None) -> None:
        box = spaces.Box(-10, 10, (2,), np.float64)
        self.observation_space = spaces.Dict({"observation": box, "achieved_goal": box, "desired_goal": box})
        self.action_space = spaces.Box(-1.0, 1.0, (2,))
        self._elsewhere, self._at_goal = elsewhere, at_goal

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self._position, self._goal = np.zeros(2), self.np_random.uniform(-0.5, 0.5, 2)
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self._position = self._position + 0.1 * np.clip(action, -1, 1)
        reward = float(self.compute_reward(self._position, self._goal, {}))
        success = reward == self._at_goal
        return self._observe(), reward, self._ends(success), False, {"is_success": success}

    def compute_reward(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: dict[str, Any]
    ) -> np.ndarray:
        return np.where(
            np.linalg.norm(achieved_goal - desired_goal, axis=-1) < RADIUS, self._at_goal, self._elsewhere
        )

    def _ends(self, success: bool) -> bool:
        return False

    def _observe(self) -> dict[str, np.ndarray]:
        return {
            "observation": self._position.copy(),
            "achieved_goal": self._position.copy(),
            "desired_goal": self._goal.copy(),
        }


class Ending(Reach):
    """Episodes terminate at the goal."""

    def _ends(self, success: bool) -> bool:
        return success


class Ruled(Ending):
    """The same, and the task says so of any goal."""

    def compute_terminated(
        self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: dict[str, Any]
    ) -> bool:
        return bool(np.linalg.norm(achieved_goal - desired_goal) < RADIUS)


for environment in (Reach, Ending, Ruled):
    gymnasium.register(
        f"benchmark/{environment.__name__}-v0", environment, max_episode_steps=20, disable_env_checker=True
    )

VARIANTS: dict[str, tuple[type[Reach], float, float]] = {
    "goes on, rewards -1 and 0": (Reach, -1.0, 0.0),
    "goes on, rewards 0 and 1": (Reach, 0.0, 1.0),
    "ends at the goal, no rule: as stored": (Ending, -1.0, 0.0),
    "ends at the goal, compute_terminated": (Ruled, -1.0, 0.0),
    "ends at the goal, compute_terminated, rewards 0 and 1": (Ruled, 0.0, 1.0),
    "ends at the goal, compute_terminated, rewards 0 and 10": (Ruled, 0.0, 10.0),
}


def expert(environment: gymnasium.Env, observation: dict[str, np.ndarray]) -> np.ndarray:
    """Straight to the goal at half speed."""
    return np.clip(10 * (observation["desired_goal"] - observation["achieved_goal"]), -0.5, 0.5).astype(
        np.float32
    )


def success_rates(kind: type[Reach], elsewhere: float, at_goal: float, seeds: int) -> list[float]:
    """The success of every seed's policy."""
    name = f"benchmark/{kind.__name__}-v0"
    fields = (
        (Field("position", 2, "m"), Field("desired_goal", 2, "m")),
        (Field("step", 2, "0.1 m", -1.0, 1.0),),
    )
    task = Task(name, partial(gymnasium.make, name, elsewhere=elsewhere, at_goal=at_goal), expert, *fields)
    ddpg = DDPGConfig(hidden=(32, 32), updates_per_episode=20, discount=0.9)
    config = TrainingConfig(
        task=task.name,
        episodes=150,
        demonstration_episodes=20,
        regularizer=("none",),
        seeds=seeds,
        algorithm=ddpg,
    )
    with tempfile.TemporaryDirectory() as folder:
        cohort = GoalCohort(
            config,
            config.members(),
            make_goal_problem(config, task, Path(folder) / "d.npz", lambda text: None),
        )
    for episode in range(config.episodes):
        cohort.train_round(episode)
    environment, episodes = task.make(), episode_seeds("test", 0, 100)
    acts = [policy_act(cohort.policy(index), environment, task.name) for index in range(seeds)]
    return [Evaluation.of(task.name, 0, rollouts(act, environment, episodes)).success_rate for act in acts]


def main() -> None:
    """Prints one line per variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=12)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", message=".*can terminate, but it has no compute_terminated")
    set_threads(1)
    for name, variant in VARIANTS.items():
        rates = success_rates(*variant, arguments.seeds)
        print(
            json.dumps(
                {
                    "variant": name,
                    "mean": round(float(np.mean(rates)), 3),
                    "worst": min(rates),
                    "seeds": rates,
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
