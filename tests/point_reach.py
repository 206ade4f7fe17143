"""A small goal environment for the tests: a point in the plane steps to a goal; `PointReach-v0` once this
module is imported.

Episode: 20 steps. Observation: position (2,) and a constant; action (2,): a step of up to 0.1 per axis.
Success: within 0.05 of the goal.
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from l0_surgical.policy import Dense, Field, Layer, Normalizer, Policy
from l0_surgical.tasks import get_task

TASK = "PointReach-v0"


class PointReach(gymnasium.Env):
    def __init__(
        self, render_mode: None = None, nan_at: int | None = None, reports_success: bool = True
    ) -> None:
        self.observation_space = spaces.Dict(
            {
                "observation": spaces.Box(-10, 10, (3,)),
                "achieved_goal": spaces.Box(-10, 10, (2,)),
                "desired_goal": spaces.Box(-10, 10, (2,)),
            }
        )
        self.action_space = spaces.Box(-1, 1, (2,))
        self._nan_at, self._reports_success = nan_at, reports_success

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        super().reset(seed=seed)
        self._position, self._steps = np.zeros(2), 0
        self._goal = self.np_random.uniform(-0.5, 0.5, 2)
        return self._observe(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        self._position = self._position + 0.1 * np.clip(action, -1, 1)
        self._steps += 1
        success = bool(np.linalg.norm(self._position - self._goal) < 0.05)
        info = {"is_success": success} if self._reports_success else {}
        return self._observe(), float(success) - 1.0, False, self._steps == 20, info

    def _observe(self) -> dict[str, np.ndarray]:
        constant = np.nan if self._steps == self._nan_at else 0.7
        return {
            "observation": np.array([*self._position, constant]),
            "achieved_goal": self._position.copy(),
            "desired_goal": self._goal.copy(),
        }


def reaching_policy(hidden: int = 32, noise: float = 0.0, seed: int = 0, gain: float = 5.0) -> Policy:
    """tanh(gain (goal - position)) as a ReLU network of two hidden layers: four units carry it, the others
    add `noise` and fill space."""
    difference = np.array([[-1, 0, 0, 1, 0], [0, -1, 0, 0, 1]], dtype=float)
    fields = (Field("observation", 3, "1"), Field("desired_goal", 2, "1")), (Field("step", 2, "1", -1, 1),)
    return _difference_policy(TASK, fields, difference, Normalizer.identity(5), hidden, noise, seed, gain)


def needle_reach_policy(hidden: int = 32, noise: float = 0.0, seed: int = 0, gain: float = 4.0) -> Policy:
    """The same network for NeedleReach: full speed until the tip is near the goal."""
    task = get_task("needle-reach")
    difference = np.zeros((3, 10))
    difference[:, :3], difference[:, 7:] = -np.eye(3), np.eye(3)
    # the wrist stays above the tip by 0.051, so that much of the difference is no error; one step moves by
    # 0.05
    normalizer = Normalizer(np.array([2.75, 0, 3.5 + 0.051, 0, 0, 0, 0, 2.75, 0, 3.5]), np.full(10, 0.1))
    return _difference_policy(
        "needle-reach", (task.inputs, task.outputs), difference, normalizer, hidden, noise, seed, gain
    )


def _difference_policy(
    task: str,
    fields: tuple,
    difference: np.ndarray,
    normalizer: Normalizer,
    hidden: int,
    noise: float,
    seed: int,
    gain: float,
) -> Policy:
    inputs, outputs = fields
    generator = np.random.default_rng(seed)
    axes, observed = difference.shape
    actions = sum(part.size for part in outputs)
    shapes = ((hidden, observed), (hidden, hidden), (actions, hidden))
    first, second, last = (noise * generator.normal(size=shape) / np.sqrt(shape[1]) for shape in shapes)
    first[: 2 * axes] += np.concatenate([difference, -difference])
    second[: 2 * axes, : 2 * axes] += np.eye(2 * axes)
    last[:axes, : 2 * axes] += gain * np.concatenate([np.eye(axes), -np.eye(axes)], axis=1)
    layers = [
        Layer(Dense(weight), np.zeros(len(weight)), activation)
        for weight, activation in ((first, "relu"), (second, "relu"), (last, "tanh"))
    ]
    count = sum(layer.weight.numbers + layer.bias.size for layer in layers)
    return Policy(task, inputs, outputs, normalizer, tuple(layers), trained_parameters=count)


gymnasium.register("PointReach-v0", entry_point=PointReach, max_episode_steps=20, disable_env_checker=True)
