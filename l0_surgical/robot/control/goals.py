"""Which goals the jaw's tip may be sent to: judged before anything moves, and answered in metres in the arm's
base frame."""

import itertools
import math

import numpy as np

from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.motion import start_pose
from l0_surgical.robot.control.poses import Pose
from l0_surgical.surgical import ArmTask
from l0_surgical.surgical.kinematics import (
    WRIST_YAW_TO_TIP_M,
    UnreachablePoseError,
    Vector,
    inverse_kinematics,
)
from l0_surgical.system.errors import BadInputError

_SURELY_NO_METRES = 1.0
_OTHER_UNITS = (("millimetres", 1e-3), ("centimetres", 1e-2))
_MARGIN_M = 1e-4  # what is rounded to this is still inside
_PROJECTIONS = 50


def check_goal(goal_m: Vector, task: ArmTask, limits: Limits | None = None) -> Vector:
    """Returns the jaw tip's goal (m, arm's base frame) as three floats if the tool may be brought there.

    Args:
        goal_m: the goal.
        task: whose goal it is.
        limits: those of the arm; where None, only the task's own workspace counts.

    Raises:
        BadInputError: it is not three finite numbers, outside a workspace, or not reachable; says where goals
        may be.
    """
    try:
        values = np.asarray(goal_m, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.shape != (3,) or not np.isfinite(values).all():
        raise BadInputError(
            f"the goal {str(goal_m)[:100]} is not three finite numbers; give x y z in metres: "
            f"{_task_ranges(task)}"
        )
    goal = tuple(values.tolist())
    if (reason := _reason_against(goal, task, limits)) is not None:
        raise BadInputError(f"the goal {_words(goal)} {reason}; {_remedy(goal, task, limits)}")
    return goal


def check_drawn_goals(task: ArmTask, limits: Limits) -> None:
    """Raises BadInputError where the limits do not allow every goal that the task draws."""
    for corner in itertools.product(*zip(task.goals.low, task.goals.high, strict=True)):
        goal = task.arm.world.point_in_rcm(corner)
        if (reason := _reason_against(goal, task, limits)) is not None:
            raise BadInputError(
                f"the task draws goals such as {_words(goal)}, which {reason}; widen the limits, or give "
                "one goal by --goal"
            )


def _reason_against(goal: Vector, task: ArmTask, limits: Limits | None) -> str | None:
    tool = _tool_of(goal)
    in_world = task.arm.world.point_from_rcm(tool)
    if not all(
        low <= value <= high
        for low, value, high in zip(task.arm.workspace_low, in_world, task.arm.workspace_high, strict=True)
    ):
        return f"is outside the task's workspace: {_task_ranges(task)}"
    if limits is None:
        return None
    if not limits.holds(tool):
        return (
            "is outside the workspace of the limits: "
            f"{_ranges(limits.workspace_low_m, limits.workspace_high_m)}"
        )
    try:
        inverse_kinematics(Pose(tool, start_pose(task).orientation).matrix())
    except UnreachablePoseError as error:
        return f"cannot be reached: {error}"
    return None


def _remedy(goal: Vector, task: ArmTask, limits: Limits | None) -> str:
    """Which goal may have been meant."""
    for unit, factor in _OTHER_UNITS:
        if _reason_against(meant := tuple(factor * value for value in goal), task, limits) is None:
            return f"was it in {unit}? Then give {_words(meant)}"
    if max(map(abs, goal)) > _SURELY_NO_METRES:
        return "was it in millimetres? Give metres"
    tool = _tool_of(goal)
    # onto one box and the other in turn, which are convex
    for _ in range(_PROJECTIONS):
        if limits is not None:
            tool = _clipped(tool, limits.workspace_low_m, limits.workspace_high_m, _MARGIN_M)
        in_world = _clipped(
            task.arm.world.point_from_rcm(tool),
            task.arm.workspace_low,
            task.arm.workspace_high,
            task.arm.world.scale * _MARGIN_M,
        )
        tool = task.arm.world.point_in_rcm(in_world)
    near = tuple(round(value, 4) for value in _tip_of(tool))
    return (
        f"near it {_words(near)} is allowed"
        if _reason_against(near, task, limits) is None
        else "choose one farther inside"
    )


def _tool_of(tip: Vector) -> Vector:
    """Where the tool is, upright as the task holds it, when the jaw's tip is at `tip`; the inverse of
    `_tip_of`."""
    return tip[0], tip[1], tip[2] + WRIST_YAW_TO_TIP_M


def _tip_of(tool: Vector) -> Vector:
    return tool[0], tool[1], tool[2] - WRIST_YAW_TO_TIP_M


def _clipped(point: Vector, low: Vector, high: Vector, margin: float) -> Vector:
    x, y, z = (
        min(max(value, least + margin), most - margin)
        for least, value, most in zip(low, point, high, strict=True)
    )
    return x, y, z


def _words(point: Vector) -> str:
    return " ".join(f"{value:.4g}" for value in point)


def _task_ranges(task: ArmTask) -> str:
    corners = [
        task.arm.world.point_in_rcm(corner)
        for corner in itertools.product(*zip(task.arm.workspace_low, task.arm.workspace_high, strict=True))
    ]
    low, high = (tuple(map(end, zip(*corners, strict=True))) for end in (min, max))
    turn = math.degrees(abs(task.arm.world.rcm_yaw_rad)) % 90
    return f"{_ranges(low, high)} (of a box that is turned by {turn:.0f} degrees about z)"


def _ranges(low: Vector, high: Vector) -> str:
    """A box of the tool, told as one of the jaw's tip."""
    ranges = (
        f"{axis} {least:.4f} .. {most:.4f}"
        for axis, least, most in zip("xyz", _tip_of(low), _tip_of(high), strict=True)
    )
    return f"the jaw's tip may be at {', '.join(ranges)} m in the arm's base frame"
