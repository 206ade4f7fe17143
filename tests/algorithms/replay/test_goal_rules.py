"""The rules of a goal task: what hindsight replay asks of it, and what it refuses."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from l0_surgical.algorithms.replay import EpisodeRecorder, GoalRules
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from tests.goal_tasks import EndingReach, Reach, RuledReach, expert, reach_task

core = pytest.importorskip("gymnasium_robotics.core")


def played(environment: gymnasium.Env) -> EpisodeRecorder:
    """An episode of the expert."""
    recorder, over = EpisodeRecorder(environment), False
    observation, _ = recorder.reset(seed=3)
    while not over:
        observation, _, terminated, truncated, _ = recorder.step(expert(recorder, observation))
        over = terminated or truncated or len(recorder.episode().actions) == 20
    return recorder


def refusal(environment: gymnasium.Env) -> str:
    recorder = played(environment)
    with pytest.raises(BadInputError) as caught:
        GoalRules(recorder, "odd").check(recorder.transitions())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", [Reach, EndingReach, RuledReach])
def test_a_task_that_keeps_its_rules_passes(kind: type[Reach]) -> None:
    recorder = played(reach_task(kind).make())
    rules = GoalRules(recorder, "reach")
    rules.check(recorder.transitions())
    assert rules.has_end == (kind is RuledReach)
    goals = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 2, 50, 2))
    achieved = np.zeros_like(goals)
    near = np.linalg.norm(goals, axis=-1) < 0.05
    np.testing.assert_array_equal(rules.rewards(achieved, goals), near - np.float32(1))
    if kind is RuledReach:  # its rule knows single goals only, as Gymnasium-Robotics' do
        np.testing.assert_array_equal(rules.terminated(achieved, goals), near)
    else:
        assert rules.terminated(achieved, goals) is None


def test_the_rule_that_goal_env_leaves_open_is_none() -> None:
    class Open(core.GoalEnv):
        def compute_reward(self, achieved_goal: Any, desired_goal: Any, info: Any) -> Any:
            return 0.0

    assert not GoalRules(Open(), "open").has_end


def test_a_wrapper_may_bring_the_rule() -> None:
    class Ruled(gymnasium.Wrapper):
        def compute_terminated(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> bool:
            return bool(np.linalg.norm(achieved_goal - desired_goal) < 0.05)

    recorder = played(Ruled(reach_task(EndingReach).make()))
    rules = GoalRules(recorder, "wrapped")
    rules.check(recorder.transitions())
    assert rules.has_end


def test_a_task_without_a_reward_of_goals_is_refused() -> None:
    with pytest.raises(
        BadInputError, match=r"Pendulum-v1 has no compute_reward\(achieved_goal, desired_goal, info\)"
    ):
        GoalRules(gymnasium.make("Pendulum-v1"), "Pendulum-v1")


def test_rewards_that_depend_on_more_than_goals_are_refused() -> None:
    class Costly(Reach):
        def step(self, action: np.ndarray) -> tuple:
            observation, reward, *rest = super().step(action)
            return observation, reward - 0.1 * float(np.abs(action).sum()), *rest

    assert "its compute_reward gives -1 where step 1 gave -1.1" in refusal(Costly())


def test_rules_that_need_info_are_refused() -> None:
    class Informed(Reach):
        def compute_reward(
            self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: dict[str, Any]
        ) -> np.ndarray:
            return super().compute_reward(achieved_goal, desired_goal, info) - info["cost"]

        def step(self, action: np.ndarray) -> tuple:
            return self._observe(), -1.0, False, False, {"cost": 0.0}

    assert "failed: KeyError: 'cost'; both are called without info" in refusal(Informed())


@pytest.mark.parametrize(
    "change", [lambda rewards: rewards[..., None], lambda rewards: rewards.mean()], ids=["(n, 1)", "scalar"]
)
def test_rewards_of_another_shape_are_refused(change: Any) -> None:
    class Shaped(Reach):
        def compute_reward(
            self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: dict[str, Any]
        ) -> np.ndarray:
            rewards = super().compute_reward(achieved_goal, desired_goal, info)
            return change(rewards) if rewards.ndim else rewards

    assert "gives rewards of shape" in refusal(Shaped())


def test_a_rule_that_ends_what_step_goes_on_with_is_refused() -> None:
    class Hasty(Reach):
        def compute_terminated(self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: Any) -> bool:
            return True

    assert "its compute_terminated is true at step 1, which did not terminate" in refusal(Hasty())


def test_a_rule_that_fails_later_is_one_line() -> None:
    class Moody(Reach):
        given: Any = None

        def compute_reward(
            self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: dict[str, Any]
        ) -> np.ndarray:
            return self.given() if callable(self.given) else self.given

    environment, goals = Moody(), np.zeros((4, 3, 2))
    rules = GoalRules(environment, "moody")
    environment.given = np.full((4, 3), -1, np.float32)
    np.testing.assert_array_equal(rules.rewards(goals, goals), np.full((4, 3), -1.0))
    for bad, said in [
        (-1.0, r"gave rewards of shape \(\)"),
        (np.full((4, 3), np.nan), "gave numbers that are not finite"),
        (lambda: 1 / 0, "failed: ZeroDivisionError"),
    ]:
        environment.given = bad
        with pytest.raises(
            L0SurgicalError, match=rf"^compute_reward of moody, given goals of the shape \(4, 3, 2\), {said}"
        ):
            rules.rewards(goals, goals)


def test_the_rules_are_those_of_the_environment_that_was_opened_anew() -> None:
    class Kinder(Reach):
        def compute_reward(
            self, achieved_goal: np.ndarray, desired_goal: np.ndarray, info: dict[str, Any]
        ) -> np.ndarray:
            return np.zeros(achieved_goal.shape[:-1])

    recorder, goals = EpisodeRecorder(Reach()), np.full((2, 2), 5.0)
    rules = GoalRules(recorder, "reach")
    assert rules.rewards(goals, -goals).tolist() == [-1, -1]
    recorder.env = Kinder()
    assert rules.rewards(goals, -goals).tolist() == [0, 0]
