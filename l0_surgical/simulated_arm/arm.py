"""The arm itself, without any transport: what each CRTK command does to it, and how it moves while time passes.

Follows the dVRK (sawIntuitiveResearchKit 2.4, mtsIntuitiveResearchKitArm): joint limits are clipped silently, a pose without inverse
kinematics is dropped with an error, motion commands count only while ENABLED and homed, Cartesian ones only once the instrument is past the
cannula, what ends a running move_* says that its goal was not reached, and there is no time-out on commands. Unlike there, a move_* that
follows another one before its end starts from rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l0_surgical.control.kinematics import JOINT_LOWER, JOINT_UPPER, UnreachablePoseError, forward_kinematics, inverse_kinematics
from l0_surgical.control.poses import Pose
from l0_surgical.simulated_arm.body import Body, Mode
from l0_surgical.simulated_arm.state_machine import StateMachine
from l0_surgical.simulated_arm.trajectory import MAX_ACCELERATION, MAX_SPEED, Trajectory

HOME = (0.0, 0.0, 0.12, 0.0, 0.0, 0.0)
CARTESIAN_INSERTION_M = 0.06
REFUSAL_EVERY_S = 2.0
JAW_LOWER, JAW_UPPER = -0.698, 1.396
JAW_SPEED, JAW_ACCELERATION = 18.85, 12.57
# beyond these the dVRK's supervision takes the motors for out of control
MAX_TRACKING_ERROR = np.array((0.2, 0.2, 0.03, 1.0, 1.0, 1.0))


@dataclass
class Move:
    """A running move_*: its way, where that ends, and how long it has lasted."""

    trajectory: Trajectory
    goal: np.ndarray
    is_homing: bool = False
    seconds: float = 0.0

    def advance(self, seconds: float) -> np.ndarray:
        self.seconds += seconds
        return self.trajectory.at(self.seconds)

    @property
    def is_over(self) -> bool:
        return self.seconds >= self.trajectory.duration_s


class PsmArm:
    """One arm with its jaw. What it has to say is gathered in `events` (topic, text or truth) until `take_events`.

    Attributes:
        machine: the operating state.
        setpoint: where the joints (6,) should be, rad and m.
        measured: where they are.
        jaw_setpoint, jaw_measured: likewise (rad).
        ratios: of the speed and of the acceleration of move_*, each in (0, 1].
        base_frame: the pose (4, 4) of the arm's base in the frame that Cartesian data are in.
        is_free: whether a hand that has the arm by its clutch may move it: nothing has commanded it since.
    """

    def __init__(self, mode: Mode) -> None:
        self.machine = StateMachine()
        self.setpoint = np.zeros(6)
        self.measured = np.zeros(6)
        self.jaw_setpoint = self.jaw_measured = 0.0
        self.ratios = (1.0, 1.0)
        self.base_frame = np.eye(4)
        self._body = Body(mode, self.measured)
        self._move: Move | None = None
        self._jaw_move: Move | None = None
        self._is_cartesian = False
        self._is_held = False
        self.is_free = False
        self._time_s = 0.0
        self._refused: dict[str, float] = {}
        self._events: list[tuple[str, str | bool]] = []

    @property
    def is_busy(self) -> bool:
        """Homing, on a move_*, or in somebody's hand."""
        return self.machine.is_homing or self._move is not None or self._is_held

    def measured_pose(self) -> np.ndarray:
        """The tool's pose (4, 4), m, in the arm's own base."""
        return forward_kinematics(self.measured)

    def setpoint_pose(self) -> np.ndarray:
        """Likewise, where it should be."""
        return forward_kinematics(self.setpoint)

    def take_events(self) -> list[tuple[str, str | bool]]:
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        self._body.close()

    def step(self, seconds: float) -> None:
        """Lets time pass."""
        self._time_s += seconds
        if self._move is not None:
            self.setpoint = self._move.advance(seconds)
            if self._move.is_over:
                self._end_move()
        if self._jaw_move is not None:
            self.jaw_setpoint = float(self._jaw_move.advance(seconds)[0])
            if self._jaw_move.is_over:
                self._jaw_move = None
        self._body.step(self.setpoint, self.jaw_setpoint, seconds)
        self.measured, self.jaw_measured = self._body.joints()
        if self.machine.state == "ENABLED" and (np.abs(self.measured - self.setpoint) > MAX_TRACKING_ERROR).any():
            self.fail("tracking error too large, PID disabled")

    def state_command(self, command: str) -> None:
        """One of CRTK's: enable, disable, pause, resume, home, unhome."""
        warning = self.machine.command(command)
        if warning is not None:
            self._say("warning", warning)
            return
        self._say("desired_state", self.machine.state)
        if self.machine.state == "PAUSED":
            self._interrupt()
        elif self.machine.state != "ENABLED" or command == "unhome":
            self._stand_still()
        if command == "home" and self.machine.is_homing:
            self._begin_move(HOME, is_homing=True)

    def fail(self, reason: str) -> None:
        """The arm's own supervision stops it."""
        self._say("error", reason)
        self.machine.fail()
        self._stand_still()

    def servo_joints(self, joints: Sequence[float], *, is_relative: bool = False) -> None:
        """servo_jp, servo_jr: joints (6,) to be at, at once, or how far from where they should be now; the limits are clipped."""
        if self._may_move("servo_jr" if is_relative else "servo_jp") and self._is_finite(joints, 6):
            self._is_cartesian = False
            self._interrupt()
            self.setpoint = _clipped(np.add(joints, self.setpoint) if is_relative else joints)

    def move_joints(self, joints: Sequence[float], *, is_relative: bool = False) -> None:
        """move_jp, move_jr: joints (6,) to move to within the speed limits, or how far beyond the goal of a running move_*."""
        if self._may_move("move_jr" if is_relative else "move_jp") and self._is_finite(joints, 6):
            self._is_cartesian = False
            origin = self.setpoint if self._move is None else self._move.goal
            self._begin_move(np.add(joints, origin) if is_relative else joints)

    def servo_pose(self, pose: Pose) -> None:
        """servo_cp: the tool's pose in the frame of Cartesian data, to be at, at once."""
        if self._may_move("servo_cp") and self._may_be_cartesian():
            self._interrupt()
            if (goal := self._joints_for(pose)) is not None:
                self.setpoint = _clipped(goal)

    def move_pose(self, pose: Pose) -> None:
        """move_cp: the tool's pose, to move to within the joints' speed limits."""
        if self._may_move("move_cp") and self._may_be_cartesian():
            if (goal := self._joints_for(pose)) is not None:
                self._begin_move(goal)
            else:
                self._say("goal_reached", False)

    def hold(self) -> None:
        """Stay where it should be: also the simulation's answer to `free`, as it has no hands that could move it."""
        if self._may_move("hold"):
            self._is_cartesian = False
            self._interrupt()

    def clutch(self, pressed: bool) -> bool:
        """Somebody presses the clutch button at the arm, or lets go of it; False where the arm cannot be moved by hand now."""
        if pressed and not self._may_move("the clutch"):
            return False
        if pressed != self._is_held:
            self._interrupt()
            self._is_cartesian = False
            self._is_held = self.is_free = pressed
            self._say("arm_clutch", pressed)
        return True

    def guide(self, pose: np.ndarray) -> None:
        """The hand brings the tool to a pose (4, 4) in the arm's own base; without motors, the setpoint is where the arm is."""
        self.setpoint = _clipped(inverse_kinematics(pose, self.setpoint[3], check=False))

    def servo_from_console(self, pose: np.ndarray) -> None:
        """A servo_cp that comes from inside the console's program, as a pose (4, 4) in the arm's own base."""
        self.servo_pose(Pose.from_matrix(self.base_frame @ pose))

    def servo_jaw(self, angle_rad: float) -> None:
        if self._may_move("jaw/servo_jp") and self._is_finite((angle_rad,), 1):
            self._jaw_move = None
            self.jaw_setpoint = min(max(angle_rad, JAW_LOWER), JAW_UPPER)

    def move_jaw(self, angle_rad: float) -> None:
        if self._may_move("jaw/move_jp") and self._is_finite((angle_rad,), 1):
            goal = min(max(angle_rad, JAW_LOWER), JAW_UPPER)
            trajectory = Trajectory((self.jaw_setpoint,), (goal,), (JAW_SPEED,), (JAW_ACCELERATION,), *self.ratios)
            self._jaw_move = Move(trajectory, np.array((goal,)))

    def set_ratios(self, speed: float | None = None, acceleration: float | None = None) -> bool:
        """trajectory_j/set_ratio, set_ratio_v, set_ratio_a: of the moves to come; False, and a warning, for one that cannot be."""
        asked_for = tuple(former if new is None else new for former, new in zip(self.ratios, (speed, acceleration), strict=True))
        wrong = next((ratio for ratio in asked_for if not 0 < ratio <= 1), None)
        if wrong is not None:
            self._say("warning", f"the trajectory ratio {wrong:g} is not in (0, 1]")
            return False
        self.ratios = asked_for
        return True

    def say(self, topic: str, text: str) -> None:
        """Adds an event, e.g. a warning that a command is not simulated."""
        self._say(topic, text)

    def _say(self, topic: str, value: str | bool) -> None:
        self._events.append((topic, value))

    def _begin_move(self, goal: Sequence[float], *, is_homing: bool = False) -> None:
        goal = _clipped(goal)
        self.is_free = False
        self._move = Move(Trajectory(self.setpoint, goal, MAX_SPEED, MAX_ACCELERATION, *self.ratios), goal, is_homing)

    def _end_move(self) -> None:
        is_homing, self._move = self._move.is_homing, None
        if is_homing:
            self.machine.homed()
            self._say("status", "homed")
        else:
            self._say("goal_reached", True)

    def _interrupt(self) -> None:
        """Ends a running move_* before its goal, and takes the arm out of a hand; the setpoint stays what it is."""
        self.is_free = False
        if self._move is not None and not self._move.is_homing:
            self._say("goal_reached", False)
        self._move = None

    def _stand_still(self) -> None:
        """The motors no longer hold the arm: when they do again, it will be where it is."""
        self._interrupt()
        self._jaw_move = None
        self._is_cartesian = self._is_held = False
        self.setpoint, self.jaw_setpoint = self.measured.copy(), self.jaw_measured

    def refuse(self, text: str) -> None:
        """A warning, at most every two seconds, so that a stream of commands does not become one of texts."""
        if self._time_s >= self._refused.get(text, 0.0):
            self._refused[text] = self._time_s + REFUSAL_EVERY_S
            self._say("warning", text)

    def _may_move(self, command: str) -> bool:
        if not self.machine.may_move:
            self.refuse(f"{command} is ignored while {self.machine.state}, homed: {self.machine.is_homed}")
        return self.machine.may_move

    def _may_be_cartesian(self) -> bool:
        """Asked only when joint control ends: closer to the remote centre of motion small ways would need fast joints."""
        if not self._is_cartesian and self.measured[2] < CARTESIAN_INSERTION_M:
            self.refuse(f"a Cartesian command is ignored until the instrument is inserted by {1000 * CARTESIAN_INSERTION_M:g} mm")
        else:
            self._is_cartesian = True
        return self._is_cartesian

    def _is_finite(self, values: Sequence[float], count: int) -> bool:
        is_good = len(values) == count and bool(np.isfinite(values).all())
        if not is_good:
            self._say("error", f"a command has the values {tuple(values)}; {count} finite ones are needed")
        return is_good

    def _joints_for(self, pose: Pose) -> np.ndarray | None:
        """The joints (6,), which may be beyond their limits, or None and an error."""
        try:
            return inverse_kinematics(np.linalg.inv(self.base_frame) @ pose.matrix(), self.setpoint[3], check=False)
        except UnreachablePoseError as error:
            self._say("error", f"inverse kinematics failed: {error}")
            return None


def _clipped(joints: Sequence[float]) -> np.ndarray:
    return np.clip(joints, JOINT_LOWER, JOINT_UPPER)
