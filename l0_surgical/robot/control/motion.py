"""Motion between poses, a wanted pose a tick."""

import math
from dataclasses import dataclass

from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.surgical.kinematics import SURROL_WORLD, axes_from_euler_xyz
from l0_surgical.surgical.needle_reach import START_EULER, START_POSITION, STEP_S

START_POSE = Pose.from_matrix(SURROL_WORLD.tool_from_eef(START_POSITION, axes_from_euler_xyz(*START_EULER)))
"""Where an episode of NeedleReach begins: the tool in the arm's base frame."""

# the largest slope of 3 t^2 - 2 t^3
_PEAK = 1.5


@dataclass
class Segment:
    """A straight way with a turn at constant rate, in `ticks` wanted poses.

    Attributes:
        start: where it begins.
        target: its end.
        ticks: how many poses lead there.
        is_smooth: starts and ends at rest (cubic) instead of at constant speed.
    """

    start: Pose
    target: Pose
    ticks: int
    is_smooth: bool
    done: int = 0

    @property
    def is_over(self) -> bool:
        return self.done >= self.ticks

    def next_pose(self) -> Pose:
        """The next wanted pose; the target once the segment is over."""
        self.done = min(self.done + 1, self.ticks)
        return self.at(self.done)

    def at(self, ticks: int) -> Pose:
        """The wanted pose after so many ticks."""
        part = ticks / self.ticks
        return self.start.towards(self.target, part * part * (3 - 2 * part) if self.is_smooth else part)


def approach(here: Pose, limits: Limits, servo_rate: float) -> Segment:
    """The slow way from `here` to the start pose."""
    seconds = max(
        here.distance_to(START_POSE) / limits.approach_speed_m_per_s,
        here.angle_to(START_POSE) / limits.approach_speed_rad_per_s,
    )
    return Segment(here, START_POSE, max(1, math.ceil(_PEAK * seconds * servo_rate)), is_smooth=True)


def policy_step(here: Pose, target: Pose, servo_rate: float, speed: float) -> Segment:
    """One action of the policy, which takes 0.2 s at full speed."""
    return Segment(here, target, max(1, round(STEP_S / speed * servo_rate)), is_smooth=False)
