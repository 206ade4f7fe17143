"""Gymnasium environments side by side: as Gymnasium's own vector steps them, and one that fails takes no
other with it."""

import gymnasium
import misbehaving
import numpy as np
import pytest
from gymnasium import spaces
from misbehaving import GOAL, LINE, Line

from l0_surgical.evaluation import vector_episodes, vector_rollouts
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.system.stopping import Stopped
from l0_surgical.tasks import flatten_observation, get_task
from l0_surgical.tasks.vector import VectorEnvironment, open_vector


@pytest.mark.parametrize("name", ["CartPole-v1", "Acrobot-v1", "LunarLander-v3"])
def test_every_step_is_that_of_gymnasiums_own_vector(name: str) -> None:
    seeds, generator = [3, 5, 7], np.random.default_rng(0)
    ours = open_vector(name, seeds, "gymnasium")
    theirs = gymnasium.vector.SyncVectorEnv(
        [lambda: gymnasium.make(name, disable_env_checker=True) for _ in seeds]
    )
    np.testing.assert_array_equal(ours.reset(), theirs.reset(seed=seeds)[0].astype(np.float32))
    ends = 0
    for _ in range(600):
        actions = generator.integers(ours.actions, size=3)
        observations, rewards, terminated, truncated, _ = theirs.step(actions)
        expected = (
            observations.astype(np.float32),
            rewards.astype(np.float32),
            terminated,
            truncated & ~terminated,
        )
        for mine, one in zip(ours.step(actions), expected, strict=True):
            np.testing.assert_array_equal(mine, one)
            assert mine.dtype == one.dtype
        ends += int((terminated | truncated).sum())
    assert ends >= 3
    ours.close()
    theirs.close()


def steps(environment: VectorEnvironment, count: int) -> list[tuple]:
    generator = np.random.default_rng(1)
    return [
        (environment.reset(),),
        *(environment.step(generator.integers(2, size=environment.count)) for _ in range(count)),
    ]


@pytest.mark.parametrize(
    ("fault", "said"),
    [("raises", "RuntimeError: lost the physics server"), ("nan", "NaN or infinite at step 4")],
)
def test_one_that_fails_leaves_the_others_as_they_were(fault: str, said: str) -> None:
    whole = steps(open_vector(LINE, [11, 12, 13]), 50)
    environment = open_vector(misbehaving.register(LINE, "One", fault=fault, seed=12, step=4), [11, 12, 13])
    found = steps(environment, 50)
    assert list(environment.failures) == [1]
    assert said in environment.failures[1] and "environment 1 (seed 12)" in environment.failures[1]
    for expected, one in zip(whole, found, strict=True):
        for theirs, mine in zip(expected, one, strict=True):
            np.testing.assert_array_equal(mine[[0, 2]], theirs[[0, 2]])
    assert all(not mine[1].any() for mine in found[-1])
    environment.close()


class SecondIsLost(Line):
    """The second that is made fails at once."""

    def __init__(self) -> None:
        super().__init__(fault="making" if type(self).opened == 1 else None)


def test_one_that_cannot_be_made_leaves_the_others_as_they_were() -> None:
    gymnasium.registry.pop("misbehaving/Second-v0", None)
    gymnasium.register("misbehaving/Second-v0", SecondIsLost, max_episode_steps=20)
    SecondIsLost.opened = 0
    environment, whole = (
        open_vector("misbehaving/Second-v0", [11, 12, 13]),
        steps(open_vector(LINE, [11, 12, 13]), 50),
    )
    found = steps(environment, 50)
    assert (
        environment.failures == {1: environment.failures[1]}
        and "No module named 'simulator'" in environment.failures[1]
    )
    for expected, one in zip(whole, found, strict=True):
        for theirs, mine in zip(expected, one, strict=True):
            np.testing.assert_array_equal(mine[[0, 2]], theirs[[0, 2]])


def test_none_that_can_be_made_is_bad_input() -> None:
    with pytest.raises(BadInputError, match="'misbehaving/Absent-v0' cannot be made"):
        open_vector(misbehaving.register(LINE, "Absent", fault="making"), [1, 2])
    misbehaving.register(LINE, "Endless", steps=None)
    with pytest.raises(BadInputError, match="has no time limit"):
        open_vector("misbehaving/Endless-v0", [1, 2])


def test_a_failed_one_is_closed_at_once_and_the_others_at_the_end() -> None:
    name, closed = misbehaving.register(LINE, "Closing", fault="raises", seed=12), Line.closed
    environment = open_vector(name, [11, 12])
    steps(environment, 5)
    assert Line.closed == closed + 1
    environment.close()
    assert Line.closed == closed + 2


def test_rollouts_go_on_without_the_one_that_fails() -> None:
    name, seeds = misbehaving.register(LINE, "Rolling", fault="reset nan", seed=21), [20, 21, 22]
    (returns, counts), (whole, _) = (
        vector_rollouts(lambda seen, live: np.zeros(live.size, int), open_vector(n, seeds))
        for n in (name, LINE)
    )
    assert np.isnan(returns[1]) and counts[1] < 20
    np.testing.assert_array_equal(returns[[0, 2]], whole[[0, 2]])
    with pytest.raises(L0SurgicalError, match=r"NaN or infinite at step 0"):
        vector_episodes(misbehaving.line_policy(), get_task(name), seeds)


class Shifted(Line):
    """Whose two choices are 5 and 6, and which observes a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        box = spaces.Box(-10, 10, (1,), np.float64)
        self.observation_space = spaces.Dict(
            {"observation": spaces.Box(-10, 10, (2,), np.float64), "desired_goal": box}
        )
        self.action_space = spaces.Discrete(2, start=5)

    def _observe(self) -> dict[str, np.ndarray]:
        return {"observation": self._place[:2].copy(), "desired_goal": self._place[2:].copy()}

    def _move(self, action: int) -> tuple:
        assert self.action_space.contains(action)
        return super()._move(action - 5)


def test_shifted_choices_and_dictionaries_are_played_as_alone() -> None:
    gymnasium.registry.pop("misbehaving/Shifted-v0", None)
    gymnasium.register("misbehaving/Shifted-v0", Shifted, max_episode_steps=20)
    task, plain = get_task("misbehaving/Shifted-v0"), get_task(LINE)
    assert [field.size for field in task.inputs] == [2, 1]
    policy = misbehaving.line_policy()
    mine, theirs = (
        [e.total_reward for e in vector_episodes(policy, one, [1, 2, 3], random_share=0.3)]
        for one in (task, plain)
    )
    assert mine == theirs and 10 < min(mine) < 20


def test_vectors_are_taken_as_actions() -> None:
    environment, alone = open_vector(GOAL, [3, 4]), get_task(GOAL).open()
    assert (environment.chooses, environment.actions) == (False, alone.action_space.shape[0])
    seen = environment.reset()
    first, _ = alone.reset(seed=4)
    np.testing.assert_array_equal(seen[1], flatten_observation(first).astype(np.float32))
    actions = np.linspace(-0.8, 0.9, 2 * environment.actions, dtype=np.float32).reshape(2, -1)
    seen, rewards, *_ = environment.step(actions)
    expected, reward, *_ = alone.step(actions[1])
    np.testing.assert_array_equal(seen[1], flatten_observation(expected).astype(np.float32))
    assert rewards[1] == np.float32(reward)
    environment.close()


def test_actions_in_other_limits_are_refused() -> None:
    with pytest.raises(BadInputError, match=r"a vector in \[-1, 1\] are needed: put .*RescaleAction"):
        open_vector("Pendulum-v1", [0])


def test_a_stop_is_heard_between_two_of_them() -> None:
    asked = []
    environment = open_vector(LINE, [0, 1, 2], stop=lambda: asked.append(1) or len(asked) > 4)
    environment.reset()
    environment.step(np.zeros(3, int))
    before = Line.stepped
    with pytest.raises(Stopped):
        environment.step(np.zeros(3, int))
    assert Line.stepped == before + 1
    environment.close()


def test_envpool_hears_a_stop() -> None:
    pytest.importorskip("envpool")
    environment = open_vector("cartpole", [0], stop=lambda: True)
    environment.reset()
    with pytest.raises(Stopped):
        environment.step(np.zeros(1, int))
    environment.close()
