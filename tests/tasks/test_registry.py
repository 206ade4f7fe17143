"""The registry: names, layouts, and an import that loads no simulator."""

import subprocess
import sys

import gymnasium
import numpy as np
import pytest

from l0_surgical.system.errors import BadInputError
from l0_surgical.tasks import Task, flatten_observation, get_task, known_tasks


def test_needle_reach_is_complete() -> None:
    task = get_task("needle-reach")
    assert [(field.name, field.size, field.unit) for field in task.inputs] == [
        ("eef_position", 3, "scaled_m"),
        ("eef_euler", 3, "rad"),
        ("jaw_angle", 1, "rad"),
        ("desired_goal", 3, "scaled_m"),
    ]
    env = task.make()
    observation, _ = env.reset(seed=0)
    assert flatten_observation(observation).shape == (sum(field.size for field in task.inputs),)
    assert env.action_space.shape == (sum(field.size for field in task.outputs),)
    assert all((field.low, field.high) == (-1, 1) for field in task.outputs)
    action = task.expert(env, observation)
    assert env.action_space.contains(action)
    assert np.abs(action).max() == pytest.approx(0.3)
    env.close()


def test_observations_are_joined_along_the_last_axis() -> None:
    observation = {
        "observation": np.ones((4, 7), np.float32),
        "achieved_goal": np.zeros((4, 3)),
        "desired_goal": np.full((4, 3), 2.0),
    }
    flat = flatten_observation(observation)
    assert flat.shape == (4, 10)
    assert flat.dtype == np.float64
    np.testing.assert_array_equal(flat[0], [1] * 7 + [2] * 3)
    np.testing.assert_array_equal(flatten_observation(np.arange(3, dtype=np.float32)), [0, 1, 2])


def test_other_gymnasium_tasks() -> None:
    task = get_task("FetchReach-v4")
    assert [(field.name, field.size) for field in task.inputs] == [("observation", 10), ("desired_goal", 3)]
    assert [(field.size, field.low, field.high) for field in task.outputs] == [(4, -1, 1)]
    assert task.expert is None
    env = task.make()
    observation, _ = env.reset(seed=0)
    assert flatten_observation(observation).shape == (13,)
    env.close()
    assert [field.size for field in get_task("Pendulum-v1").inputs] == [3]


class Boxed(gymnasium.Env):
    """Observes two numbers and takes actions in a box that is given."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))

    def __init__(self, box: gymnasium.spaces.Box, render_mode: str | None = None) -> None:
        self.action_space, self.render_mode = box, render_mode


def task_with(low: list[float], high: list[float], dtype: type = np.float64) -> Task:
    box = gymnasium.spaces.Box(np.array(low), np.array(high), dtype=dtype)
    gymnasium.register("test/Boxed-v0", Boxed, kwargs={"box": box}, max_episode_steps=5)
    try:
        return get_task("test/Boxed-v0")
    finally:
        del gymnasium.registry["test/Boxed-v0"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_axis_keeps_its_own_limits(dtype: type) -> None:
    low, high = np.array([0, -0.79, -1], dtype), np.array([5, 0.79, 1], dtype)
    fields = task_with(low, high, dtype).outputs
    assert [(field.name, field.size) for field in fields] == [
        ("action_0", 1),
        ("action_1", 1),
        ("action_2", 1),
    ]
    np.testing.assert_array_equal(np.array([(field.low, field.high) for field in fields]).T, [low, high])
    (even,) = task_with([-0.79] * 3, [5.0] * 3, dtype).outputs
    assert (even.name, even.size, even.low, even.high) == ("action", 3, dtype(-0.79), 5.0)


@pytest.mark.parametrize(
    ("low", "high", "dtype", "says"),
    [
        ([-1, -np.inf], [1, 1], np.float64, r"finite limits with low < high; axis 1 has \[-inf, 1\]"),
        ([-1, -1], [np.inf, np.inf], np.float32, r"axis 0 has \[-1, inf\]"),
        ([0.3, 0], [0.3, 1], np.float64, r"axis 0 has \[0.3, 0.3\]"),
        ([0, 0], [9, 9], np.int64, "are int64; policies give float32"),
    ],
)
def test_boxes_that_no_policy_can_keep_to_are_refused(
    low: list[float], high: list[float], dtype: type, says: str
) -> None:
    with pytest.raises(BadInputError, match=f"the actions of test/Boxed-v0 .*{says}"):
        task_with(low, high, dtype)


class Switches(gymnasium.Env):
    """Three switches at a time, which is neither a vector of numbers nor one choice."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.MultiBinary(3)

    def __init__(self, render_mode: str | None = None) -> None:
        self.render_mode = render_mode


gymnasium.register("test/Switches-v0", Switches, max_episode_steps=10)


def test_tasks_with_a_choice_of_actions() -> None:
    task = get_task("lunar-lander")
    assert task.discrete
    assert [(field.name, field.low) for field in task.outputs][:2] == [
        ("nothing", None),
        ("left_engine", None),
    ]
    assert sum(field.size for field in task.inputs) == 8
    other = get_task("MountainCar-v0")
    assert (other.discrete, [field.size for field in other.outputs]) == (True, [3])


def test_refused_tasks() -> None:
    with pytest.raises(BadInputError, match=r"unknown task 'needle-raech'.*needle-reach.*surrol:NeedlePick"):
        get_task("needle-raech")
    with pytest.raises(BadInputError, match="only Box actions of one axis and Discrete"):
        get_task("test/Switches-v0")
    assert "needle-reach" in known_tasks()


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("CartPol-v1", "Did you mean: `CartPole`"),
        ("CartPole-v7", "It provides versioned environments: . `v0`, `v1` ."),
        ("CartPole", "did you mean CartPole-v1"),
        ("mylab/Cart-v0", "Namespace mylab not found"),
        (":CartPole-v1", "names the module '', which cannot be imported"),
    ],
)
def test_what_is_near_an_unknown_name_is_said(name: str, near: str) -> None:
    with pytest.raises(BadInputError, match=near):
        get_task(name)


MYLAB = """
import gymnasium
print("chatter of a module")
gymnasium.register("mylab/Cart-v0", entry_point="gymnasium.envs.classic_control:CartPoleEnv", max_episode_steps=100)
"""


def test_a_module_that_registers_its_environments_is_imported(tmp_path, capsys, monkeypatch) -> None:
    (tmp_path / "mylab").mkdir()
    (tmp_path / "mylab" / "__init__.py").write_text("")
    (tmp_path / "mylab" / "envs.py").write_text(MYLAB)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    task = get_task("mylab.envs:mylab/Cart-v0")
    assert capsys.readouterr().out == ""
    assert (task.name, task.discrete, [field.size for field in task.inputs]) == (
        "mylab.envs:mylab/Cart-v0",
        True,
        [4],
    )
    env = task.open()
    assert env.spec.max_episode_steps == 100
    env.close()
    with pytest.raises(
        BadInputError,
        match=r"the module mylab.envs registers no environment 'mylab/Car-v0' \(.*Did you mean: `Cart`",
    ):
        get_task("mylab.envs:mylab/Car-v0")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            None,
            "cannot be imported: ModuleNotFoundError: No module named 'absent_lab'; install it, or put its "
            "folder into PYTHONPATH",
        ),
        (
            "import no_such_dependency",
            "cannot be imported: ModuleNotFoundError: No module named 'no_such_dependency'",
        ),
        ("def broken(:", "cannot be imported: SyntaxError"),
        ("raise SystemExit(2)", "cannot be imported: SystemExit: 2"),
        ("", "the module absent_lab registers no environment 'Cart-v0'"),
    ],
)
def test_a_module_that_does_not_help_is_one_line(
    source: str | None, said: str, tmp_path, monkeypatch
) -> None:
    if source is not None:
        (tmp_path / "absent_lab.py").write_text(source)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "absent_lab", raising=False)
    with pytest.raises(BadInputError, match=said) as caught:
        get_task("absent_lab:Cart-v0")
    assert "\n" not in str(caught.value)


class Spaces(gymnasium.Env):
    def __init__(self, observation_space: gymnasium.Space, action_space: gymnasium.Space) -> None:
        self.observation_space, self.action_space = observation_space, action_space


BOX, CHOICE = gymnasium.spaces.Box(-1, 1, (2,)), gymnasium.spaces.Discrete(3)


@pytest.mark.parametrize(
    ("observed", "taken", "said"),
    [
        (
            gymnasium.spaces.Discrete(4),
            CHOICE,
            "only vectors are supported: register it with gymnasium.wrappers.FlattenObservation",
        ),
        (gymnasium.spaces.Tuple((BOX, BOX)), CHOICE, "only vectors are supported"),
        (gymnasium.spaces.Box(0, 255, (8, 8, 3), np.uint8), CHOICE, "only vectors are supported"),
        (gymnasium.spaces.Box(-1, 1, (0,)), CHOICE, "only vectors are supported"),
        (gymnasium.spaces.Dict({"observation": BOX}), CHOICE, "needs observation and desired_goal"),
        (
            gymnasium.spaces.Dict({"observation": BOX, "desired_goal": CHOICE}),
            CHOICE,
            "only vectors are supported",
        ),
        (BOX, gymnasium.spaces.MultiDiscrete([2, 3]), "only Box actions of one axis and Discrete"),
        (BOX, gymnasium.spaces.Box(0, 9, (2,), np.int64), "are int64; policies give float32"),
        (BOX, gymnasium.spaces.Box(-1, 1, (2, 2)), "only Box actions of one axis and Discrete"),
    ],
)
def test_spaces_that_no_policy_serves_are_refused(
    observed: gymnasium.Space, taken: gymnasium.Space, said: str
) -> None:
    gymnasium.registry.pop("test/Spaces-v0", None)
    gymnasium.register(
        "test/Spaces-v0",
        Spaces,
        max_episode_steps=5,
        kwargs={"observation_space": observed, "action_space": taken},
    )
    with pytest.raises(BadInputError, match=said) as caught:
        get_task("test/Spaces-v0")
    assert "\n" not in str(caught.value)


def test_importing_the_registry_loads_no_simulator() -> None:
    code = (
        "import sys, l0_surgical.tasks; print([m for m in ('torch', 'pybullet', 'gymnasium_robotics', "
        "'mujoco') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_opening_needle_reach_prints_nothing() -> None:
    code = "import l0_surgical.tasks as t; e = t.get_task('needle-reach').make(); e.reset(seed=0); e.close()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.parametrize("module", ["kinematics", "needle_reach"])
def test_the_robot_side_needs_no_simulator(module) -> None:
    code = (
        f"import sys, l0_surgical.surgical.{module}; print([m for m in ('torch', 'pybullet', "
        "'gymnasium') if m in sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
