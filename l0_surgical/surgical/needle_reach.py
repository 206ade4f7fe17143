"""NeedleReach: the jaw's tip is to come to a point above the middle of a needle, the jaw closed.

Source of the numbers: SurRoL (Xu et al. 2021), NeedleReach. Lengths are in its world, five times life size
(`kinematics.SURROL_WORLD`).
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from l0_surgical.policy import Field
from l0_surgical.surgical.kinematics import SURROL_WORLD, Vector, axes_from_euler_xyz, euler_xyz
from l0_surgical.surgical.task import ArmPlace, ArmTask, GoalDistribution, Instrument, Scene

STEP_LENGTH = 0.05
SUCCESS_DISTANCE = 0.025
WORKSPACE_LOW = (2.48, -0.27, 3.426)
WORKSPACE_HIGH = (3.02, 0.27, 3.856)
HELD_ROLL_RAD, HELD_PITCH_RAD = -math.pi / 2, 0.0
CLOSED_JAW_RAD = 0.0
NEEDLE_CENTRE = (2.75, 0.0)
NEEDLE_SPREAD = 0.05
NEEDLE_RADIUS = 0.1
NEEDLE_HEIGHT = 3.410576
GOAL_ABOVE_NEEDLE = 0.025


def observe(scene: Scene) -> np.ndarray:
    """Returns (7,): the eef's position (scaled m) and Euler angles (rad, fixed xyz), the jaw's angle
    (rad)."""
    (instrument,) = scene.instruments
    return np.array((*instrument.position, *euler_xyz(instrument.axes), instrument.jaw_rad))


def achieved(scene: Scene) -> Vector:
    """Returns the position of the jaw's tip (scaled m)."""
    (instrument,) = scene.instruments
    return SURROL_WORLD.tip_from_eef(instrument.position, instrument.axes)


def command(scene: Scene, action: Sequence[float] | np.ndarray) -> tuple[Instrument]:
    """Returns where an action (5,) sends the instrument; only dx, dy, dz in [-1, 1] act.

    The target is taken from the pose where the arm *is* (so lag does not accumulate) and clipped to the
    workspace; the instrument is held upright at its present yaw, the jaw closed.
    """
    (instrument,) = scene.instruments
    x, y, z = (
        min(max(here + STEP_LENGTH * min(max(float(step), -1.0), 1.0), low), high)
        for here, step, low, high in zip(
            instrument.position, action[:3], WORKSPACE_LOW, WORKSPACE_HIGH, strict=True
        )
    )
    axes = axes_from_euler_xyz(HELD_ROLL_RAD, HELD_PITCH_RAD, euler_xyz(instrument.axes)[2])
    return (Instrument((x, y, z), axes, CLOSED_JAW_RAD),)


def reached(tips: Any, goals: Any) -> Any:
    """Whether tips (..., 3) are less than 5 mm (real) from their goals (..., 3)."""
    # one point, which every step asks about, takes a quarter of an array's time
    if isinstance(tips, tuple):
        return math.dist(tips, goals) < SUCCESS_DISTANCE
    return np.linalg.norm(np.subtract(tips, goals), axis=-1) < SUCCESS_DISTANCE


def draw_needle(generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draws a needle in the task's distribution; returns the goal (3,), scaled m, above its middle, and the
    needle's yaw (rad)."""
    centre = NEEDLE_CENTRE + generator.uniform(-NEEDLE_SPREAD, NEEDLE_SPREAD, 2)
    yaw = generator.uniform(-math.pi / 2, math.pi / 2)
    middle = centre - NEEDLE_RADIUS * np.array((math.cos(yaw), math.sin(yaw)))
    return np.array((*middle, NEEDLE_HEIGHT + GOAL_ABOVE_NEEDLE)), yaw


def draw_goal(generator: np.random.Generator) -> np.ndarray:
    """Draws the goal (3,), scaled m, above such a needle."""
    return draw_needle(generator)[0]


NEEDLE_REACH = ArmTask(
    name="needle-reach",
    title="NeedleReach",
    inputs=(
        Field("eef_position", 3, "scaled_m"),
        Field("eef_euler", 3, "rad"),
        Field("jaw_angle", 1, "rad"),
        Field("desired_goal", 3, "scaled_m"),
    ),
    outputs=(
        Field("move", 3, "cm", -1.0, 1.0),
        Field("turn", 1, "30 deg", -1.0, 1.0),
        Field("jaw", 1, "1", -1.0, 1.0),
    ),
    step_s=0.2,
    episode_steps=50,
    arms=(
        ArmPlace(
            world=SURROL_WORLD,
            start=Instrument(
                (2.5, 0.25, 3.776),
                axes_from_euler_xyz(HELD_ROLL_RAD, HELD_PITCH_RAD, math.pi / 2),
                CLOSED_JAW_RAD,
            ),
            workspace_low=WORKSPACE_LOW,
            workspace_high=WORKSPACE_HIGH,
            jaw_low_rad=CLOSED_JAW_RAD,
            jaw_high_rad=CLOSED_JAW_RAD,
        ),
    ),
    observe=observe,
    achieved=achieved,
    command=command,
    goals=GoalDistribution(
        low=(
            NEEDLE_CENTRE[0] - NEEDLE_SPREAD - NEEDLE_RADIUS,
            -NEEDLE_SPREAD - NEEDLE_RADIUS,
            NEEDLE_HEIGHT + GOAL_ABOVE_NEEDLE,
        ),
        high=(
            NEEDLE_CENTRE[0] + NEEDLE_SPREAD,
            NEEDLE_SPREAD + NEEDLE_RADIUS,
            NEEDLE_HEIGHT + GOAL_ABOVE_NEEDLE,
        ),
        draw=draw_goal,
    ),
    reached=reached,
)
