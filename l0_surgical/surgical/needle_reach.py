"""What a NeedleReach action commands: one rule for the simulated arm and the real one.

All lengths are in the scaled world (`kinematics.SURROL_WORLD`, five times life size); the policy acts every
`STEP_S` seconds.
"""

import math
from collections.abc import Sequence

import numpy as np

from l0_surgical.policy import Field
from l0_surgical.surgical.kinematics import Axes, Vector, axes_from_euler_xyz, euler_xyz

INPUTS = (
    Field("eef_position", 3, "scaled_m"),
    Field("eef_euler", 3, "rad"),
    Field("jaw_angle", 1, "rad"),
    Field("desired_goal", 3, "scaled_m"),
)
OUTPUTS = (
    Field("move", 3, "cm", -1.0, 1.0),
    Field("turn", 1, "30 deg", -1.0, 1.0),
    Field("jaw", 1, "1", -1.0, 1.0),
)
STEP_S = 0.2
STEP_LENGTH = 0.05
SUCCESS_DISTANCE = 0.025
WORKSPACE_LOW = (2.48, -0.27, 3.426)
WORKSPACE_HIGH = (3.02, 0.27, 3.856)
HELD_ROLL_RAD, HELD_PITCH_RAD = -math.pi / 2, 0.0
START_POSITION = (2.5, 0.25, 3.776)
START_EULER = (HELD_ROLL_RAD, HELD_PITCH_RAD, math.pi / 2)
NEEDLE_CENTRE = (2.75, 0.0)
NEEDLE_SPREAD = 0.05
NEEDLE_RADIUS = 0.1
NEEDLE_HEIGHT = 3.410576
GOAL_ABOVE_NEEDLE = 0.025
# what `sample_goal` may draw, from above a needle's middle
GOALS_LOW = (
    NEEDLE_CENTRE[0] - NEEDLE_SPREAD - NEEDLE_RADIUS,
    -NEEDLE_SPREAD - NEEDLE_RADIUS,
    NEEDLE_HEIGHT + GOAL_ABOVE_NEEDLE,
)
GOALS_HIGH = (
    NEEDLE_CENTRE[0] + NEEDLE_SPREAD,
    NEEDLE_SPREAD + NEEDLE_RADIUS,
    NEEDLE_HEIGHT + GOAL_ABOVE_NEEDLE,
)
EPISODE_STEPS = 50


def commanded_eef(position: Vector, axes: Axes, action: Sequence[float] | np.ndarray) -> tuple[Vector, Axes]:
    """Returns the eef's target position (scaled m) and axes for an action (5,), of which only dx, dy, dz in
    [-1, 1] act.

    The target is taken from the pose where the arm *is* (so lag does not accumulate) and clipped to the
    workspace; the instrument is held upright at its present yaw. `action` must be finite: the caller refuses
    what is not.
    """
    x, y, z = (
        min(max(here + STEP_LENGTH * min(max(float(step), -1.0), 1.0), low), high)
        for here, step, low, high in zip(position, action[:3], WORKSPACE_LOW, WORKSPACE_HIGH, strict=True)
    )
    return (x, y, z), axes_from_euler_xyz(HELD_ROLL_RAD, HELD_PITCH_RAD, euler_xyz(axes)[2])


def policy_observation(position: Vector, axes: Axes, jaw_rad: float) -> np.ndarray:
    """Returns the policy's observation (7,): the eef's position (scaled m), its Euler angles (rad, fixed
    xyz), the jaw angle (rad)."""
    return np.array((*position, *euler_xyz(axes), jaw_rad))


def sample_goal(generator: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draws a needle in the task's distribution; returns the goal (3,), scaled m, above its middle, and the
    needle's yaw (rad)."""
    centre = NEEDLE_CENTRE + generator.uniform(-NEEDLE_SPREAD, NEEDLE_SPREAD, 2)
    yaw = generator.uniform(-math.pi / 2, math.pi / 2)
    middle = centre - NEEDLE_RADIUS * np.array((math.cos(yaw), math.sin(yaw)))
    return np.array((*middle, NEEDLE_HEIGHT + GOAL_ABOVE_NEEDLE)), yaw
