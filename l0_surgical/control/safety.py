"""The single path of every command to the arm."""

import math
from typing import Protocol

from l0_surgical.control.arm import Arm, ArmInputs
from l0_surgical.control.clock import Instant
from l0_surgical.control.kinematics import UnreachablePoseError, inverse_kinematics
from l0_surgical.control.limits import Limits
from l0_surgical.control.poses import Pose
from l0_surgical.control.records import PoseStamped, Record
from l0_surgical.control.watch import ArmWatch, SafetyError

_MAX_PERIODS = 2.0


class Recorder(Protocol):
    """Something that keeps what was said and heard, e.g. `messaging.recording.Recording`."""

    def write(self, topic: str, record: Record, log_time_ns: int) -> None: ...


class SafetyFilter:
    """Every command passes `send`: checked, limited in step and speed, recorded, sent. Nothing else may call `Arm.servo_cp`.

    The checks, in this order: the computer's loop and clock; a foreign command; the arm's state; measured_cp finite, in the right frame,
    fresh, without jumps; the jaw; the tracking error; the command finite, inside the workspace; after limiting, the joints' limits.

    Args:
        arm: the arm.
        limits: see `limits.yaml`.
        period_s: of the servo loop; after a pause the speed limit counts at most two of them.
        dry_run: everything but the sending: what would have been sent is recorded under another topic, others may command the arm,
            and it is not expected to follow.
        recorder: keeps the commands, or None.
    """

    def __init__(self, arm: Arm, limits: Limits, period_s: float, *, dry_run: bool = False, recorder: Recorder | None = None) -> None:
        self.sent = 0
        self.limited = 0
        self._arm = arm
        self._limits = limits
        self._period_s = period_s
        self._dry_run = dry_run
        self._recorder = recorder
        self._topic = f"/{arm.name}/{'l0_surgical/dry_run_servo_cp' if dry_run else 'servo_cp'}"
        self._frame = limits.frame_of(arm.name)
        self._watch = ArmWatch(arm.name, limits, is_shadow=dry_run)
        self._setpoint: Pose | None = None
        self._roll_rad = 0.0
        self._former_ns = 0
        self._checked: tuple[ArmInputs, Instant, Pose] | None = None

    def start(self, inputs: ArmInputs, now: Instant) -> Pose:
        """Takes the arm over and returns where it was last told to be: commands go on from there.

        Raises:
            SafetyError: the arm may not be commanded; says why.
        """
        setpoint = self._watch.check_start(inputs, now)
        self._setpoint = setpoint
        self._roll_rad = inputs.measured_js.record.position[3]
        self._former_ns = now.monotonic_ns
        return setpoint

    def check(self, inputs: ArmInputs, now: Instant) -> Pose:
        """All checks that need no command; returns the measured pose. The same inputs at the same instant are checked once.

        Raises:
            SafetyError: says what is wrong.
        """
        if self._setpoint is None:
            raise SafetyError("no arm was taken over; call start first")
        if self._checked is not None and self._checked[0] is inputs and self._checked[1] is now:
            return self._checked[2]
        self._checked = None
        measured = self._watch.check(inputs, now)
        if not self._dry_run:
            self._watch.check_tracking(measured, self._setpoint)
        self._checked = inputs, now, measured
        return measured

    def send(self, wanted: Pose, inputs: ArmInputs, now: Instant) -> Pose:
        """Sends `wanted`, or a pose on the way to it where the step or speed limit does not allow more; returns what was sent.

        Raises:
            SafetyError: nothing was sent; says why.
        """
        self.check(inputs, now)
        if not all(map(math.isfinite, (*wanted.position, *wanted.orientation))):
            raise SafetyError(f"the command is not finite: {wanted}")
        self._watch.check_workspace(wanted)
        setpoint = self._limit(wanted, now)
        self._check_reachable(setpoint)
        record = PoseStamped(now.wall_ns, self._frame, setpoint.position, setpoint.orientation)
        if self._recorder is not None:
            self._recorder.write(self._topic, record, now.wall_ns)
        if not self._dry_run:
            self._arm.servo_cp(record)
        self.sent += 1
        self._setpoint, self._former_ns = setpoint, now.monotonic_ns
        return setpoint

    def _limit(self, wanted: Pose, now: Instant) -> Pose:
        limits, former = self._limits, self._setpoint
        elapsed_s = min(1e-9 * (now.monotonic_ns - self._former_ns), _MAX_PERIODS * self._period_s)
        most_m = min(limits.max_step_m, limits.max_speed_m_per_s * elapsed_s)
        most_rad = min(limits.max_step_rad, limits.max_speed_rad_per_s * elapsed_s)
        distance, angle = former.distance_to(wanted), former.angle_to(wanted)
        if not (distance > most_m or angle > most_rad):
            return wanted
        self.limited += 1
        return former.towards(wanted, min(1.0, most_m / distance) if distance else 1.0, min(1.0, most_rad / angle) if angle else 1.0)

    def _check_reachable(self, pose: Pose) -> None:
        try:
            joints = inverse_kinematics(pose.matrix(), self._roll_rad)
        except UnreachablePoseError as error:
            raise SafetyError(f"the setpoint cannot be reached: {error}") from error
        self._roll_rad = joints[3]
