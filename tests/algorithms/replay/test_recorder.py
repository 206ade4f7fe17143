"""What is recorded is what was played, whatever the environment does with its arrays."""

import gymnasium
import numpy as np
import pytest

from l0_surgical.algorithms.replay import EpisodeRecorder
from l0_surgical.system.errors import L0SurgicalError
from tests.goal_tasks import Reach


class Reusing(Reach):
    """Hands out the same arrays at every step."""

    def step(self, action: np.ndarray) -> tuple:
        observation, *rest = super().step(action)
        for part, values in observation.items():
            self._given[part][:] = values
        return self._given, *rest

    def reset(self, **options: object) -> tuple:
        self._given, info = super().reset(**options)
        return self._given, info


class Moving(Reach):
    """Its goal moves at the third step."""

    def step(self, action: np.ndarray) -> tuple:
        self.count = getattr(self, "count", 0) + 1
        self._goal = self._goal + 0.01 * (self.count == 3)
        return super().step(action)


def recorded(environment: gymnasium.Env) -> EpisodeRecorder:
    recorder = EpisodeRecorder(environment)
    recorder.reset(seed=0)
    for _ in range(5):
        recorder.step(np.array([1.0, -1.0], np.float32))
    return recorder


def test_arrays_that_are_used_again_are_copied() -> None:
    expected = np.outer(np.arange(6), [0.1, -0.1])
    for recorder in (recorded(Reach()), recorded(Reusing())):
        np.testing.assert_allclose(recorder.episode().observations, expected, atol=1e-6)
        np.testing.assert_allclose(recorder.transitions().achieved, expected[1:])
        assert recorder.transitions().rewards.tolist() == [-1.0] * 5


def test_a_goal_that_moves_is_refused() -> None:
    with pytest.raises(L0SurgicalError, match="desired goal moved at step 3"):
        recorded(Moving()).episode()
