"""An arm that is at once where it is told to be, and a clock that moves when it is told to: for tests of the controller alone."""

import dataclasses
from collections.abc import Callable

from l0_surgical.control.arm import ArmInputs, Received
from l0_surgical.control.clock import Instant
from l0_surgical.control.kinematics import forward_kinematics, inverse_kinematics
from l0_surgical.control.poses import Pose
from l0_surgical.control.records import JointState, OperatingState, PoseStamped

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
    """Enabled and homed, the jaw closed. `distort` may change each poll's inputs, as a fault would; `sent` are the commands."""

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
        self._former = ArmInputs()

    def poll(self) -> ArmInputs:
        now = self.clock.now()

        def received(record: object) -> Received:
            return Received(record, now.monotonic_ns)

        stamp = now.wall_ns
        pose = received(PoseStamped(stamp, self.frame, self.pose.position, self.pose.orientation))
        inputs = ArmInputs(
            measured_cp=pose,
            setpoint_cp=pose,
            measured_js=received(JointState(stamp, "", (), tuple(inverse_kinematics(self.pose.matrix())))),
            jaw=received(JointState(stamp, "", ("jaw",), (self.jaw_rad,))),
            operating_state=received(self.state),
            measured_poses=[pose],
        )
        self._former = inputs = self.distort(inputs)
        return inputs

    def servo_cp(self, pose: PoseStamped) -> None:
        self.sent.append(pose)
        self.pose = Pose.of(pose)

    def state_command(self, command: str, stamp_ns: int) -> None:
        self.state_commands.append(command)


def with_measured(inputs: ArmInputs, **changes: object) -> ArmInputs:
    """The inputs with the newest measured_cp changed, e.g. `frame_id="ECM"`."""
    received = dataclasses.replace(inputs.measured_cp, record=dataclasses.replace(inputs.measured_cp.record, **changes))
    return dataclasses.replace(inputs, measured_cp=received, measured_poses=[received])
