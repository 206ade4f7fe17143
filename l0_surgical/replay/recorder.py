"""Records the episodes of a goal environment as they are played."""

from typing import Any

import gymnasium
import numpy as np

from l0_surgical.replay.hindsight import Episode


class Recorder(gymnasium.Wrapper):
    """Passes everything through and keeps the current episode for replay.

    Attributes:
        last_observation: the observation dictionary most recently returned.
        broken: whether `env` has failed and must be opened anew.
    """

    broken = False

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        """Starts a new episode and forgets the one before."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.last_observation = observation
        self._observations, self._actions, self._terminated = [_copy(observation)], [], False
        return observation, info

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict[str, Any]]:
        """One step of the environment."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.last_observation = observation
        self._observations.append(_copy(observation))
        self._actions.append(np.array(action))
        self._terminated = bool(terminated)
        return observation, reward, terminated, truncated, info

    def episode(self) -> Episode:
        """What has been played since the last reset."""
        return Episode(
            observations=np.array([o["observation"] for o in self._observations], np.float32),
            achieved_goals=np.array([o["achieved_goal"] for o in self._observations], np.float32),
            actions=np.array(self._actions, np.float32),
            desired_goal=np.array(self._observations[0]["desired_goal"], np.float32),
            terminated=self._terminated,
        )


def _copy(observation: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """An environment may write its next observation over its last."""
    return {key: np.array(observation[key]) for key in ("observation", "achieved_goal", "desired_goal")}
