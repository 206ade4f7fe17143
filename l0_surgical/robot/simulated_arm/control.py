"""What commands make of the arm's setpoint: the control spaces and modes of the dVRK's arm
(sawIntuitiveResearchKit 2.4).

Each command switches the arm to a space (joint, Cartesian) and a mode (position, trajectory, effort) and
leaves a goal; once in a cycle the newest goal becomes the setpoint. Kept from the original, because a
controller meets it: the jaw is a seventh joint of every move_*, so that any move takes it to the goal of the
last jaw/move_jp, a servo_cp ends that as it ends every move, and one that is ended leaves the jaw at the
angle of its fourth disc; jaw/servo_jp is clipped under joint control alone; move_jr counts beyond the limits;
a servo_cs that has nothing but a force goes to all joints at 0.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from l0_surgical.robot.simulated_arm import tool
from l0_surgical.robot.simulated_arm.trajectory import MAX_ACCELERATION, MAX_SPEED, Trajectory
from l0_surgical.surgical.kinematics import (
    MIN_DEPTH_M,
    RCM_TO_WRIST_M,
    forward_kinematics,
    inverse_kinematics,
)

Space = Literal["joint", "cartesian"]
Mode = Literal["position", "trajectory", "effort"]

# of the shaft's end from the remote centre of motion; Cartesian control begins a little before
SAFE_DISTANCE_M, SAFE_DISTANCE_BUFFER_M = 0.045, 0.002
# after so long without a new goal the arm counts as being at rest
_RESTING_S = 0.02
_HOME_TOLERANCE = 0.05236


@dataclass(frozen=True)
class CartesianGoal:
    """The tool's pose (4, 4) in the frame of Cartesian data; None: stay where the joints are, or with only a
    force all of them at 0."""

    pose: np.ndarray | None
    has_velocity: bool = False


class Control:
    """The setpoint of one arm and its jaw.

    Args:
        tell: called with an event's topic and its value.
        busy: called with whether a move_* is under way, when that changes.

    Attributes:
        setpoint, measured: of the joints and the jaw (7,), rad and m.
        space, mode: None until a command has chosen them.
        base_frame: the pose (4, 4) of the arm's base in the frame that Cartesian data are in.
        is_checked: whether a measured position far from the setpoint is a fault.
        ratios: of the speed and of the acceleration of move_*, each in (0, 1].
    """

    def __init__(self, tell: Callable[[str, str | bool], None], busy: Callable[[bool], None]) -> None:
        self._tell = tell
        self._busy = busy
        self.setpoint, self.measured = np.zeros(7), np.zeros(7)
        self.space: Space | None = None
        self.mode: Mode | None = None
        self.base_frame = np.eye(4)
        self.is_checked = False
        self.ratios = (1.0, 1.0)
        self.is_moving = False
        self._is_new = False
        self._goal, self._velocity = np.zeros(7), np.zeros(7)
        self._cartesian_goal = CartesianGoal(None)
        self._jaw = 0.0
        self._end = np.zeros(7)
        self._trajectory: Trajectory | None = None
        self._seconds = 0.0
        self._measured_velocity, self._since_goal_s = np.zeros(7), 0.0

    def switch(self, space: Space | None, mode: Mode | None) -> bool:
        """Changes the control space and mode; False where Cartesian control may not begin, as the tool is not
        past the cannula."""
        if mode != self.mode and mode in ("position", "trajectory"):
            self._jaw = float(self.setpoint[6])
        if space != self.space and space == "cartesian" and not self._is_past_cannula():
            return False
        self.space = space
        if mode != self.mode:
            if self.mode == "trajectory" and self.is_moving:
                self._end_move(False)
            if mode in ("position", "trajectory"):
                self.is_checked, self._goal = True, self.setpoint.copy()
            if mode == "position":
                self._is_new = False
            elif mode == "trajectory":
                self._velocity = self._measured_velocity.copy() if self.mode == "position" else np.zeros(7)
                self._trajectory = None
            elif mode == "effort":
                self.is_checked = False
            self.mode = mode
        return True

    def servo_joints(self, joints: np.ndarray) -> None:
        """Joints (6,) to be at, at once; fewer change the control mode only."""
        self.switch("joint", "position")
        if len(joints) >= 6:
            self._goal[:6] = joints[:6]
            self._is_new = True

    def servo_by(self, change: np.ndarray) -> None:
        """Likewise, how far (6,) from the setpoint, or from the goal that has come in this cycle."""
        self.switch("joint", "position")
        if not self._is_new:
            self._goal = self.setpoint.copy()
        if len(change) == 6:
            self._goal[:6] += change
            self._is_new = True

    def hold(self) -> None:
        self.switch("joint", "position")
        self._goal = self.setpoint.copy()
        self._is_new = True

    def servo_cartesian(self, goal: CartesianGoal) -> bool:
        """False as `switch`."""
        is_past_cannula = self.switch("cartesian", "position")
        self._cartesian_goal, self._is_new = goal, True
        return is_past_cannula

    def move_joints(self, joints: np.ndarray) -> None:
        """Joints (6,) to move to within the speed limits."""
        self.switch("joint", "trajectory")
        self._begin_move()
        self._end[:6] = np.clip(joints, tool.LOWER[:6], tool.UPPER[:6])

    def move_by(self, change: np.ndarray) -> None:
        """How far (6,) beyond the goal of a running move_*, or beyond the setpoint."""
        self.switch("joint", "trajectory")
        if self.is_moving:
            self._end[:6] += change
        else:
            self._end[:6] = change
            self._end += self.setpoint
        self._begin_move()

    def move_cartesian(self, pose: np.ndarray) -> bool:
        """False as `switch`; see `joints_for` for errors."""
        is_past_cannula = self.switch("cartesian", "trajectory")
        joints = self.joints_for(pose)
        self._begin_move()
        self._end[:6] = np.clip(joints, tool.LOWER[:6], tool.UPPER[:6])
        return is_past_cannula

    def servo_jaw(self, angle: Sequence[float]) -> None:
        """The angle (1,), rad, to be at, at once."""
        if self.mode != "position":
            self.switch(self.space or "joint", "position")
            self._cartesian_goal = CartesianGoal(self.base_frame @ forward_kinematics(self.setpoint[:6]))
        if len(angle) > 0:
            self._jaw = self._goal[6] = angle[0]
            self._is_new = True

    def move_jaw(self, angle: Sequence[float]) -> None:
        """The angle (1,), rad, to move to."""
        if self.mode != "trajectory":
            self.switch(self.space or "joint", "trajectory")
            self._end = self.setpoint.copy()
        self._begin_move()
        if len(angle) > 0:
            self._jaw = self._end[6] = angle[0]

    def set_ratios(self, speed: float, acceleration: float) -> None:
        """Also of a move that is under way."""
        self.ratios = (speed, acceleration)
        self._trajectory = None

    def begin_homing(self, end: np.ndarray) -> None:
        """A move to joints and jaw (7,) that no command switches off."""
        self._goal, self._velocity = self.setpoint.copy(), np.zeros(7)
        self.switch("joint", "trajectory")
        self._trajectory, self._end = None, end.copy()

    def home(self, seconds: float) -> bool:
        """A cycle of it; whether it is over."""
        self._since_goal_s += seconds
        is_over = self._follow(seconds)
        self._send(self._goal)
        return is_over and bool((np.abs(self._end - self.measured) < _HOME_TOLERANCE).all())

    def run(self, seconds: float) -> None:
        """A cycle: the newest goal becomes the setpoint."""
        self._since_goal_s += seconds
        if self._since_goal_s > _RESTING_S:
            self._measured_velocity = np.zeros(7)
        if self.mode == "position" and self._is_new:
            self._is_new = False
            if self.space == "joint":
                self._send(self._goal)
            else:
                self._send(self._cartesian_joints())
        elif self.mode == "trajectory" and self.is_moving:
            is_over = self._follow(seconds)
            self._send(self._goal)
            if is_over:
                self._end_move(True)

    def joints_for(self, pose: np.ndarray) -> np.ndarray:
        """The joints (6,), which may be beyond their limits, for a pose (4, 4) in the frame of Cartesian
        data; no numbers for none.

        A shaft whose end would be too near to the remote centre of motion is pushed away from it, or at least
        not brought nearer.

        Raises:
            UnreachablePoseError: there are none.
        """
        if not np.isfinite(pose).all():
            return np.full(6, np.nan)
        if math.dist(pose[:3, 3], self.base_frame[:3, 3]) < MIN_DEPTH_M:
            self._tell(
                "warning", f"the pose is within {1000 * MIN_DEPTH_M:g} mm of the remote centre of motion"
            )
        joints = inverse_kinematics(np.linalg.inv(self.base_frame) @ pose, self.measured[3], check=False)
        distance = abs(joints[2] + RCM_TO_WRIST_M)
        if distance < SAFE_DISTANCE_M:
            nearest = joints[2] + SAFE_DISTANCE_M - distance
            joints[2] = nearest if self.measured[2] > nearest else max(self.measured[2], joints[2])
        return joints

    @property
    def velocity(self) -> np.ndarray:
        """Of the setpoint (7,), rad/s and m/s: not 0 on a trajectory only."""
        return self._velocity if self.mode == "trajectory" else np.zeros(7)

    def rest(self) -> None:
        """Nothing drives the arm: it should be where it is."""
        self.setpoint = self.measured.copy()

    def _cartesian_joints(self) -> np.ndarray:
        if self._cartesian_goal.pose is not None:
            return self.joints_for(self._cartesian_goal.pose)
        return self.measured[:6].copy() if self._cartesian_goal.has_velocity else np.zeros(6)

    def _is_past_cannula(self) -> bool:
        return abs(self.measured[2] + RCM_TO_WRIST_M) >= SAFE_DISTANCE_M - SAFE_DISTANCE_BUFFER_M

    def _send(self, joints: np.ndarray) -> None:
        """Joints (6,), or with the jaw (7,); the limits are clipped, the jaw's only where it comes with the
        joints."""
        clipped = np.clip(joints[:6], tool.LOWER[:6], tool.UPPER[:6])
        if len(joints) == 7:
            self._jaw = float(np.clip(joints[6], tool.LOWER[6], tool.UPPER[6]))
        former, self.setpoint = self.setpoint, np.array((*clipped, self._jaw))
        self._measured_velocity = (self.setpoint - former) / max(self._since_goal_s, 1e-3)
        self._since_goal_s = 0.0

    def _begin_move(self) -> None:
        self.is_moving, self._trajectory = True, None
        self._busy(True)

    def _end_move(self, is_reached: bool) -> None:
        self.is_moving = False
        self._jaw = float(tool.actuators(self.setpoint)[6])
        self._tell("goal_reached", is_reached)
        self._busy(False)

    def _follow(self, seconds: float) -> bool:
        """Brings the goal on towards the end of the move; whether it is there."""
        if self._trajectory is None:
            speed, acceleration = self.ratios
            limits = np.multiply(speed, MAX_SPEED), np.multiply(acceleration, MAX_ACCELERATION)
            self._trajectory, self._seconds = Trajectory(self._goal, self._end, *limits, self._velocity), 0.0
        self._seconds += seconds
        self._goal, self._velocity = self._trajectory.at(self._seconds)
        return self._seconds >= self._trajectory.duration_s and bool(np.isfinite(self._goal).all())
