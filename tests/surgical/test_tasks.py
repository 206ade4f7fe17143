"""The surgical tasks as records: what every task must keep, whatever it is, and how it is found."""

import dataclasses

import numpy as np
import pytest

from l0_surgical.policy import find_policy, load_policy, shipped_policies
from l0_surgical.surgical import ArmPlace, ArmTask, Instrument, Scene, arm_task, arm_tasks
from l0_surgical.surgical.kinematics import check_limits
from l0_surgical.system.errors import BadInputError

TASKS = pytest.mark.parametrize("task", arm_tasks(), ids=lambda task: task.name)


def size(fields: tuple) -> int:
    return sum(field.size for field in fields)


def is_between(values: object, low: object, high: object) -> bool:
    return bool((np.asarray(low) <= values).all() and (np.asarray(values) <= high).all())


def is_within(arm: ArmPlace, instrument: Instrument) -> bool:
    return is_between(instrument.position, arm.workspace_low, arm.workspace_high) and is_between(
        instrument.jaw_rad, arm.jaw_low_rad, arm.jaw_high_rad
    )


@TASKS
def test_a_task_is_found_by_its_own_name_and_by_surrols(task: ArmTask) -> None:
    assert arm_task(task.name) is task
    assert arm_task(f"surrol:{task.title}") is task
    assert arm_task(f"surrol:{task.title}-v0") is task


@pytest.mark.parametrize(
    "name", ["cartpole", "", "NeedleReach", "surrol:", "surrol:NeedleReachFast", "needle-reach-v0"]
)
def test_an_unknown_task_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(BadInputError) as refused:
        arm_task(name)
    assert str(refused.value) == (
        f"{name!r} is no task of a surgical arm; known are needle-reach (surrol:NeedleReach)"
    )


def test_the_shipped_policies_are_of_these_tasks() -> None:
    for name in shipped_policies():
        policy = load_policy(find_policy(name))
        task = arm_task(policy.task)
        assert (policy.inputs, policy.outputs) == (task.inputs, task.outputs)


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        arm_task("needle-reach").step_s = 0.1


@TASKS
def test_a_task_begins_where_its_arms_can_be(task: ArmTask) -> None:
    for arm in task.arms:
        check_limits(arm.world.joints_from_eef(arm.start.position, arm.start.axes))
        assert is_within(arm, arm.start)


@TASKS
def test_observations_and_commands_have_the_sizes_of_their_fields_and_stay_inside(task: ArmTask) -> None:
    scene, generator = Scene(tuple(arm.start for arm in task.arms)), np.random.default_rng(0)
    for _ in range(200):
        seen, goal = task.observe(scene), task.goals.draw(generator)
        assert seen.size + goal.size == size(task.inputs)
        targets = task.command(scene, generator.uniform(-1.5, 1.5, size(task.outputs)))
        assert all(is_within(arm, target) for arm, target in zip(task.arms, targets, strict=True))
        scene = Scene(targets)


@TASKS
def test_goals_lie_in_their_box_and_are_the_same_in_the_arms_frame(task: ArmTask) -> None:
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(500):
        goal, goal_m = task.goals.draw(one), task.draw_goal_m(other)
        assert is_between(goal, np.array(task.goals.low) - 1e-12, np.array(task.goals.high) + 1e-12)
        np.testing.assert_allclose(task.arms[0].world.point_from_rcm(goal_m), goal, atol=1e-12)


@TASKS
def test_one_point_is_reached_where_an_array_of_points_is(task: ArmTask) -> None:
    generator = np.random.default_rng(4)
    goals = generator.uniform(task.goals.low, task.goals.high, (2000, 3))
    points = goals + generator.normal(0, 0.015, goals.shape)
    together = task.reached(points, goals)
    assert together.shape == (2000,)
    assert 200 < together.sum() < 1800
    alone = [task.reached(tuple(point), tuple(goal)) for point, goal in zip(points, goals, strict=True)]
    assert all(type(is_so) is bool for is_so in alone)
    assert together.tolist() == alone


def test_needle_reach_reaches_with_the_tip_within_5_mm_and_commands_10_mm_at_most() -> None:
    task = arm_task("needle-reach")
    scene = Scene((task.arm.start,))
    x, y, z = task.achieved(scene)
    assert (x, y) == pytest.approx((2.5, 0.25), abs=1e-9)
    assert z == pytest.approx(3.776 - 5 * 0.0102, abs=1e-9)
    assert task.reached((x, y, z), (x, y, z + 0.0249)) is True
    assert task.reached((x, y, z), (x, y, z + 0.0251)) is False
    (target,) = task.command(scene, (1.0, -0.5, -2.0, 1.0, 1.0))
    np.testing.assert_allclose(np.subtract(target.position, (2.5, 0.25, 3.776)), (0.05, -0.025, -0.05))
    np.testing.assert_allclose(target.axes, task.arm.start.axes, atol=1e-12)
    assert (task.step_s, task.episode_steps, target.jaw_rad) == (0.2, 50, 0.0)
