"""Records the episodes of a goal environment as they are played."""

from typing import Any

import gymnasium
import numpy as np

from l0_surgical.algorithms.replay.goal_rules import GoalTransitions
from l0_surgical.algorithms.replay.hindsight import Episode
from l0_surgical.system.errors import L0SurgicalError

_PARTS = ("observation", "achieved_goal", "desired_goal")


class EpisodeRecorder(gymnasium.Wrapper):
    """Passes everything through and keeps the current episode for replay.

    What it keeps are copies: an environment may overwrite the arrays that it has given, and the action that
    it was given.

    Attributes:
        last_observation: the observation dictionary most recently returned.
        broken: whether `env` has failed and must be opened anew.
    """

    broken = False

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict, dict]:
        """Starts a new episode and forgets the one before."""
        observation, info = self.env.reset(seed=seed, options=options)
        self.last_observation = observation
        self._observations, self._actions = [_copied(observation)], []
        self._rewards, self._terminated = [], []
        return observation, info

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict[str, Any]]:
        """One step of the environment."""
        self._actions.append(np.array(action))
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.last_observation = observation
        self._observations.append(_copied(observation))
        self._rewards.append(reward)
        self._terminated.append(bool(terminated))
        return observation, reward, terminated, truncated, info

    def episode(self) -> Episode:
        """What has been played since the last reset.

        Raises:
            L0SurgicalError: the goal moved: replay holds one goal for each episode.
        """
        goals = np.array([o["desired_goal"] for o in self._observations])
        if (moved := np.flatnonzero((goals != goals[0]).any(axis=1))).size:
            raise L0SurgicalError(
                f"the desired goal moved at step {moved[0]} of the episode; hindsight replay needs goals "
                "that stay"
            )
        return Episode(
            observations=np.array([o["observation"] for o in self._observations], np.float32),
            achieved_goals=np.array([o["achieved_goal"] for o in self._observations], np.float32),
            actions=np.array(self._actions, np.float32),
            desired_goal=np.array(self._observations[0]["desired_goal"], np.float32),
            terminated=self._terminated[-1],
        )

    def transitions(self) -> GoalTransitions:
        """The goals, rewards and ends of what `episode` gives, in the environment's own precision."""
        after = self._observations[1:]
        return GoalTransitions(
            achieved=np.array([o["achieved_goal"] for o in after]),
            desired=np.array([o["desired_goal"] for o in after]),
            rewards=np.array(self._rewards, np.float64).reshape(-1),
            terminated=np.array(self._terminated, np.bool_),
        )


def _copied(observation: dict) -> dict:
    """Environments may hand out the same arrays at every step."""
    return {part: np.array(observation[part]) for part in _PARTS}
