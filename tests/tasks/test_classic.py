"""The classic tasks in both vector engines: seeds, ends of episodes, and the same returns within noise."""

import numpy as np
import pytest

from l0_surgical.evaluation import vector_rollouts
from l0_surgical.system.errors import BadInputError
from l0_surgical.tasks.vector import CLASSIC, Engine, open_vector, vector_engine

pytest.importorskip("envpool")
ENGINES: tuple[Engine, ...] = ("envpool", "gymnasium")


def by_rule(name: str, observations: np.ndarray) -> np.ndarray:
    """A fixed policy of each task that is better than chance and not perfect."""
    if name == "cartpole":
        return (observations[:, 2] > 0).astype(int)
    if name == "acrobot":
        return np.where(observations[:, 5] > 0, 2, 0)
    vertical, angle = observations[:, 3] < -0.25, observations[:, 4]
    return np.where(vertical, 2, np.where(angle > 0.1, 3, np.where(angle < -0.1, 1, 0)))


def returns_of(name: str, engine: Engine, seeds: range) -> tuple[np.ndarray, np.ndarray]:
    environment = open_vector(name, seeds, engine)
    result = vector_rollouts(lambda observations, live: by_rule(name, observations)[live], environment)
    environment.close()
    return result


@pytest.mark.parametrize(("name", "episodes"), [("cartpole", 150), ("acrobot", 60), ("lunar-lander", 100)])
def test_both_engines_give_the_same_returns_within_noise(name: str, episodes: int) -> None:
    (ours, steps), (theirs, other_steps) = (returns_of(name, engine, range(episodes)) for engine in ENGINES)
    assert ours.std() > 0
    error = np.sqrt(ours.var() / episodes + theirs.var() / episodes)
    assert abs(ours.mean() - theirs.mean()) < 4 * error
    assert abs(steps.mean() - other_steps.mean()) < 4 * np.sqrt(
        steps.var() / episodes + other_steps.var() / episodes
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_an_episode_depends_on_its_own_seed_alone(engine: Engine) -> None:
    first, second = open_vector("lunar-lander", [5, 6, 7], engine), open_vector("lunar-lander", [7], engine)
    np.testing.assert_array_equal(first.reset()[2], second.reset()[0])
    for action in (0, 1, 2, 3, 2, 2):
        mine, theirs = first.step(np.full(3, action)), second.step(np.array([action]))
        np.testing.assert_array_equal(mine[0][2], theirs[0][0])
        assert mine[1][2] == theirs[1][0]
    first.close()
    second.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_only_live_environments_are_stepped(engine: Engine) -> None:
    environment = open_vector("cartpole", [1, 2, 3], engine)
    before = environment.reset()
    observations, rewards, terminated, truncated = environment.step(np.array([1]), np.array([1]))
    assert (observations.shape, rewards.shape, terminated.shape, truncated.shape) == (
        (1, 4),
        (1,),
        (1,),
        (1,),
    )
    assert observations[0, 1] > before[1, 1]  # pushed to the right
    environment.close()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_time_limit_truncates_and_a_fall_terminates(engine: Engine) -> None:
    environment = open_vector("acrobot", [0], engine)
    environment.reset()
    for step in range(1, 501):
        last, _, terminated, truncated = environment.step(np.array([1]))
        assert (bool(terminated[0]), bool(truncated[0])) == (False, step == 500)
    first, reward, terminated, truncated = environment.step(
        np.array([2])
    )  # begins a new episode, whatever the action
    assert (float(reward[0]), bool(terminated[0]), bool(truncated[0])) == (0.0, False, False)
    assert np.abs(first[0, 4:]).max() <= 0.1
    assert not np.array_equal(first, last)
    environment.close()
    environment = open_vector("cartpole", [0], engine)
    environment.reset()
    for _ in range(100):
        last, _, terminated, truncated = environment.step(np.array([1]))
        if terminated[0]:
            break
    assert (bool(terminated[0]), bool(truncated[0])) == (True, False)
    assert abs(last[0, 2]) > 0.2095
    environment.close()


def test_every_task_is_described_completely() -> None:
    for name, task in CLASSIC.items():
        environment = open_vector(name, [0])
        assert (len(task.fields), len(task.actions)) == (environment.observation_size, environment.actions)
        assert len(task.scale) == len(task.fields)
        environment.close()


def test_any_gymnasium_id_with_a_choice_of_actions_opens() -> None:
    environment = open_vector("MountainCar-v0", [0, 1])
    assert environment.reset().shape == (2, 2)
    environment.close()
    assert vector_engine("MountainCar-v0") == "gymnasium"
    assert vector_engine("cartpole") == "envpool"


def test_refusals() -> None:
    with pytest.raises(BadInputError, match=r"discrete actions or a vector in .* are needed"):
        open_vector("Pendulum-v1", [0])
    with pytest.raises(BadInputError, match="EnvPool is used for cartpole, acrobot, lunar-lander only"):
        vector_engine("MountainCar-v0", "envpool")
    with pytest.raises(BadInputError, match="unknown engine 'isaac'"):
        vector_engine("cartpole", "isaac")
