"""Motion between poses, a wanted pose a tick."""

import functools
import math
from dataclasses import dataclass

from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.surgical import ArmTask

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


@functools.cache
def start_pose(task: ArmTask) -> Pose:
    """Where an episode of a task of one arm begins: the tool in the arm's base frame."""
    start = task.arm.start
    return Pose.from_matrix(task.arm.world.tool_from_eef(start.position, start.axes))


def approach(here: Pose, start: Pose, limits: Limits, servo_rate: float) -> Segment:
    """The slow way from `here` to the start pose."""
    seconds = max(
        here.distance_to(start) / limits.approach_speed_m_per_s,
        here.angle_to(start) / limits.approach_speed_rad_per_s,
    )
    return Segment(here, start, max(1, math.ceil(_PEAK * seconds * servo_rate)), is_smooth=True)


def policy_step(here: Pose, target: Pose, servo_rate: float, seconds: float) -> Segment:
    """One action of the policy, which takes so many seconds."""
    return Segment(here, target, max(1, round(seconds * servo_rate)), is_smooth=False)
