"""The single path of every command to the arm."""

import math
from collections import deque
from typing import Protocol

from l0_surgical.robot.control.arm import Arm, ArmInputs
from l0_surgical.robot.control.clock import Instant
from l0_surgical.robot.control.jerk_limit import JerkLimiter
from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.motion import Segment
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import PoseStamped, Record
from l0_surgical.robot.control.watch import ArmWatch, SafetyError
from l0_surgical.surgical.kinematics import UnreachablePoseError, inverse_kinematics
from l0_surgical.system.errors import BadInputError

_WAY_POINTS = 100


class Recorder(Protocol):
    """Something that keeps what was said and heard, e.g. `messaging.recording.Recording`."""

    def write(self, topic: str, record: Record, log_time_ns: int) -> None: ...


class SafetyFilter:
    """Every command passes `send`: checked, led on within the limits of motion, recorded, sent. Nothing else
    may call `Arm.servo_cp`.

    The checks, in this order: the computer's loop and clock; a foreign command or publisher; the arm's state;
    each topic's messages, valid, in order, without jumps, fresh; that they agree where the tool is, and that
    it is inside the workspace; the tracking error; what the arm was told; the command finite and inside the
    workspace; after limiting, the joints' limits.

    Args:
        arm: the arm.
        limits: see `limits.yaml`.
        period_s: of the servo loop.
        dry_run: everything but the sending: what would have been sent is recorded under another topic, others
            may command the arm, and it is not expected to follow.
        recorder: keeps the commands, or None.
    """

    def __init__(
        self,
        arm: Arm,
        limits: Limits,
        period_s: float,
        *,
        dry_run: bool = False,
        recorder: Recorder | None = None,
    ) -> None:
        self.sent = 0
        self.limited = 0
        self._arm = arm
        self._limits = limits
        self._dry_run = dry_run
        self._recorder = recorder
        self._topic = f"/{arm.name}/{'l0_surgical/dry_run_servo_cp' if dry_run else 'servo_cp'}"
        self._frame = limits.frame_of(arm.name)
        self._watch = ArmWatch(arm.name, limits, is_shadow=dry_run)
        self._limiter = JerkLimiter(limits, period_s)
        # with which setpoint_cp may be compared, with when they were sent; the newest is where commands go on
        # from
        self._commands: deque[tuple[int, Pose]] = deque()
        self._wanted: Pose | None = None
        self._roll_rad = 0.0
        self._checked: tuple[ArmInputs, Instant, Pose] | None = None

    def hear(self, inputs: ArmInputs, now: Instant) -> None:
        """Takes note of what was heard, also while nothing is sent."""
        self._watch.hear(inputs, now)

    def start(self, inputs: ArmInputs, now: Instant) -> Pose:
        """Takes the arm over, standing still, and returns where it was last told to be: commands go on from
        there.

        Raises:
            SafetyError: the arm may not be commanded; says why.
        """
        setpoint = self._watch.check_start(inputs, now)
        self._limiter.restart()
        self._commands = deque([(now.monotonic_ns, setpoint)])
        self._wanted = setpoint
        self._roll_rad = inputs.measured_js.record.position[3]
        return setpoint

    def check(self, inputs: ArmInputs, now: Instant) -> Pose:
        """All checks that need no command; returns where the tool is. The same inputs at the same instant are
        checked once.

        Raises:
            SafetyError: says what is wrong.
        """
        if not self._commands:
            raise SafetyError("no arm was taken over; call start first")
        if self._checked is not None and self._checked[0] is inputs and self._checked[1] is now:
            return self._checked[2]
        self._checked = None
        measured = self._watch.check(inputs, now)
        self._checked = inputs, now, measured
        return measured

    def check_way(self, segment: Segment) -> None:
        """Refuses a way on which a joint would leave its limits.

        Raises:
            BadInputError: says where.
        """
        roll_rad, done = self._roll_rad, 0
        try:
            for done in range(0, segment.ticks + 1, max(1, segment.ticks // _WAY_POINTS)):
                roll_rad = inverse_kinematics(segment.at(done).matrix(), roll_rad)[3]
        except UnreachablePoseError as error:
            raise BadInputError(
                "the way from here to the start pose cannot be gone: after "
                f"{100 * done / segment.ticks:.0f} % of it {error}; "
                "bring the arm nearer to the start pose by its own console"
            ) from error

    def send(self, wanted: Pose, inputs: ArmInputs, now: Instant) -> Pose:
        """Sends the next setpoint on the way to `wanted` that the limits of motion allow; returns what was
        sent.

        Raises:
            SafetyError: nothing was sent; says why.
        """
        measured = self.check(inputs, now)
        former_ns, former = self._commands[-1]
        if not self._dry_run:
            self._watch.check_tracking(measured, former)
            self._watch.check_told(inputs, self._commands, now)
        if not all(map(math.isfinite, (*wanted.position, *wanted.orientation))):
            raise SafetyError(f"the command is not finite: {wanted}")
        self._watch.check_workspace(wanted)
        seconds = 1e-9 * (now.monotonic_ns - former_ns)
        setpoint = self._limiter.next(former, wanted, seconds)
        self._check_reachable(setpoint)
        record = PoseStamped(now.wall_ns, self._frame, setpoint.position, setpoint.orientation)
        if self._recorder is not None:
            self._recorder.write(self._topic, record, now.wall_ns)
        if not self._dry_run:
            self._arm.servo_cp(record)
        self._count(wanted, seconds)
        self._remember(setpoint, now)
        return setpoint

    def _count(self, wanted: Pose, seconds: float) -> None:
        limits, former, self._wanted = self._limits, self._wanted, wanted
        self.sent += 1
        self.limited += former.distance_to(wanted) > min(
            limits.max_step_m, limits.max_speed_m_per_s * seconds
        ) or former.angle_to(wanted) > min(limits.max_step_rad, limits.max_speed_rad_per_s * seconds)

    def _remember(self, setpoint: Pose, now: Instant) -> None:
        self._commands.append((now.monotonic_ns, setpoint))
        oldest_ns = now.monotonic_ns - round(1e9 * (self._limits.max_setpoint_age_s + self._limits.max_age_s))
        while self._commands[1][0] < oldest_ns:
            self._commands.popleft()

    def _check_reachable(self, pose: Pose) -> None:
        try:
            joints = inverse_kinematics(pose.matrix(), self._roll_rad)
        except UnreachablePoseError as error:
            raise SafetyError(f"the setpoint cannot be reached: {error}") from error
        self._roll_rad = joints[3]
