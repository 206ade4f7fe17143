"""The adapter, against the real SurRoL where it is installed; the message where it is not."""

import importlib.util
import sys
import time

import numpy as np
import pytest

from l0_surgical.evaluation import rollouts
from l0_surgical.system.errors import BadInputError, L0SurgicalError
from l0_surgical.tasks import flatten_observation, get_task
from l0_surgical.tasks.needle_reach.environment import NeedleReachEnv
from l0_surgical.tasks.surrol import environment as surrol
from l0_surgical.tasks.surrol.environment import make_surrol


def installed() -> bool:
    try:
        return importlib.util.find_spec("surrol.gym") is not None
    except ModuleNotFoundError:
        return False


needs_surrol = pytest.mark.skipif(not installed(), reason="SurRoL is not installed")


def test_without_surrol_the_message_says_how_to_install_it(tmp_path, monkeypatch) -> None:
    """A package in front hides an installed one; SurRoL's own plain `pip install` leaves its subpackages out
    just so."""
    (tmp_path / "surrol").mkdir()
    (tmp_path / "surrol" / "__init__.py").touch()
    (tmp_path / "surrol" / "gym.py").write_text("raise ModuleNotFoundError('No module named surrol.gym')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(
        BadInputError, match=r"SurRoL is not installed.*pip install -e 'git.https://github.com/med-air/SurRoL"
    ) as error:
        get_task("surrol:NeedleReach")
    assert "\n" not in str(error.value)


GYM_REGISTRATION = """
class Spec:
    entry_point, max_episode_steps = "surrol.gym:Reach", 5
registry = {"Reach-v0": Spec}
"""
SURROL_GYM = """
import os, time
import numpy as np
class Space:
    def __init__(self, size): self.shape = (size,)
class Spaces:
    spaces = {"observation": Space(2), "achieved_goal": Space(1), "desired_goal": Space(1)}
class Reach:
    observation_space, action_space, steps = Spaces(), Space(1), 0
    def reset(self):
        self.steps, self.start = 0, np.random.uniform()
        return self.look()
    def step(self, action):
        self.steps += 1
        if action[0] > 0.8: raise ValueError("no inverse kinematics")
        if action[0] > 0.6: os._exit(1)
        if action[0] > 0.4: time.sleep(60)
        return self.look(), -1.0, False, {"is_success": 0.0}
    def look(self):
        return {"observation": np.array([self.start, self.steps]), "achieved_goal": np.zeros(1), "desired_goal": np.ones(1)}
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> None:
    """A package `surrol` with one task, for the adapter's own process."""
    for package, module, text in [
        ("surrol", "gym", SURROL_GYM),
        ("gym/envs", "registration", GYM_REGISTRATION),
    ]:
        (tmp_path / package).mkdir(parents=True)
        (tmp_path / package / "__init__.py").touch()
        (tmp_path / package / f"{module}.py").write_text(text)
    (tmp_path / "gym" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


def test_the_time_limit_is_known_and_the_process_can_fail(stand_in, monkeypatch) -> None:
    task = get_task("surrol:Reach")
    environment = task.open()
    assert environment.spec.max_episode_steps == 5
    (whole,) = rollouts(lambda _: np.zeros(1), environment, [3], keep_observations=True)
    assert whole.steps == 5
    for action, said in [
        (0.9, "failed in step: ValueError: no inverse kinematics"),
        (0.7, "ended during step"),
        (0.5, "not answered step"),
    ]:
        monkeypatch.setattr(surrol, "ANSWER_S", 1.0)
        with pytest.raises(
            L0SurgicalError, match=rf"surrol:Reach failed at step 1, episode 0 \(seed 3\): .*{said}"
        ):
            rollouts(lambda _, action=action: np.full(1, action), environment, [3])
        monkeypatch.setattr(surrol, "ANSWER_S", 60.0)
        start = time.monotonic()
        environment.close()
        assert time.monotonic() - start < 5  # the one that hangs is not waited for
        environment = task.open()
        (again,) = rollouts(lambda _: np.zeros(1), environment, [3], keep_observations=True)
        np.testing.assert_array_equal(again.observations, whole.observations)
    environment.close()


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
            observation, reward, terminated, truncated, info = environment.step(
                task.expert(environment, observation)
            )
            assert environment.observation_space.contains(observation)
            assert reward == environment.unwrapped.compute_reward(
                observation["achieved_goal"], observation["desired_goal"], info
            )
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
