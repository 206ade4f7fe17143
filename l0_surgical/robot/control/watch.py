"""What must be true of the arm, and of this computer, for a command to be sent at all."""

import math
from collections import deque
from collections.abc import Hashable, Iterable, Sequence

from l0_surgical.robot.control.arm import STREAMS, ArmInputs, Received
from l0_surgical.robot.control.clock import Instant
from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import JointState, OperatingState, PoseStamped
from l0_surgical.surgical.kinematics import forward_kinematics
from l0_surgical.system.errors import L0SurgicalError

_QUATERNION_TOLERANCE = 1e-3
_EARLIEST_NS = 1_000_000_000_000_000_000  # 2001: a stamp before it was never set
# topics of one sample may arrive in two polls; one that came no more is not compared, but soon too old
_SAME_TIME_S = 0.02
_SAMPLES = 16
_QUIET_S = 0.1
_BY_JOINTS = {"measured_cp": "measured_js", "local/measured_cp": "measured_js", "setpoint_cp": "setpoint_js"}
_SAYS_WHERE = ("measured_cp", "local/measured_cp", "measured_js")
_SOURCES = (*STREAMS, "operating_state")


class SafetyError(L0SurgicalError):
    """A reason not to command the arm; the message says which and how to mend it."""


class ArmWatch:
    """Checks everything that an arm says, message by message; a violation raises `SafetyError`.

    Where the tool is follows from the joints by our own kinematics; what the arm says of its pose, with the
    base frame and without it, must agree.

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
        self._foreign_ns: int | None = None
        self.restart()

    def hear(self, inputs: ArmInputs, now: Instant) -> None:
        """Takes note of inputs that nobody may miss while the arm is not commanded; `check` sees to the
        others."""
        if inputs.foreign_commands:
            self._foreign_ns = now.monotonic_ns

    def restart(self) -> None:
        """Forgets the past: what happened while nobody was commanding does not count."""
        self._former_now: Instant | None = None
        self._former_state: OperatingState | None = None
        self._former: dict[str, tuple[int, Pose | None]] = {}
        self._samples: dict[str, deque[tuple[int, Pose]]] = {
            topic: deque(maxlen=_SAMPLES) for topic in ("measured_js", "setpoint_js")
        }
        self._writers: dict[str, frozenset[Hashable]] | None = None

    def check(self, inputs: ArmInputs, now: Instant) -> Pose:
        """Returns where the tool is if that may be relied on and the arm may be commanded.

        Raises:
            SafetyError: says what is wrong.
        """
        self._check_computer(now)
        self._check_alone(inputs)
        self._check_state(inputs, now)
        for topic in STREAMS:
            self._check_topic(topic, inputs, now)
        _, measured = self._former["measured_js"]
        self.check_workspace(measured, self._limits.max_joint_disagreement_m + self._limits.max_step_m)
        return measured

    def check_start(self, inputs: ArmInputs, now: Instant) -> Pose:
        """As `check`, for a controller that takes the arm over; returns the pose from which commands go on.

        From here on the publishers of what the arm says are those of now.

        Raises:
            SafetyError: says what is wrong.
        """
        self.restart()
        if (
            self._foreign_ns is not None
            and now.monotonic_ns - self._foreign_ns < 1e9 * _QUIET_S
            and not self._is_shadow
        ):
            raise SafetyError(
                f"somebody else has commanded {self._name} within the last {_QUIET_S:g} s; stop the other "
                "controller"
            )
        self._pin_writers(inputs)
        measured = self.check(inputs, now)
        setpoint = Pose.of(inputs.setpoint_cp.record)
        self.check_tracking(measured, setpoint)
        self.check_workspace(setpoint)
        return setpoint

    def check_tracking(self, measured: Pose, setpoint: Pose) -> None:
        """Raises SafetyError where the arm is too far from where it was told to be."""
        distance, angle = measured.distance_to(setpoint), measured.angle_to(setpoint)
        if distance > self._limits.max_tracking_error_m or angle > self._limits.max_tracking_error_rad:
            raise SafetyError(
                f"{self._name} is {1e3 * distance:.1f} mm and {angle:.3f} rad from its setpoint "
                f"(limits {1e3 * self._limits.max_tracking_error_m:g} mm, "
                f"{self._limits.max_tracking_error_rad:g} rad); see what holds it"
            )

    def check_workspace(self, pose: Pose, tolerance_m: float = 0.0) -> None:
        """Raises SafetyError where the tool would be outside the workspace by more than the tolerance."""
        low, high = self._limits.workspace_low_m, self._limits.workspace_high_m
        for axis, value, least, most in zip("xyz", pose.position, low, high, strict=True):
            if not least - tolerance_m <= value <= most + tolerance_m:
                raise SafetyError(
                    f"the tool's {axis} would be {value:.4f} m, the workspace is {least:g} .. {most:g} m; "
                    "see the limits file"
                )

    def check_told(self, inputs: ArmInputs, commands: Sequence[tuple[int, Pose]], now: Instant) -> None:
        """Raises SafetyError where the arm says it was told (setpoint_cp) something that was none of these
        commands at that time.

        Args:
            inputs: what the arm says.
            commands: when each was sent (monotonic, ns), oldest first.
            now: a sample that comes late is compared with the commands of its stamp; by `max_age_s` at most,
                as clocks may differ.
        """
        limits = self._limits
        for received in inputs.news.get("setpoint_cp", []):
            told = Pose.of(received.record)
            late_ns = min(max(0, now.wall_ns - received.record.stamp_ns), round(1e9 * limits.max_age_s))
            since_ns = now.monotonic_ns - late_ns - round(1e9 * limits.max_setpoint_age_s)
            own = [
                pose
                for place, (_, pose) in enumerate(commands)
                if place + 1 == len(commands) or commands[place + 1][0] >= since_ns
            ]
            if not any(
                told.distance_to(pose) <= limits.max_setpoint_error_m
                and told.angle_to(pose) <= limits.max_setpoint_error_rad
                for pose in own
            ):
                raise SafetyError(
                    f"{self._name} was told to be where no command of ours of the last "
                    f"{1e3 * limits.max_setpoint_age_s:g} ms was, "
                    f"{1e3 * min(map(told.distance_to, own)):.1f} mm away (setpoint_cp; limit "
                    f"{1e3 * limits.max_setpoint_error_m:g} mm); "
                    "somebody else moves it, perhaps from its own console"
                )

    def _check_computer(self, now: Instant) -> None:
        former, self._former_now = self._former_now, now
        if former is None:
            return
        gap_s = 1e-9 * (now.monotonic_ns - former.monotonic_ns)
        if gap_s > self._limits.max_loop_gap_s:
            raise SafetyError(
                f"the servo loop stood still for {1e3 * gap_s:.0f} ms (limit "
                f"{1e3 * self._limits.max_loop_gap_s:g} ms); see what else this computer does"
            )
        step_s = 1e-9 * (now.wall_ns - former.wall_ns) - gap_s
        if abs(step_s) > self._limits.max_clock_step_s:
            raise SafetyError(
                f"this computer's clock was set by {step_s:+.3f} s; stamps cannot be compared across that"
            )

    def _check_alone(self, inputs: ArmInputs) -> None:
        if inputs.foreign_commands and not self._is_shadow:
            topics = ", ".join(inputs.foreign_commands)
            raise SafetyError(f"somebody else commands {self._name} on {topics}; stop the other controller")
        for topic, pinned in (self._writers or {}).items():
            writers = inputs.writers.get(topic, frozenset())
            senders = {
                received.writer for received in inputs.news.get(topic, []) if received.writer is not None
            }
            if (writers | senders) - pinned:
                raise SafetyError(
                    f"somebody else publishes /{self._name}/{topic} now; two sources of it cannot be told "
                    "apart, stop one"
                )
            if pinned - writers:
                raise SafetyError(
                    f"who published /{self._name}/{topic} has gone; see whether the arm's software runs"
                )

    def _pin_writers(self, inputs: ArmInputs) -> None:
        self._writers = {topic: inputs.writers[topic] for topic in _SOURCES if topic in inputs.writers}
        for topic, writers in self._writers.items():
            if len(writers) > 1:
                raise SafetyError(
                    f"{len(writers)} publish /{self._name}/{topic}; only the arm may, stop the others"
                )

    def _check_state(self, inputs: ArmInputs, now: Instant) -> None:
        if inputs.operating_state is None:
            raise SafetyError(
                f"{self._name} has not said its operating state; see whether the arm's software runs"
            )
        for received in inputs.news.get("operating_state") or [inputs.operating_state]:
            self._check_state_stamp(received.record, now)
        state = inputs.operating_state.record
        if state.state != "ENABLED":
            raise SafetyError(
                f"{self._name} is {state.state or 'in no state'}, not ENABLED; see the arm's own messages"
            )
        if not state.is_homed:
            raise SafetyError(f"{self._name} is not homed; home it")
        if state.is_busy and not self._is_shadow:
            raise SafetyError(
                f"{self._name} is busy: a hand at its clutch, or a move_*, moves it; wait until that is over"
            )

    def _check_state_stamp(self, state: OperatingState, now: Instant) -> None:
        former, self._former_state = self._former_state, state
        limits = self._limits
        # an event, and kept for whoever comes late: how old it is says nothing
        if state.stamp_ns < _EARLIEST_NS or state.stamp_ns - now.wall_ns > 1e9 * limits.max_stamp_age_s:
            raise SafetyError(
                f"the stamp of operating_state, {1e-9 * state.stamp_ns:.3f} s since 1970, cannot be true; "
                "see who sends it"
            )
        older_ns = 0 if former is None else former.stamp_ns - state.stamp_ns
        if older_ns > 1e9 * limits.max_stamp_jitter_s:
            raise SafetyError(
                f"an operating_state came that is {1e-9 * older_ns:.3f} s older than the one before it; see "
                "who sends it"
            )

    def _check_topic(self, topic: str, inputs: ArmInputs, now: Instant) -> None:
        newest = inputs.newest(topic)
        if newest is None:
            raise SafetyError(
                f"{self._name} has not said its {topic}; see whether the arm's software runs and an "
                "instrument is mounted"
            )
        for received in inputs.news.get(topic) or ([] if topic in self._former else [newest]):
            self._check_news(topic, received, now)
        age_s = 1e-9 * (now.monotonic_ns - newest.received_ns)
        if age_s > self._limits.max_age_s:
            raise SafetyError(
                f"{topic} stopped {1e3 * age_s:.0f} ms ago (limit {1e3 * self._limits.max_age_s:g} ms); see "
                "the connection"
            )

    def _check_news(self, topic: str, received: Received[PoseStamped | JointState], now: Instant) -> None:
        record = received.record
        pose = self._pose(topic, record)
        self._check_stamp(topic, record.stamp_ns, now)
        former, self._former[topic] = self._former.get(topic), (record.stamp_ns, pose)
        if former is not None:
            self._check_progress(topic, record.stamp_ns, pose, *former)
        if topic in _BY_JOINTS:
            self._check_agreement(topic, record.stamp_ns, pose)
        elif topic in self._samples:
            self._samples[topic].append((record.stamp_ns, pose))

    def _check_progress(
        self, topic: str, stamp_ns: int, pose: Pose | None, former_ns: int, before: Pose | None
    ) -> None:
        elapsed_s = 1e-9 * (stamp_ns - former_ns)
        if elapsed_s < -self._limits.max_stamp_jitter_s:
            raise SafetyError(
                f"the stamps of {topic} went back by {-elapsed_s:.3f} s; see whether two arms have the same "
                "name"
            )
        if topic in _SAYS_WHERE:
            self._check_jump(topic, pose, before, max(0.0, elapsed_s))

    def _check_jump(self, topic: str, pose: Pose, before: Pose, elapsed_s: float) -> None:
        limits = self._limits
        distance, angle = pose.distance_to(before), pose.angle_to(before)
        longest_s = min(elapsed_s, limits.max_age_s)
        if (
            distance > limits.max_jump_m + limits.max_speed_m_per_s * longest_s
            or angle > limits.max_jump_rad + limits.max_speed_rad_per_s * longest_s
        ):
            raise SafetyError(
                f"{topic} jumped by {1e3 * distance:.1f} mm and {angle:.3f} rad in {1e3 * elapsed_s:.0f} ms"
            )

    def _check_stamp(self, topic: str, stamp_ns: int, now: Instant) -> None:
        if stamp_ns == 0:
            raise SafetyError(f"{topic} is not valid yet (its stamp is 0); home the arm")
        age_s = 1e-9 * (now.wall_ns - stamp_ns)
        if abs(age_s) > self._limits.max_stamp_age_s:
            raise SafetyError(
                f"the stamp of {topic} is {1e3 * age_s:.0f} ms old (limit "
                f"{1e3 * self._limits.max_stamp_age_s:g} ms); "
                "see whether the arm hangs and the computers' clocks agree"
            )

    def _pose(self, topic: str, record: PoseStamped | JointState) -> Pose | None:
        """The pose of a message that is finite and in the right frame; by the kinematics where it has joints,
        None of the jaw."""
        if topic == "jaw/measured_js":
            self._check_jaw(record.position)
            return None
        if isinstance(record, JointState):
            if len(record.position) != 6 or not all(map(math.isfinite, record.position)):
                raise SafetyError(
                    f"{topic} has the positions {_shown(record.position)}; a PSM has six finite ones"
                )
            return Pose.from_matrix(forward_kinematics(record.position))
        numbers = (*record.position, *record.orientation)
        if not all(map(math.isfinite, numbers)):
            raise SafetyError(f"{topic} is not finite: {numbers}; see the arm's encoders")
        if abs(math.sqrt(sum(part * part for part in record.orientation)) - 1) > _QUATERNION_TOLERANCE:
            raise SafetyError(f"the orientation of {topic} is no unit quaternion: {record.orientation}")
        # a local pose is in no frame that set_base_frame could change
        if not topic.startswith("local/") and record.frame_id != self._frame:
            raise SafetyError(
                f"{topic} is in the frame {_shown(record.frame_id)}, not {self._frame!r}; see "
                "set_base_frame and the limits file"
            )
        return Pose.of(record)

    def _check_jaw(self, position: tuple[float, ...]) -> None:
        low, high = self._limits.jaw_low_rad, self._limits.jaw_high_rad
        # NaN fails the comparison too
        if len(position) != 1 or not low <= position[0] <= high:
            raise SafetyError(
                f"the jaw is at {_shown(position)} rad, not closed ({low:g} .. {high:g} rad); close it"
            )

    def _check_agreement(self, topic: str, stamp_ns: int, pose: Pose) -> None:
        """Whether a pose is where the joints of the same time put the tool."""
        limits, joints_topic = self._limits, _BY_JOINTS[topic]
        if (nearest := _nearest_sample(self._samples[joints_topic], stamp_ns)) is None:
            return
        apart_s, by_joints = nearest
        distance, angle = pose.distance_to(by_joints), pose.angle_to(by_joints)
        most_m, most_rad = (
            (limits.max_setpoint_error_m, limits.max_setpoint_error_rad)
            if topic == "setpoint_cp"
            else (limits.max_joint_disagreement_m, limits.max_joint_disagreement_rad)
        )
        if (
            distance > most_m + limits.max_speed_m_per_s * apart_s
            or angle > most_rad + limits.max_speed_rad_per_s * apart_s
        ):
            raise SafetyError(
                f"{topic} is {1e3 * distance:.1f} mm and {angle:.3f} rad from where the joints "
                f"({joints_topic}) put the tool; "
                "the base frame was moved (set_base_frame), or this is another instrument than the large "
                "needle driver"
            )


def _nearest_sample(samples: Iterable[tuple[int, Pose]], stamp_ns: int) -> tuple[float, Pose] | None:
    """Of samples with stamps the one nearest to `stamp_ns`, and how far it is from it in seconds; None if
    that is no sample of its time."""
    nearest_ns, pose = min(samples, key=lambda sample: abs(sample[0] - stamp_ns), default=(0, None))
    apart_s = 1e-9 * abs(nearest_ns - stamp_ns)
    return (apart_s, pose) if apart_s <= _SAME_TIME_S else None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 100 else f"{text[:80]}..."
