"""Motion between poses, a setpoint a tick."""

import math
from dataclasses import dataclass

from l0_surgical.control.kinematics import SURROL_WORLD, axes_from_euler_xyz
from l0_surgical.control.limits import Limits
from l0_surgical.control.needle_reach import START_EULER, START_POSITION, STEP_S
from l0_surgical.control.poses import Pose

START_POSE = Pose.from_matrix(SURROL_WORLD.tool_from_eef(START_POSITION, axes_from_euler_xyz(*START_EULER)))
"""Where an episode of NeedleReach begins: the tool in the arm's base frame."""

# the largest slope of 3 t^2 - 2 t^3
_PEAK = 1.5


@dataclass
class Segment:
    """A straight way with a turn at constant rate, in `ticks` setpoints.

    Each setpoint is computed from the one before, so that one which was held back is caught up with in the ticks that remain.

    Attributes:
        target: its end.
        ticks: how many setpoints lead there.
        is_smooth: starts and ends at rest (cubic) instead of at constant speed.
    """

    target: Pose
    ticks: int
    is_smooth: bool
    done: int = 0

    @property
    def is_over(self) -> bool:
        return self.done >= self.ticks

    def next_pose(self, here: Pose) -> Pose:
        """The next setpoint, from the one before; the target once the segment is over."""
        if self.is_over:
            return self.target
        remaining = 1 - self._progress(self.done)
        self.done += 1
        return here.towards(self.target, (self._progress(self.done) - 1 + remaining) / remaining)

    def _progress(self, ticks: int) -> float:
        part = ticks / self.ticks
        return part * part * (3 - 2 * part) if self.is_smooth else part


def approach(here: Pose, limits: Limits, servo_rate: float) -> Segment:
    """The slow way from `here` to the start pose."""
    seconds = max(
        here.distance_to(START_POSE) / limits.approach_speed_m_per_s,
        here.angle_to(START_POSE) / limits.approach_speed_rad_per_s,
    )
    return Segment(START_POSE, max(1, math.ceil(_PEAK * seconds * servo_rate)), is_smooth=True)


def policy_step(target: Pose, servo_rate: float, speed: float) -> Segment:
    """One action of the policy, which takes 0.2 s at full speed."""
    return Segment(target, max(1, round(STEP_S / speed * servo_rate)), is_smooth=False)
