"""The adapter, against the real SurRoL where it is installed; the message where it is not."""

import importlib.util
import sys

import numpy as np
import pytest

from l0_surgical.errors import BadInputError
from l0_surgical.tasks import flatten_observation, get_task
from l0_surgical.tasks.needle_reach.environment import NeedleReachEnv
from l0_surgical.tasks.surrol import make_surrol


def installed() -> bool:
    try:
        return importlib.util.find_spec("surrol.gym") is not None
    except ModuleNotFoundError:
        return False


needs_surrol = pytest.mark.skipif(not installed(), reason="SurRoL is not installed")


def test_without_surrol_the_message_says_how_to_install_it(tmp_path, monkeypatch) -> None:
    """A package in front hides an installed one; SurRoL's own plain `pip install` leaves its subpackages out just so."""
    (tmp_path / "surrol").mkdir()
    (tmp_path / "surrol" / "__init__.py").touch()
    (tmp_path / "surrol" / "gym.py").write_text("raise ModuleNotFoundError('No module named surrol.gym')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(BadInputError, match=r"SurRoL is not installed.*pip install -e 'git.https://github.com/med-air/SurRoL") as error:
        get_task("surrol:NeedleReach")
    assert "\n" not in str(error.value)


@needs_surrol
@pytest.mark.parametrize(("name", "size"), [("NeedleReach", 10), ("NeedlePick", 22)])
def test_spaces_seeding_and_truncation(name, size) -> None:
    task = get_task(f"surrol:{name}")
    assert sum(field.size for field in task.inputs) == size
    env, twin = task.make(), task.make()
    callers = np.random.get_state()[1].copy()  # noqa: NPY002 (SurRoL draws from the global generator, the caller's must not move)
    trajectories = []
    for environment in (env, env, twin):
        observation, _ = environment.reset(seed=3)
        rows, truncated = [flatten_observation(observation)], False
        while not truncated:
            observation, reward, terminated, truncated, info = environment.step(task.expert(environment, observation))
            assert environment.observation_space.contains(observation)
            assert reward == environment.unwrapped.compute_reward(observation["achieved_goal"], observation["desired_goal"], info)
            assert not terminated
            rows.append(flatten_observation(observation))
        trajectories.append(np.array(rows))
    env.close()
    twin.close()
    assert trajectories[0].shape == (51, size)
    assert np.array_equal(trajectories[0], trajectories[1])
    assert np.array_equal(trajectories[0], trajectories[2])
    assert np.array_equal(np.random.get_state()[1], callers)  # noqa: NPY002


@needs_surrol
def test_passes_the_environment_checker() -> None:
    from gymnasium.utils.env_checker import check_env

    env = make_surrol("NeedleReach")
    check_env(env.unwrapped, skip_render_check=True)
    env.close()


@needs_surrol
def test_pictures() -> None:
    env = make_surrol("NeedleReach", render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().shape == (480, 640, 3)
    env.close()


@needs_surrol
def test_refused_names_and_actions(capfd) -> None:
    with pytest.raises(BadInputError, match=r"no task 'NeedleThread'.*surrol:NeedlePick"):
        get_task("surrol:NeedleThread")
    env = make_surrol("NeedleReach")
    env.reset(seed=0)
    with pytest.raises(BadInputError, match="5 finite numbers"):
        env.step(np.full(5, np.nan))
    action = np.array((0.5, 0.5, 0.5, 0.5, 0.5))
    env.step(action)
    assert (action == 0.5).all()
    env.close()
    assert capfd.readouterr() == ("", "")


@needs_surrol
def test_our_needle_reach_follows_surrol_on_fresh_actions() -> None:
    theirs, ours = make_surrol("NeedleReach"), NeedleReachEnv()
    worst = 0.0
    for seed in range(6):
        observation, _ = theirs.reset(seed=seed)
        ours.reset(seed=seed, options={"desired_goal": observation["desired_goal"]})
        rng = np.random.default_rng(seed)
        for _ in range(50):
            action = rng.uniform(-1, 1, 5)
            # Keep clear of the pad: only free motion is the same in both.
            action[2] = max(action[2], (3.50 - observation["observation"][2]) / 0.05)
            observation, reward, *_ = theirs.step(action)
            mine, my_reward, *_ = ours.step(action)
            worst = max(worst, np.abs(mine["achieved_goal"] - observation["achieved_goal"]).max())
            assert my_reward == reward
    theirs.close()
    ours.close()
    assert worst < 0.002
