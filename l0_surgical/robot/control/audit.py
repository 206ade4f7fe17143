"""What a recording shows: whether a command broke a limit, or was sent without a right to or against the
arm's words.

It knows the limits and nothing of the filter that kept them, so that one can be tested by the other. It
proves no more than what was
recorded: what others told the arm on its topics is in it only by its effects on what the arm said.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import JointState, OperatingState, PoseStamped, Record, String
from l0_surgical.surgical.kinematics import UnreachablePoseError, forward_kinematics, inverse_kinematics

_SPEED_TOLERANCE = 1.01
_ROUNDING_M = 1e-9
_CLOCK_S = (
    1e-5  # by which a stamp may differ from the clock that the motion was computed by (control/clock.py)
)
_SAME_TIME_S = 0.02
_SAMPLES = 16
_MOVING_STATES = ("approaching", "reaching", "holding")


@dataclass
class Audit:
    """What a recording shows.

    Attributes:
        commands: how many setpoints were sent.
        faults: the faults that the controller recorded. longest_step_m, longest_step_rad: between two
        setpoints of one stream, or from where the arm had been told to be to the first. fastest_m_per_s,
        fastest_rad_per_s: between two setpoints, by their stamps. strongest_m_per_s2, sharpest_m_per_s3:
        acceleration and jerk of the setpoints, by their stamps, without pauses.
        farthest_outside_m: of the tool from the workspace, by the joints, while the controller moved it.
        violations: one line each; none in a safe recording. What lasts is said once.
    """

    commands: int = 0
    faults: list[str] = field(default_factory=list)
    longest_step_m: float = 0.0
    longest_step_rad: float = 0.0
    fastest_m_per_s: float = 0.0
    fastest_rad_per_s: float = 0.0
    strongest_m_per_s2: float = 0.0
    sharpest_m_per_s3: float = 0.0
    farthest_outside_m: float = 0.0
    violations: list[str] = field(default_factory=list)


def audit(messages: Iterable[tuple[str, int, Record]], arm_name: str, limits: Limits) -> Audit:
    """Checks every servo_cp of a recording.

    By itself: finite, framed, inside the workspace, reachable, within the limits of step, speed, acceleration
    and jerk, the first within a step of setpoint_cp. By what was heard before it: near the measured pose; the
    arm ENABLED, homed and not busy; the tool inside the workspace and measured_cp, local/measured_cp where
    the joints put it; setpoint_cp one of the commands, and where setpoint_js puts it; not between a fault (or
    a disarming) and the next arming. What is not in the recording is not judged.

    Args:
        messages: topic, log time (ns) and record of each message, as `messaging.recording.read_recording`
            gives them.
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
        self._commands: deque[tuple[int, Pose]] = deque()
        self._said: dict[str, Pose | None] = {}
        self._samples: dict[str, deque[tuple[int, Pose]]] = {
            topic: deque(maxlen=_SAMPLES) for topic in ("measured_js", "setpoint_js")
        }
        self._apart_m: dict[str, float | None] = {}
        self._told_m: float | None = None
        self._arm_state: OperatingState | None = None
        self._may_move: bool | None = None
        self._lasting: set[str] = set()
        self._hear_setpoint_pose = self._pose_hearer("setpoint_cp")
        self._hearers = {
            f"/{arm_name}/servo_cp": self._hear_command,
            f"/{arm_name}/setpoint_cp": self._hear_setpoint,
            f"/{arm_name}/operating_state": self._hear_arm_state,
            f"/{arm_name}/l0_surgical/state": self._hear_state,
            **{
                f"/{arm_name}/{topic}": self._pose_hearer(topic)
                for topic in ("measured_cp", "local/measured_cp")
            },
            **{
                f"/{arm_name}/{topic}": self._joints_hearer(topic) for topic in ("measured_js", "setpoint_js")
            },
        }

    def hear(self, topic: str, record: Record) -> None:
        if topic in self._hearers:
            self._hearers[topic](record)

    def _pose_hearer(self, topic: str) -> Callable[[PoseStamped], None]:
        def hear(record: PoseStamped) -> None:
            is_framed = topic.startswith("local/") or record.frame_id == self._frame
            self._said[topic] = Pose.of(record) if _is_pose(record) and is_framed else None
            self._apart_m[topic] = self._disagreement_m(topic, record.stamp_ns)

        return hear

    def _joints_hearer(self, topic: str) -> Callable[[JointState], None]:
        def hear(record: JointState) -> None:
            if len(record.position) == 6 and all(map(math.isfinite, record.position)):
                self._said[topic] = Pose.from_matrix(forward_kinematics(record.position))
                self._samples[topic].append((record.stamp_ns, self._said[topic]))
            else:
                self._said[topic] = None

        return hear

    def _hear_setpoint(self, record: PoseStamped) -> None:
        self._hear_setpoint_pose(record)
        told = self._said["setpoint_cp"]
        if told is not None and self._commands:
            limits = self._limits
            is_own = any(
                told.distance_to(own) <= limits.max_setpoint_error_m
                and told.angle_to(own) <= limits.max_setpoint_error_rad
                for _, own in self._commands
            )
            self._told_m = None if is_own else min(told.distance_to(own) for _, own in self._commands)

    def _hear_arm_state(self, record: OperatingState) -> None:
        self._arm_state = record

    def _hear_state(self, record: String) -> None:
        state, _, reason = record.data.partition(": ")
        self._may_move = state in _MOVING_STATES
        if state == "fault":
            self.result.faults.append(reason)
        if not self._may_move:
            self._commands.clear()
            self._told_m = None

    def _hear_command(self, record: PoseStamped) -> None:
        self.result.commands += 1
        if not _is_pose(record):
            self._blame("is no finite pose")
            return
        pose = Pose.of(record)
        self._judge_alone(pose, record)
        self._judge_by_what_was_heard(pose)
        if self._commands:
            self._judge_motion(pose, record.stamp_ns)
        elif (told := self._said.get("setpoint_cp")) is not None:
            self._judge_step(pose, told)
        self._commands.append((record.stamp_ns, pose))
        oldest_ns = record.stamp_ns - round(1e9 * (self._limits.max_setpoint_age_s + self._limits.max_age_s))
        while len(self._commands) > 4 and self._commands[1][0] < oldest_ns:
            self._commands.popleft()

    def _judge_alone(self, pose: Pose, record: PoseStamped) -> None:
        if record.frame_id != self._frame:
            self._blame(f"is in the frame {record.frame_id[:60]!r}")
        if _outside_m(pose, self._limits) > 0:
            self._blame(f"leaves the workspace: {pose.position}")
        try:
            inverse_kinematics(pose.matrix())
        except UnreachablePoseError as error:
            self._blame(f"cannot be reached: {error}")

    def _judge_by_what_was_heard(self, pose: Pose) -> None:
        limits, said, state = self._limits, self._said, self._arm_state
        if self._may_move is False:
            self._blame("was sent while the controller had no right to")
        if state is not None and not (state.state == "ENABLED" and state.is_homed and not state.is_busy):
            self._blame(
                f"was sent to an arm that is {state.state}, homed: {state.is_homed}, busy: {state.is_busy}"
            )
        topic = "measured_js" if "measured_js" in said else "measured_cp"
        if (measured := said.get(topic)) is not None:
            is_far = (
                pose.distance_to(measured) > limits.max_tracking_error_m + limits.max_step_m
                or pose.angle_to(measured) > limits.max_tracking_error_rad + limits.max_step_rad
            )
            self._blame_while(
                is_far,
                "far",
                f"is {1e3 * pose.distance_to(measured):.1f} mm from the measured pose ({topic})",
            )
        if said.get("measured_js") is not None:
            outside_m = _outside_m(said["measured_js"], limits)
            self.result.farthest_outside_m = max(self.result.farthest_outside_m, outside_m)
            is_outside = outside_m > limits.max_joint_disagreement_m + limits.max_step_m
            self._blame_while(
                is_outside,
                "outside",
                f"was sent although the tool was {1e3 * outside_m:.1f} mm outside the workspace",
            )
        for topic, apart_m in self._apart_m.items():
            text = (
                f"was sent although {topic} was {1e3 * (apart_m or 0):.1f} mm from where the joints put "
                "the tool"
            )
            self._blame_while(apart_m is not None, f"apart {topic}", text)
        self._blame_while(
            self._told_m is not None,
            "told",
            f"was sent although the arm had been told to be {1e3 * (self._told_m or 0):.1f} mm away",
        )

    def _disagreement_m(self, topic: str, stamp_ns: int) -> float | None:
        """How far a pose is from where the joints of the same time put the tool, where that is too far; None
        where not, or not known."""
        pose, limits = self._said[topic], self._limits
        samples = self._samples["setpoint_js" if topic == "setpoint_cp" else "measured_js"]
        nearest_ns, by_joints = min(samples, key=lambda sample: abs(sample[0] - stamp_ns), default=(0, None))
        apart_s = 1e-9 * abs(nearest_ns - stamp_ns)
        if pose is None or by_joints is None or apart_s > _SAME_TIME_S:
            return None
        distance, angle = pose.distance_to(by_joints), pose.angle_to(by_joints)
        most_m, most_rad = (
            (limits.max_setpoint_error_m, limits.max_setpoint_error_rad)
            if topic == "setpoint_cp"
            else (limits.max_joint_disagreement_m, limits.max_joint_disagreement_rad)
        )
        is_far = (
            distance > most_m + limits.max_speed_m_per_s * apart_s
            or angle > most_rad + limits.max_speed_rad_per_s * apart_s
        )
        return distance if is_far else None

    def _judge_step(self, pose: Pose, former: Pose) -> None:
        result, limits = self.result, self._limits
        distance, angle = pose.distance_to(former), pose.angle_to(former)
        result.longest_step_m = max(result.longest_step_m, distance)
        result.longest_step_rad = max(result.longest_step_rad, angle)
        for what, value, step in (("m", distance, limits.max_step_m), ("rad", angle, limits.max_step_rad)):
            if value > step + _ROUNDING_M:
                self._blame(f"steps by {value:.6f} {what} (limit {step:g})")

    def _judge_motion(self, pose: Pose, stamp_ns: int) -> None:
        result, limits = self.result, self._limits
        former_ns, former = self._commands[-1]
        seconds = 1e-9 * (stamp_ns - former_ns)
        self._judge_step(pose, former)
        if seconds <= 0:
            self._blame(f"is stamped {-seconds:.6f} s before the one before it")
            return
        distance, angle = pose.distance_to(former), pose.angle_to(former)
        result.fastest_m_per_s = max(result.fastest_m_per_s, distance / seconds)
        result.fastest_rad_per_s = max(result.fastest_rad_per_s, angle / seconds)
        for what, value, speed in (
            ("m", distance, limits.max_speed_m_per_s),
            ("rad", angle, limits.max_speed_rad_per_s),
        ):
            if value > speed * seconds * _SPEED_TOLERANCE + 1e-6:
                self._blame(f"moves at {value / seconds:.4f} {what}/s (limit {speed:g})")
        points = [*list(self._commands)[-3:], (stamp_ns, pose)]
        times_s = 1e-9 * np.diff([point_ns for point_ns, _ in points])
        if len(times_s) == 3 and min(times_s) > 0 and max(times_s) <= limits.longest_step_s:
            self._judge_forces(np.array([point.position for _, point in points]), times_s)

    def _judge_forces(self, positions: np.ndarray, times_s: np.ndarray) -> None:
        """By divided differences of four setpoints (4, 3), which are means of what happened between them."""
        result, limits = self.result, self._limits
        speeds = np.diff(positions, axis=0) / times_s[:, None]
        accelerations = np.diff(speeds, axis=0) / ((times_s[1:] + times_s[:-1]) / 2)[:, None]
        acceleration = float(np.linalg.norm(accelerations[1]))
        jerk = float(np.linalg.norm(accelerations[1] - accelerations[0]) / times_s.mean())
        # a stamp that is off by _CLOCK_S turns speed into acceleration, and that into jerk
        shortest_s = times_s.min()
        doubt = 4 * np.linalg.norm(speeds, axis=1).max() * _CLOCK_S / shortest_s**2
        result.strongest_m_per_s2 = max(result.strongest_m_per_s2, acceleration)
        result.sharpest_m_per_s3 = max(result.sharpest_m_per_s3, jerk)
        if acceleration > limits.max_acceleration_m_per_s2 * _SPEED_TOLERANCE + doubt:
            self._blame(
                f"accelerates with {acceleration:.2f} m/s2 (limit {limits.max_acceleration_m_per_s2:g})"
            )
        if jerk > limits.max_jerk_m_per_s3 * _SPEED_TOLERANCE + 2 * doubt / shortest_s:
            self._blame(f"has a jerk of {jerk:.0f} m/s3 (limit {limits.max_jerk_m_per_s3:g})")

    def _blame_while(self, is_so: bool, kind: str, what: str) -> None:
        """Blames the first of the commands in a row for which it is so."""
        if is_so and kind not in self._lasting:
            self._blame(what)
        (self._lasting.add if is_so else self._lasting.discard)(kind)

    def _blame(self, what: str) -> None:
        self.result.violations.append(f"command {self.result.commands} {what}")


def _is_pose(record: PoseStamped) -> bool:
    return all(map(math.isfinite, (*record.position, *record.orientation))) and any(record.orientation)


def _outside_m(pose: Pose, limits: Limits) -> float:
    return math.hypot(
        *(
            max(low - value, value - high, 0.0)
            for low, value, high in zip(
                limits.workspace_low_m, pose.position, limits.workspace_high_m, strict=True
            )
        )
    )
