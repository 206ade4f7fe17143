"""A simulated arm on a stepped clock and in-memory transport, with a listener to all that it says."""

from in_memory_transport import Broker, MemoryTransport
from kinematic_arm import SteppedClock

from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import (
    JointState,
    PoseStamped,
    Record,
    String,
    StringStamped,
)
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.messaging.transport import EVENT, Qos
from l0_surgical.robot.simulated_arm import SimulatedArm
from l0_surgical.surgical.kinematics import forward_kinematics

EVERYTHING = Qos(100_000, transient_local=True)
INSIDE = (0.2, -0.1, 0.13, 0.4, 0.3, -0.2)


class Bench:
    """A simulated arm and a listener to all that it says."""

    def __init__(
        self, mode: str = "kinematic", *, without: tuple[type[Record], ...] = (), **options: object
    ) -> None:
        self.clock = SteppedClock()
        self.broker = Broker(self.clock)
        self.transport = MemoryTransport(self.broker)
        self.sim = SimulatedArm(
            MemoryTransport(self.broker, without), "PSM1", mode, clock=self.clock, inject=True, **options
        )
        self.ears = {
            name: self.transport.subscription(f"/PSM1/{name}", topic.record, EVERYTHING)
            for name, topic in crtk.PUBLISHED.items()
        }

    def say(self, name: str, record: Record) -> None:
        topic = crtk.SUBSCRIBED.get(name)
        self.transport.publisher(f"/PSM1/{name}", topic.record if topic else String, EVENT).publish(record)

    def command(self, command: str) -> None:
        self.say("state_command", StringStamped(1, "", command))

    def pass_time(self, seconds: float, step_s: float = 0.0025) -> None:
        for _ in range(round(seconds / step_s)):
            self.clock.advance(step_s)
            self.sim.step(step_s)

    def heard(self, name: str) -> list[Record]:
        return [received.record for received in self.ears[name].take()]

    def homed(self) -> "Bench":
        self.command("enable")
        self.pass_time(0.01)
        self.command("home")
        self.pass_time(3)
        assert self.heard("operating_state")[-1].is_homed
        for name in self.ears:
            self.heard(name)
        return self


def joints(values: tuple[float, ...]) -> JointState:
    return JointState(1, "", (), values)


def pose_of(values: tuple[float, ...]) -> PoseStamped:
    pose = Pose.from_matrix(forward_kinematics(values))
    return PoseStamped(1, "", pose.position, pose.orientation)
