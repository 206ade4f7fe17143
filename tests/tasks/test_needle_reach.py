"""NeedleReach against the recordings of the reference environment, and as a well-behaved Gymnasium goal
environment."""

import json
import math
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from scipy.stats import ks_2samp

import l0_surgical.tasks  # noqa: F401 (registers the environment)
from l0_surgical.surgical.kinematics import SURROL_WORLD, UnreachablePoseError
from l0_surgical.surgical.needle_reach import NEEDLE_REACH, SUCCESS_DISTANCE
from l0_surgical.system.errors import BadInputError
from l0_surgical.tasks.needle_reach import simulation
from l0_surgical.tasks.needle_reach.environment import NeedleReachEnv
from l0_surgical.tasks.needle_reach.expert import expert_action

DATA = Path(__file__).parent.parent / "data"
TOLERANCE = 0.002


@pytest.fixture
def env():
    environment = NeedleReachEnv()
    yield environment
    environment.close()


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    return dict(np.load(DATA / "needle_reach_surrol.npz"))


def roll_out(env: NeedleReachEnv, actions: np.ndarray, **reset) -> np.ndarray:
    """The tip, the observation and the needle's pose after each of the actions (steps, 5), as (steps + 1,
    17)."""
    observation, _ = env.reset(**reset)
    rows = []
    for action in [None, *actions]:
        if action is not None:
            observation, *_ = env.step(action)
        rows.append(
            np.concatenate(
                (observation["achieved_goal"], observation["observation"], *env._simulation.needle_pose())
            )
        )
    return np.array(rows)


def low_sweep(seed: int) -> np.ndarray:
    """Actions (50, 5) that drive the jaws across and into the pad."""
    return np.clip(np.random.default_rng(seed).normal((0.3, -0.3, -0.4, 0, 0), 0.8, (50, 5)), -1, 1)


def test_replays_the_recordings(env, recorded) -> None:
    compared = 0
    for episode, goal in enumerate(recorded["desired_goal"]):
        env.reset(seed=episode, options={"desired_goal": goal})
        for step in range(recorded["free_steps"][episode]):
            observation, reward, _, _, info = env.step(recorded["action"][episode, step])
            tip = recorded["achieved_goal"][episode, step + 1]
            np.testing.assert_allclose(observation["achieved_goal"], tip, atol=TOLERANCE)
            np.testing.assert_allclose(
                observation["observation"][:3], recorded["observation"][episode, step + 1, :3], atol=TOLERANCE
            )
            if abs(math.dist(tip, goal) - SUCCESS_DISTANCE) > TOLERANCE:
                assert reward == recorded["reward"][episode, step]
                assert info["is_success"] == bool(recorded["success"][episode, step])
            compared += 1
    assert compared == 1865


def test_contact_leaves_the_arm_finite_and_in_the_workspace(env, recorded) -> None:
    margin = 0.02
    for episode, goal in enumerate(recorded["desired_goal"]):
        rows = roll_out(env, recorded["action"][episode], seed=episode, options={"desired_goal": goal})
        assert np.isfinite(rows).all()
        assert (rows[:, 3:6] >= np.array(NEEDLE_REACH.arm.workspace_low) - margin).all()
        assert (rows[:, 3:6] <= np.array(NEEDLE_REACH.arm.workspace_high) + margin).all()


def test_starts_where_the_reference_starts(env) -> None:
    recorded = np.load(DATA / "needle_reach_resets.npz")
    observation, _ = env.reset(seed=0)
    np.testing.assert_allclose(observation["observation"], recorded["observation"][0], atol=2e-4)
    np.testing.assert_allclose(observation["achieved_goal"], recorded["achieved_goal"][0], atol=2e-4)


def test_goals_follow_the_recorded_distribution(env) -> None:
    recorded = np.load(DATA / "needle_reach_resets.npz")["desired_goal"]
    goals = np.array([env.reset(seed=seed)[0]["desired_goal"] for seed in range(600)])
    for axis in (0, 1):
        assert ks_2samp(goals[:, axis], recorded[:, axis]).pvalue > 0.01
    np.testing.assert_allclose(goals[:, 2], np.median(recorded[:, 2]), atol=1e-5)


def test_the_expert_returns_what_the_reference_returns(env) -> None:
    returns = []
    for seed in range(200):
        observation, _ = env.reset(seed=seed)
        rewards = []
        for _ in range(50):
            observation, reward, *_ = env.step(expert_action(observation))
            rewards.append(reward)
        returns.append(sum(rewards))
        assert rewards[-1] == 0
    assert np.mean(returns) == pytest.approx(-18.8, abs=0.5)


def test_passes_the_environment_checker() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gymnasium.make("l0_surgical/NeedleReach-v0", render_mode="rgb_array")
        check_env(env.unwrapped)
        env.close()


def test_episodes_are_truncated_at_50_steps_and_never_terminated() -> None:
    env = gymnasium.make("l0_surgical/NeedleReach-v0")
    observation, _ = env.reset(seed=1)
    ends = []
    for _ in range(50):
        observation, _, terminated, truncated, _ = env.step(expert_action(observation))
        ends.append((terminated, truncated))
    env.close()
    assert ends == [(False, False)] * 49 + [(False, True)]


@pytest.mark.parametrize("seed", range(6))
def test_an_episode_does_not_depend_on_those_before_it(env, seed) -> None:
    actions = low_sweep(seed)
    fresh = roll_out(env, actions, seed=seed)
    for other in range(3):
        roll_out(env, low_sweep(100 + seed + other)[: 7 * (other + 1)], seed=other)
    assert np.array_equal(roll_out(env, actions, seed=seed), fresh)
    twin = NeedleReachEnv()
    assert np.array_equal(roll_out(twin, actions, seed=seed), fresh)
    twin.close()


def test_environments_side_by_side_do_not_touch_each_other(env) -> None:
    other = NeedleReachEnv()
    alone = roll_out(env, low_sweep(1), seed=4)
    env.reset(seed=4)
    other.reset(seed=5)
    for step, action in enumerate(low_sweep(1)):
        observation, *_ = env.step(action)
        other.step(-action)
        assert np.array_equal(observation["achieved_goal"], alone[step + 1, :3])
    other.close()


def test_coarse_steps_agree_with_fine_ones(env, monkeypatch) -> None:
    actions = np.random.default_rng(2).uniform((-1, -1, -0.7, -1, -1), 1, (50, 5))
    coarse = roll_out(env, actions, seed=1)
    assert coarse[:, 2].min() > simulation.CONTACT_CEILING
    monkeypatch.setattr(simulation, "CONTACT_CEILING", 10.0)
    np.testing.assert_allclose(roll_out(env, actions, seed=1)[:, :10], coarse[:, :10], atol=1e-4)


def test_the_needle_can_be_pushed_and_stays_on_the_tray(env) -> None:
    env.reset(seed=3, options={"desired_goal": (2.7, 0.1, 3.43)})
    start = np.array(env._simulation.needle_pose()[0])
    for _ in range(25):
        env.step(
            np.clip(
                ((2.7 - env._tip[0]) * 20, (0.1 - env._tip[1]) * 20, (3.39 - env._tip[2]) * 20, 0, 0), -1, 1
            )
        )
    for _ in range(6):
        env.step(np.array((0.6, -0.6, 0, 0, 0)))
    end = np.array(env._simulation.needle_pose()[0])
    assert np.linalg.norm(end[:2] - start[:2]) > 0.02
    assert 3.38 < end[2] < 3.6


def test_a_move_that_breaks_a_joint_limit_is_refused(env) -> None:
    """The far upper corner of the workspace lies beyond the pitch joint's limit."""
    corner = (3.02, -0.09, 3.856)
    with pytest.raises(UnreachablePoseError, match="pitch"):
        SURROL_WORLD.joints_from_eef(corner, NEEDLE_REACH.arm.start.axes)
    before, _ = env.reset(seed=0)
    for _ in range(20):
        before, *_ = env.step(
            np.append(np.clip((np.array(corner) - before["observation"][:3]) * 20, -1, 1), (0, 0))
        )
    after, *_ = env.step(np.array((0.5, 0, 1, 0, 0)))
    np.testing.assert_allclose(after["observation"], before["observation"], atol=1e-4)
    assert np.linalg.norm(after["observation"][:3] - corner) > 0.005
    moved, *_ = env.step(np.array((-1.0, 0, 0, 0, 0)))
    assert moved["observation"][0] < after["observation"][0] - 0.04


def test_a_step_covers_the_commanded_displacement(env) -> None:
    before, _ = env.reset(seed=0)
    after, *_ = env.step(np.array((1.0, -0.5, -0.5, 1.0, 1.0)))
    moved = after["achieved_goal"] - before["achieved_goal"]
    np.testing.assert_allclose(moved, 0.993 * 0.05 * np.array((1.0, -0.5, -0.5)), atol=3e-4)


def test_actions_are_clipped_and_never_changed(env) -> None:
    action = np.array((3.0, -7.0, -2.0, 5.0, 5.0))
    kept = action.copy()
    beyond = roll_out(env, [action], seed=0)
    assert np.array_equal(action, kept)
    assert np.array_equal(beyond, roll_out(env, [np.clip(action, -1, 1)], seed=0))


@pytest.mark.parametrize(
    "action",
    [np.full(5, np.nan), np.array((0, 0, np.inf, 0, 0)), np.zeros(4), np.zeros((1, 5)), "left", None],
)
def test_bad_actions(env, action) -> None:
    env.reset(seed=0)
    with pytest.raises(BadInputError, match="action must be 5 finite numbers"):
        env.step(action)


@pytest.mark.parametrize("goal", [(1.0, 2.0), (np.nan, 0, 3), np.zeros((1, 3)), "there", (0, 0, 1e6)])
def test_bad_goals(env, goal) -> None:
    with pytest.raises(BadInputError, match="desired_goal must"):
        env.reset(seed=0, options={"desired_goal": goal})


def test_step_before_reset_and_bad_render_mode(env) -> None:
    with pytest.raises(BadInputError, match="before reset"):
        env.step(np.zeros(5))
    with pytest.raises(BadInputError, match="'human'"):
        NeedleReachEnv(render_mode="human")


def test_a_given_goal_is_the_goal(env) -> None:
    goal = np.array((2.6, -0.1, 3.5))
    observation, _ = env.reset(seed=0, options={"desired_goal": goal})
    assert np.array_equal(observation["desired_goal"], goal)
    observation["desired_goal"][:] = 0
    goal[:] = 0
    assert np.array_equal(env.step(np.zeros(5))[0]["desired_goal"], (2.6, -0.1, 3.5))


def test_rewards_are_those_of_the_goals(env) -> None:
    observation, _ = env.reset(seed=0)
    tips = np.array((2.5, 0.1, 3.5)) + np.array(
        [[[0, 0, 0.0249], [0, 0, 0.0251]], [[0.02, 0.02, 0], [0, 0, 0]]]
    )
    np.testing.assert_array_equal(env.compute_reward(tips, np.array((2.5, 0.1, 3.5)), {}), [[0, -1], [-1, 0]])
    for _ in range(30):
        observation, reward, *_, info = env.step(expert_action(observation))
        assert reward == env.compute_reward(observation["achieved_goal"], observation["desired_goal"], info)
        assert info["is_success"] == (reward == 0)


def test_pictures_show_the_scene_and_disturb_nothing() -> None:
    env = NeedleReachEnv(render_mode="rgb_array")
    plain = roll_out(env, low_sweep(3)[:6], seed=2)
    env.reset(seed=2)
    first = env.render()
    for action in low_sweep(3)[:6]:
        observation, *_ = env.step(action)
    last = env.render()
    env.close()
    assert np.array_equal(observation["achieved_goal"], plain[-1, :3])
    assert first.shape == (360, 480, 3)
    assert first.dtype == np.uint8
    red, green, blue = first.reshape(-1, 3).astype(int).T
    assert np.sum((green > red + 60) & (green > blue + 40)) > 20, "the goal's marker"
    assert np.sum((red > 180) & (green < 215) & (blue < 190)) > 20_000, "the pad"
    assert np.sum((red < 40) & (green < 40) & (blue < 45)) > 100, "the instrument's shaft"
    assert np.abs(first.astype(int) - last).max() > 100


def test_a_locale_with_a_decimal_comma_changes_nothing(env, tmp_path) -> None:
    made = shutil.which("localedef") and subprocess.run(
        ["localedef", "--inputfile=de_DE", "--charmap=UTF-8", tmp_path / "de_DE.UTF-8"],
        capture_output=True,
        text=True,
    )
    if not made or made.returncode:
        pytest.skip("no locale with a decimal comma can be made here (Debian: the package locales)")
    program = """if True:
        import locale
        locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
        assert locale.str(0.5) == "0,5"
        import numpy as np
        from l0_surgical.tasks.needle_reach.environment import NeedleReachEnv
        environment = NeedleReachEnv()
        environment.reset(seed=3)
        print([environment.step(np.ones(5))[0]["achieved_goal"].tolist() for _ in range(3)])
        assert locale.str(0.5) == "0,5"
    """
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"LOCPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    env.reset(seed=3)
    assert json.loads(result.stdout) == [env.step(np.ones(5))[0]["achieved_goal"].tolist() for _ in range(3)]
