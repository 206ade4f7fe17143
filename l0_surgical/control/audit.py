"""Proof from a recording: no command broke a limit, none was sent while the controller had no right to.

It knows the limits and nothing of the filter that kept them, so that one can be tested by the other.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from l0_surgical.control.kinematics import UnreachablePoseError, inverse_kinematics
from l0_surgical.control.limits import Limits
from l0_surgical.control.poses import Pose
from l0_surgical.control.records import OperatingState, PoseStamped, Record, String

_SPEED_TOLERANCE = 1.01
_ROUNDING_M = 1e-9
_MOVING_STATES = ("approaching", "reaching", "holding")


@dataclass
class Audit:
    """What a recording shows.

    Attributes:
        commands: how many setpoints were sent.
        faults: the faults that the controller recorded.
        longest_step_m, longest_step_rad: between two setpoints of one stream.
        fastest_m_per_s, fastest_rad_per_s: likewise, by the setpoints' stamps.
        violations: one line each; none in a safe recording.
    """

    commands: int = 0
    faults: list[str] = field(default_factory=list)
    longest_step_m: float = 0.0
    longest_step_rad: float = 0.0
    fastest_m_per_s: float = 0.0
    fastest_rad_per_s: float = 0.0
    violations: list[str] = field(default_factory=list)


def audit(messages: Iterable[tuple[str, int, Record]], arm_name: str, limits: Limits) -> Audit:
    """Checks every servo_cp of a recording: finite, framed, inside the workspace, reachable, within the step and speed limits,
    near the measured pose, by an ENABLED and homed arm, and not between a fault (or a disarming) and the next arming.

    Args:
        messages: topic, log time (ns) and record of each message, as `messaging.recording.read_recording` gives them.
        arm_name: the arm's ROS namespace.
        limits: those of the controller, e.g. `Controller.limits`.
    """
    auditor = _Auditor(arm_name, limits)
    for topic, _, record in messages:
        auditor.hear(topic, record)
    return auditor.result


class _Auditor:
    def __init__(self, arm_name: str, limits: Limits) -> None:
        self.result = Audit()
        self._limits = limits
        self._frame = limits.frame_of(arm_name)
        self._former: PoseStamped | None = None
        self._measured: Pose | None = None
        self._arm_state: OperatingState | None = None
        self._may_move: bool | None = None
        self._hearers = {
            f"/{arm_name}/servo_cp": self._hear_command,
            f"/{arm_name}/measured_cp": self._hear_measured,
            f"/{arm_name}/operating_state": self._hear_arm_state,
            f"/{arm_name}/l0_surgical/state": self._hear_state,
        }

    def hear(self, topic: str, record: Record) -> None:
        if topic in self._hearers:
            self._hearers[topic](record)

    def _hear_measured(self, record: PoseStamped) -> None:
        is_usable = all(map(math.isfinite, (*record.position, *record.orientation))) and any(record.orientation)
        self._measured = Pose.of(record) if is_usable and record.frame_id == self._frame else None

    def _hear_arm_state(self, record: OperatingState) -> None:
        self._arm_state = record

    def _hear_state(self, record: String) -> None:
        state, _, reason = record.data.partition(": ")
        self._may_move = state in _MOVING_STATES
        if state == "fault":
            self.result.faults.append(reason)
        if not self._may_move:
            self._former = None

    def _hear_command(self, record: PoseStamped) -> None:
        self.result.commands += 1
        if not all(map(math.isfinite, (*record.position, *record.orientation))) or not any(record.orientation):
            self._blame("is no finite pose")
            return
        pose, limits = Pose.of(record), self._limits
        if record.frame_id != self._frame:
            self._blame(f"is in the frame {record.frame_id!r}")
        if not all(a <= b <= c for a, b, c in zip(limits.workspace_low_m, pose.position, limits.workspace_high_m, strict=True)):
            self._blame(f"leaves the workspace: {pose.position}")
        try:
            inverse_kinematics(pose.matrix())
        except UnreachablePoseError as error:
            self._blame(f"cannot be reached: {error}")
        if self._may_move is False:
            self._blame("was sent while the controller had no right to")
        if self._arm_state is not None and not (self._arm_state.state == "ENABLED" and self._arm_state.is_homed):
            self._blame(f"was sent to an arm that is {self._arm_state.state}, homed: {self._arm_state.is_homed}")
        if self._measured is not None and (
            pose.distance_to(self._measured) > limits.max_tracking_error_m + limits.max_step_m
            or pose.angle_to(self._measured) > limits.max_tracking_error_rad + limits.max_step_rad
        ):
            self._blame(f"is {1e3 * pose.distance_to(self._measured):.1f} mm from the measured pose")
        if self._former is not None:
            self._compare(pose, record.stamp_ns, Pose.of(self._former), self._former.stamp_ns)
        self._former = record

    def _compare(self, pose: Pose, stamp_ns: int, former: Pose, former_stamp_ns: int) -> None:
        result, limits = self.result, self._limits
        seconds = 1e-9 * (stamp_ns - former_stamp_ns)
        if seconds <= 0:
            self._blame(f"is stamped {-seconds:.6f} s before the one before it")
            return
        distance, angle = pose.distance_to(former), pose.angle_to(former)
        result.longest_step_m = max(result.longest_step_m, distance)
        result.longest_step_rad = max(result.longest_step_rad, angle)
        result.fastest_m_per_s = max(result.fastest_m_per_s, distance / seconds)
        result.fastest_rad_per_s = max(result.fastest_rad_per_s, angle / seconds)
        for what, value, step, speed in (
            ("m", distance, limits.max_step_m, limits.max_speed_m_per_s),
            ("rad", angle, limits.max_step_rad, limits.max_speed_rad_per_s),
        ):
            if value > step + _ROUNDING_M:
                self._blame(f"steps by {value:.6f} {what} (limit {step:g})")
            if value > speed * seconds * _SPEED_TOLERANCE + 1e-6:
                self._blame(f"moves at {value / seconds:.4f} {what}/s (limit {speed:g})")

    def _blame(self, what: str) -> None:
        self.result.violations.append(f"command {self.result.commands} {what}")
