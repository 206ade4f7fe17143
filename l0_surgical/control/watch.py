"""What must be true of the arm, and of this computer, for a command to be sent at all."""

import math

from l0_surgical.control.arm import ArmInputs, Received
from l0_surgical.control.clock import Instant
from l0_surgical.control.kinematics import forward_kinematics
from l0_surgical.control.limits import Limits
from l0_surgical.control.poses import Pose
from l0_surgical.control.records import PoseStamped
from l0_surgical.errors import L0SurgicalError

_QUATERNION_TOLERANCE = 1e-3


class SafetyError(L0SurgicalError):
    """A reason not to command the arm; the message says which and how to mend it."""


class ArmWatch:
    """Checks everything that an arm says, message by message; a violation raises `SafetyError`.

    Args:
        arm_name: the arm's ROS namespace.
        limits: see `limits.yaml`.
        is_shadow: nothing is sent to the arm, so that others may command it.
    """

    def __init__(self, arm_name: str, limits: Limits, *, is_shadow: bool) -> None:
        self._name = arm_name
        self._frame = limits.frame_of(arm_name)
        self._limits = limits
        self._is_shadow = is_shadow
        self._former_now: Instant | None = None
        self._former_pose: PoseStamped | None = None

    def restart(self) -> None:
        """Forgets the past: what happened while nobody was commanding does not count."""
        self._former_now = self._former_pose = None

    def check(self, inputs: ArmInputs, now: Instant) -> Pose:
        """Returns the measured pose if it may be relied on and the arm may be commanded.

        Raises:
            SafetyError: says what is wrong.
        """
        self._check_computer(now)
        if inputs.foreign_commands and not self._is_shadow:
            topics = ", ".join(inputs.foreign_commands)
            raise SafetyError(f"somebody else commands {self._name} on {topics}; stop the other controller")
        self._check_state(inputs)
        pose = self._check_measured(inputs, now)
        if inputs.jaw is not None:
            self._check_jaw(inputs.jaw.record.position)
        return pose

    def check_start(self, inputs: ArmInputs, now: Instant) -> Pose:
        """As `check`, and what must hold when a controller takes the arm over; returns the pose from which commands go on.

        Raises:
            SafetyError: says what is wrong.
        """
        self.restart()
        measured = self.check(inputs, now)
        if inputs.jaw is None:
            raise SafetyError(f"{self._name} has not said where its jaw is (jaw/measured_js); mount an instrument")
        if inputs.measured_js is None:
            raise SafetyError(f"{self._name} has not said where its joints are (measured_js)")
        self._check_joints(measured, inputs.measured_js.record.position)
        if inputs.setpoint_cp is None:
            raise SafetyError(f"{self._name} has not said where it was last told to be (setpoint_cp)")
        setpoint = self._valid_pose(inputs.setpoint_cp.record, now, "setpoint_cp")
        self.check_tracking(measured, setpoint)
        self.check_workspace(setpoint)
        return setpoint

    def check_tracking(self, measured: Pose, setpoint: Pose) -> None:
        """Raises SafetyError where the arm is too far from where it was told to be."""
        distance, angle = measured.distance_to(setpoint), measured.angle_to(setpoint)
        if distance > self._limits.max_tracking_error_m or angle > self._limits.max_tracking_error_rad:
            raise SafetyError(
                f"{self._name} is {1e3 * distance:.1f} mm and {angle:.3f} rad from its setpoint "
                f"(limits {1e3 * self._limits.max_tracking_error_m:g} mm, {self._limits.max_tracking_error_rad:g} rad); see what holds it"
            )

    def check_workspace(self, pose: Pose) -> None:
        """Raises SafetyError where the tool would be outside the workspace."""
        low, high = self._limits.workspace_low_m, self._limits.workspace_high_m
        for axis, value, least, most in zip("xyz", pose.position, low, high, strict=True):
            if not least <= value <= most:
                raise SafetyError(
                    f"the tool's {axis} would be {value:.4f} m, the workspace is {least:g} .. {most:g} m; see the limits file"
                )

    def _check_computer(self, now: Instant) -> None:
        former, self._former_now = self._former_now, now
        if former is None:
            return
        gap_s = 1e-9 * (now.monotonic_ns - former.monotonic_ns)
        if gap_s > self._limits.max_loop_gap_s:
            raise SafetyError(
                f"the servo loop stood still for {1e3 * gap_s:.0f} ms (limit {1e3 * self._limits.max_loop_gap_s:g} ms); "
                "see what else this computer does"
            )
        step_s = 1e-9 * (now.wall_ns - former.wall_ns) - gap_s
        if abs(step_s) > self._limits.max_clock_step_s:
            raise SafetyError(f"this computer's clock was set by {step_s:+.3f} s; stamps cannot be compared across that")

    def _check_state(self, inputs: ArmInputs) -> None:
        if inputs.operating_state is None:
            raise SafetyError(f"{self._name} has not said its operating state; see whether the arm's software runs")
        state = inputs.operating_state.record
        if state.state != "ENABLED":
            raise SafetyError(f"{self._name} is {state.state or 'in no state'}, not ENABLED; see the arm's own messages")
        if not state.is_homed:
            raise SafetyError(f"{self._name} is not homed; home it")

    def _check_measured(self, inputs: ArmInputs, now: Instant) -> Pose:
        newest = inputs.measured_cp
        if newest is None:
            raise SafetyError(f"{self._name} has not said where it is (measured_cp); see whether the arm's software runs")
        for received in inputs.measured_poses or [newest]:
            self._check_news(received, now)
        age_s = 1e-9 * (now.monotonic_ns - newest.received_ns)
        if age_s > self._limits.max_age_s:
            raise SafetyError(
                f"measured_cp stopped {1e3 * age_s:.0f} ms ago (limit {1e3 * self._limits.max_age_s:g} ms); see the connection"
            )
        return Pose.of(newest.record)

    def _check_news(self, received: Received[PoseStamped], now: Instant) -> None:
        record = received.record
        pose = self._valid_pose(record, now, "measured_cp")
        former, self._former_pose = self._former_pose, record
        if former is None:
            return
        elapsed_s = 1e-9 * (record.stamp_ns - former.stamp_ns)
        if elapsed_s < 0:
            raise SafetyError(f"the stamps of measured_cp went back by {-elapsed_s:.3f} s; see whether two arms have the same name")
        limits, before = self._limits, Pose.of(former)
        distance, angle = pose.distance_to(before), pose.angle_to(before)
        longest_s = min(elapsed_s, limits.max_age_s)
        if (
            distance > limits.max_jump_m + limits.max_speed_m_per_s * longest_s
            or angle > limits.max_jump_rad + limits.max_speed_rad_per_s * longest_s
        ):
            raise SafetyError(f"measured_cp jumped by {1e3 * distance:.1f} mm and {angle:.3f} rad in {1e3 * elapsed_s:.0f} ms")

    def _valid_pose(self, record: PoseStamped, now: Instant, topic: str) -> Pose:
        """The pose of a message that is finite, in the right frame, valid and not old."""
        numbers = (*record.position, *record.orientation)
        if not all(map(math.isfinite, numbers)):
            raise SafetyError(f"{topic} is not finite: {numbers}; see the arm's encoders")
        if abs(math.sqrt(sum(part * part for part in record.orientation)) - 1) > _QUATERNION_TOLERANCE:
            raise SafetyError(f"the orientation of {topic} is no unit quaternion: {record.orientation}")
        if record.frame_id != self._frame:
            raise SafetyError(f"{topic} is in the frame {record.frame_id!r}, not {self._frame!r}; see set_base_frame and the limits file")
        if record.stamp_ns == 0:
            raise SafetyError(f"{topic} is not valid yet (its stamp is 0); home the arm")
        age_s = 1e-9 * (now.wall_ns - record.stamp_ns)
        if abs(age_s) > self._limits.max_stamp_age_s:
            raise SafetyError(
                f"the stamp of {topic} is {1e3 * age_s:.0f} ms old (limit {1e3 * self._limits.max_stamp_age_s:g} ms); "
                "see whether the arm hangs and the computers' clocks agree"
            )
        return Pose.of(record)

    def _check_jaw(self, position: tuple[float, ...]) -> None:
        low, high = self._limits.jaw_low_rad, self._limits.jaw_high_rad
        # NaN fails the comparison too
        if not position or not low <= position[0] <= high:
            raise SafetyError(f"the jaw is at {position} rad, not closed ({low:g} .. {high:g} rad); close it")

    def _check_joints(self, measured: Pose, joints: tuple[float, ...]) -> None:
        if len(joints) != 6 or not all(map(math.isfinite, joints)):
            raise SafetyError(f"measured_js has the positions {joints}; a PSM has six finite ones")
        expected = Pose.from_matrix(forward_kinematics(joints))
        distance, angle = measured.distance_to(expected), measured.angle_to(expected)
        if distance > self._limits.max_joint_disagreement_m or angle > self._limits.max_joint_disagreement_rad:
            raise SafetyError(
                f"measured_cp is {1e3 * distance:.1f} mm and {angle:.3f} rad from where the joints put the tool; "
                "the base frame was moved (set_base_frame) or this is another instrument than the large needle driver"
            )
