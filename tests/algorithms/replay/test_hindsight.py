import dataclasses

import numpy as np
import point_reach
import pytest

from l0_surgical.algorithms.replay import Episode, EpisodeRecorder, GoalRules, HindsightReplay
from l0_surgical.evaluation import rollouts
from l0_surgical.tasks import get_task


class Near:
    """A goal counts as reached within 0.5; `ends` says whether that ends an episode, or that there is no rule
    for it (None)."""

    def __init__(self, ends: bool | None = None) -> None:
        self._ends = ends

    def rewards(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        return -(np.abs(achieved - desired).max(-1) > 0.5).astype(np.float32)

    def terminated(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray | None:
        return None if self._ends is None else self._ends & (self.rewards(achieved, desired) == 0)


def numbered_episode(number: int, length: int, terminated: bool = False) -> Episode:
    """Observations and goals carry (episode, step), so that a sample tells where it came from."""
    steps = np.arange(length + 1, dtype=np.float32)
    where = np.stack([np.full(length + 1, number, np.float32), steps], axis=1)
    return Episode(where, where, where[:-1, :1], np.array([number, 1000.0], np.float32), terminated)


def replay_of(
    lengths: list[int],
    capacity: int = 1000,
    members: int = 1,
    fraction: float = 0.8,
    ends: bool | None = None,
) -> HindsightReplay:
    replay = HindsightReplay(members, capacity, 10, (2, 2, 1), fraction, Near(ends))
    for member in range(members):
        for number, length in enumerate(lengths):
            replay.add(member, numbered_episode(number + 100 * member, length))
    return replay


def sample(replay: HindsightReplay, count: int = 20_000, seeds: tuple[int, ...] = (0,)):
    return replay.sample(1, count, [np.random.default_rng(seed) for seed in seeds])


def test_goals_come_from_the_future_of_the_same_episode_in_the_stated_fraction():
    batch = sample(replay_of([10, 4]))
    episode, step = batch.states[0, 0, :, 0], batch.states[0, 0, :, 1]
    goal_episode, goal_step = batch.states[0, 0, :, 2], batch.states[0, 0, :, 3]
    relabelled = goal_step != 1000
    assert relabelled.mean() == pytest.approx(0.8, abs=0.01)
    np.testing.assert_array_equal(goal_episode, episode)
    assert (goal_step[relabelled] > step[relabelled]).all()
    assert (goal_step[relabelled] <= np.where(episode == 0, 10, 4)[relabelled]).all()
    at_start = relabelled & (episode == 0) & (step == 0)
    assert (
        np.bincount(goal_step[at_start].astype(int), minlength=11)[1:].min() > 0.7 * at_start.sum() / 10
    )  # uniform over 1 .. 10


def test_every_stored_transition_is_equally_likely_and_consistent():
    batch = sample(replay_of([10, 4]))
    episode, step = batch.states[0, 0, :, 0].astype(int), batch.states[0, 0, :, 1].astype(int)
    counts = np.bincount(episode * 10 + step, minlength=14)
    np.testing.assert_allclose(counts[counts > 0] / 20_000, 1 / 14, rtol=0.15)
    assert (counts > 0).sum() == 14
    np.testing.assert_array_equal(batch.next_states[0, 0, :, 1], step + 1)
    np.testing.assert_array_equal(batch.next_states[0, 0, :, 2:], batch.states[0, 0, :, 2:])
    np.testing.assert_array_equal(batch.actions[0, 0, :, 0], episode)


def test_the_oldest_episodes_are_overwritten():
    replay = replay_of([10] * 5, capacity=30)
    assert replay.transitions(0) == 30
    assert set(np.unique(sample(replay).states[..., 0])) == {2, 3, 4}


def test_short_episodes_fill_the_buffer_too_and_one_half_overwritten_keeps_its_future():
    replay = replay_of([3] * 12, capacity=31)
    assert replay.transitions(0) == 31
    batch = sample(replay)
    episode, step, goal_episode, goal_step = np.moveaxis(batch.states[0, 0], -1, 0)
    assert set(zip(episode, step, strict=True)) == {(1, 2), *((e, t) for e in range(2, 12) for t in range(3))}
    relabelled = goal_step != 1000
    np.testing.assert_array_equal(goal_episode, episode)
    assert (goal_step[relabelled] > step[relabelled]).all()
    assert goal_step[relabelled].max() == 3


def test_an_episode_longer_than_the_buffer_is_held():
    assert replay_of([10, 10], capacity=4).transitions(0) == 10


def test_members_have_their_own_buffers_and_draws():
    replay = replay_of([10, 10], members=2)
    both = sample(replay, 64, seeds=(3, 4))
    assert both.states.shape == (1, 2, 64, 4)
    assert (both.states[0, 1, :, 0] >= 100).all()
    assert (both.states[0, 0, :, 0] < 100).all()
    alone = sample(replay_of([10, 10]), 64, seeds=(3,))
    np.testing.assert_array_equal(both.states[0, 0], alone.states[0, 0])


def test_only_the_last_step_of_a_terminated_episode_is_terminal():
    replay = HindsightReplay(1, 100, 10, (2, 2, 1), 0.8, Near())
    replay.add(0, numbered_episode(0, 6, terminated=True))
    replay.add(0, numbered_episode(1, 10))
    batch = sample(replay, 4000)
    expected = (batch.states[..., 0] == 0) & (batch.states[..., 1] == 5)
    np.testing.assert_array_equal(batch.terminated, expected)
    assert expected.any()


@pytest.mark.parametrize("ends", [False, True])
def test_a_relabelled_transition_ends_where_the_rule_says(ends: bool):
    batch = sample(replay_of([10, 4], ends=ends))
    reached = batch.rewards == 0
    np.testing.assert_array_equal(batch.terminated, reached & ends)
    step, goal_step = batch.states[..., 1], batch.states[..., 3]
    np.testing.assert_array_equal(reached, goal_step == step + 1)
    assert 0.1 < reached.mean() < 0.9


def test_an_end_that_the_goal_does_not_explain_stays_one_for_every_goal():
    """A fall, say: the rule of goals knows nothing of it. Where the own goal was reached, another goal
    decides anew."""
    fell, reached = numbered_episode(0, 6, terminated=True), numbered_episode(1, 6, terminated=True)
    reached = dataclasses.replace(reached, desired_goal=reached.achieved_goals[-1])
    replay = replay_of([], fraction=0.0, ends=True)
    replay.add(0, fell)
    replay.add(0, reached)
    batch = sample(replay, 2000)
    last = batch.states[..., 1] == 5
    np.testing.assert_array_equal(batch.terminated, last)
    np.testing.assert_array_equal(
        replay.state_dict()["terminated"].nonzero()[1], [5]
    )  # only the fall is stored as one


def test_a_checkpoint_draws_the_same():
    one, other = replay_of([3] * 12, capacity=31), replay_of([], capacity=31)
    other.load_state_dict(one.state_dict())
    for name, values in vars(sample(one)).items():
        np.testing.assert_array_equal(getattr(sample(other), name), values)


def test_an_empty_buffer_says_so():
    with pytest.raises(ValueError, match="no episode"):
        sample(HindsightReplay(1, 100, 10, (2, 2, 1), 0.8, Near()))


def test_relabelled_rewards_equal_the_environments_on_needle_reach():
    task = get_task("needle-reach")
    environment = EpisodeRecorder(task.make())
    compute = environment.unwrapped.compute_reward
    replay = HindsightReplay(1, 1000, 50, (7, 3, 5), 0.8, GoalRules(environment, task.name))
    raw = []
    for seed in range(3):
        observation, _ = environment.reset(seed=seed)
        for _ in range(50):
            observation, *_ = environment.step(task.expert(environment, observation))
        replay.add(0, environment.episode())
        raw.append(environment.episode())
    batch = sample(replay, 2000)
    for index in range(0, 2000, 7):
        state, goal = batch.next_states[0, 0, index, :7], batch.next_states[0, 0, index, 7:]
        (match,) = [
            e.achieved_goals[t + 1]
            for e in raw
            for t in range(50)
            if np.array_equal(e.observations[t + 1], state)
        ][:1]
        assert batch.rewards[0, 0, index] == compute(match, goal, {})
    assert {0.0, -1.0} == set(np.unique(batch.rewards))
    environment.close()


class OneArray(point_reach.PointReach):
    """Gives the same arrays at every step, and halves the action that it is given in its place."""

    def step(self, action: np.ndarray) -> tuple[dict, float, bool, bool, dict]:
        result = super().step(action)
        action *= 0.5
        return result

    def _observe(self) -> dict[str, np.ndarray]:
        if not hasattr(self, "_given"):
            self._given = super()._observe()
        for name, array in super()._observe().items():
            self._given[name][:] = array
        return self._given


def test_an_episode_is_what_was_seen_and_done_when_it_was_played():
    recorded = []
    for environment in (point_reach.PointReach(), OneArray()):
        recorder = EpisodeRecorder(environment)
        rollouts(lambda observation: np.full(2, 0.5), recorder, [0])
        recorded.append(recorder.episode())
    expected, episode = recorded
    assert np.ptp(expected.observations[:, 0]) > 0.9
    for name in ("observations", "achieved_goals", "actions", "desired_goal"):
        np.testing.assert_array_equal(getattr(episode, name), getattr(expected, name))
