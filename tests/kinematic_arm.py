"""An arm that is at once where it is told to be, and a clock that moves when it is told to: for tests of the
controller alone."""

import dataclasses
from collections.abc import Callable

from l0_surgical.robot.control.arm import FIELDS, ArmInputs, Received
from l0_surgical.robot.control.clock import Instant
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import JointState, OperatingState, PoseStamped
from l0_surgical.surgical.kinematics import forward_kinematics, inverse_kinematics

HOME = (0.0, 0.0, 0.12, 0.0, 0.0, 0.0)
START_NS = 1_700_000_000_000_000_000
RATE_HZ = 200.0


class SteppedClock:
    """Both clocks advance by `advance` only; `sleep_until` advances to its time."""

    def __init__(self) -> None:
        self.instant = Instant(5_000_000_000, START_NS)

    def now(self) -> Instant:
        return self.instant

    def sleep_until(self, monotonic_ns: int) -> None:
        self.advance(1e-9 * max(0, monotonic_ns - self.instant.monotonic_ns))

    def advance(self, seconds: float) -> None:
        nanoseconds = round(1e9 * seconds)
        self.instant = Instant(self.instant.monotonic_ns + nanoseconds, self.instant.wall_ns + nanoseconds)


class KinematicArm:
    """Enabled and homed, the jaw closed. `distort` may change each poll's inputs, as a fault would; `sent`
    are the commands."""

    name = "PSM1"

    def __init__(self, clock: SteppedClock, joints: tuple[float, ...] = HOME) -> None:
        self.clock = clock
        self.pose = Pose.from_matrix(forward_kinematics(joints))
        self.state = OperatingState(START_NS, "", "ENABLED", is_homed=True, is_busy=False)
        self.jaw_rad = 0.0
        self.frame = "PSM1_base"
        self.sent: list[PoseStamped] = []
        self.state_commands: list[str] = []
        self.distort: Callable[[ArmInputs], ArmInputs] = lambda inputs: inputs

    def poll(self) -> ArmInputs:
        now = self.clock.now()

        def received(record: object) -> Received:
            return Received(record, now.monotonic_ns)

        stamp, joints = now.wall_ns, tuple(inverse_kinematics(self.pose.matrix()))
        news = {
            "measured_cp": PoseStamped(stamp, self.frame, self.pose.position, self.pose.orientation),
            "local/measured_cp": PoseStamped(stamp, "", self.pose.position, self.pose.orientation),
            "setpoint_cp": PoseStamped(stamp, self.frame, self.pose.position, self.pose.orientation),
            "measured_js": JointState(stamp, "", (), joints),
            "setpoint_js": JointState(stamp, "", (), joints),
            "jaw/measured_js": JointState(stamp, "", ("jaw",), (self.jaw_rad,)),
            "operating_state": self.state,
        }
        inputs = heard(**{topic: received(record) for topic, record in news.items()})
        return self.distort(inputs)

    def servo_cp(self, pose: PoseStamped) -> None:
        self.sent.append(pose)
        self.pose = Pose.of(pose)

    def state_command(self, command: str, stamp_ns: int) -> None:
        self.state_commands.append(command)


def heard(inputs: ArmInputs | None = None, **news: Received) -> ArmInputs:
    """The inputs after one message of each of these topics has come, each by its one publisher."""
    inputs = inputs or ArmInputs()
    return dataclasses.replace(
        inputs,
        **{FIELDS[topic]: received for topic, received in news.items()},
        news=inputs.news | {topic: [received] for topic, received in news.items()},
        writers=inputs.writers | {topic: frozenset({topic}) for topic in news},
    )


def with_changed(inputs: ArmInputs, topic: str, **changes: object) -> ArmInputs:
    """The inputs with the newest of a topic changed, e.g. ("measured_cp", frame_id="ECM")."""
    received = inputs.newest(topic)
    return heard(
        inputs,
        **{topic: dataclasses.replace(received, record=dataclasses.replace(received.record, **changes))},
    )


def with_measured(inputs: ArmInputs, **changes: object) -> ArmInputs:
    """`with_changed` of measured_cp."""
    return with_changed(inputs, "measured_cp", **changes)
