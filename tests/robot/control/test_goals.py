"""Goals are judged before anything moves, and answered in what a person types: metres, in the arm's base
frame."""

import dataclasses
import re

import numpy as np
import pytest
from rig import TASK

from l0_surgical.robot.control.goals import check_drawn_goals, check_goal
from l0_surgical.robot.control.limits import load_limits
from l0_surgical.system.errors import BadInputError

LIMITS = load_limits()
INSIDE = (0.06, 0.07, -0.165)
RANGES = (
    "the jaw's tip may be at x -0.0147 .. 0.1237, y -0.0037 .. 0.1347, z -0.1774 .. -0.0914 m in the "
    "arm's base frame"
)


def refusal(goal: object, limits: object = LIMITS) -> str:
    with pytest.raises(BadInputError) as refused:
        check_goal(goal, TASK, limits)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_goal_inside_is_three_floats() -> None:
    assert check_goal(np.array(INSIDE), TASK, LIMITS) == check_goal(list(INSIDE), TASK) == INSIDE


@pytest.mark.parametrize(
    "goal", [(float("nan"), 0, 0), (0, float("inf"), 0), (0, 0), "abc", None, (10**400, 0, 0), ((1, 2, 3),)]
)
def test_what_is_not_three_finite_numbers(goal: object) -> None:
    assert f"is not three finite numbers; give x y z in metres: {RANGES}" in refusal(goal)


@pytest.mark.parametrize(
    ("goal", "remedy"),
    [
        ((50, 60, -120), "was it in millimetres? Then give 0.05 0.06 -0.12"),
        ((5, 6, -12), "was it in centimetres? Then give 0.05 0.06 -0.12"),
        ((50, 60, -400), "was it in millimetres? Give metres"),
        ((0.06, 0.07, 0.165), "near it 0.06 0.07 -0.0915 is allowed"),
    ],
)
def test_outside_the_task_it_names_the_box_and_asks_about_units(goal: tuple[float, ...], remedy: str) -> None:
    line = refusal(goal)
    assert line.startswith(
        f"the goal {goal[0]:g} {goal[1]:g} {goal[2]:g} is outside the task's workspace: {RANGES}"
    )
    assert line.endswith(remedy)
    assert "scaled" not in line


def test_outside_the_limits_it_names_their_box_for_the_tip() -> None:
    goal = (0.06, 0.07, -0.1685)
    assert check_goal(goal, TASK) == goal
    line = refusal(goal)
    assert "outside the workspace of the limits" in line
    assert (
        f"z {LIMITS.workspace_low_m[2] - 0.0102:.4f} .. {LIMITS.workspace_high_m[2] - 0.0102:.4f} m" in line
    )


@pytest.mark.parametrize("limits", [LIMITS, None], ids=["limits", "task"])
def test_the_goal_that_it_offers_is_allowed_and_near(limits: object) -> None:
    generator = np.random.default_rng(0)
    offered = 0
    for goal in generator.uniform((-0.05, -0.05, -0.2), (0.16, 0.16, -0.05), (300, 3)):
        try:
            check_goal(tuple(goal), TASK, limits)
        except BadInputError as error:  # noqa: PERF203 (most raise)
            if near := re.search("near it (.*) is allowed", str(error)):
                found = check_goal(tuple(map(float, near[1].split())), TASK, limits)
                assert np.linalg.norm(np.subtract(found, goal)) < 0.12
                offered += 1
    assert offered > 100


def test_every_goal_that_the_task_draws_lies_in_the_box_that_is_judged() -> None:
    generator = np.random.default_rng(1)
    drawn = np.array([TASK.goals.draw(generator) for _ in range(2000)])
    assert (drawn >= np.array(TASK.goals.low) - 1e-12).all()
    assert (drawn <= np.array(TASK.goals.high) + 1e-12).all()
    # and fills it
    assert (np.ptp(drawn[:, :2], axis=0) > 0.9 * np.subtract(TASK.goals.high, TASK.goals.low)[:2]).all()
    check_drawn_goals(TASK, LIMITS)
    for goal in drawn[:50]:
        check_goal(TASK.arm.world.point_in_rcm(tuple(goal)), TASK, LIMITS)


def test_limits_that_do_not_allow_the_drawn_goals() -> None:
    high = dataclasses.replace(LIMITS, workspace_low_m=(-0.03, -0.03, -0.15))
    with pytest.raises(
        BadInputError,
        match=r"^the task draws goals such as .* outside the workspace of the limits: .* one goal by --goal$",
    ):
        check_drawn_goals(TASK, high)
