"""What the controller needs of an arm: the newest of what it said, and two ways to speak to it. Each transport provides one."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from l0_surgical.control.records import JointState, OperatingState, PoseStamped

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Received(Generic[T]):
    """A record and when this process took it, on the monotonic clock in nanoseconds.

    `writer` tells who sent it: equal for the messages of one publisher, different for those of two; None where the transport cannot tell.
    """

    record: T
    received_ns: int
    writer: Hashable = None


@dataclass(slots=True)
class ArmInputs:
    """The newest of each topic, ever; None until the first. `news` holds what came since the last poll and nobody may miss.

    Attributes:
        measured_cp: where the tool is, in the arm's base frame (`frame_id`), metres.
        setpoint_cp: where the arm was last told to be.
        measured_js: the joints (6,).
        jaw: the jaw's joint (1,).
        operating_state: CRTK's state; None where the transport cannot know it yet.
        measured_poses: every measured_cp since the last poll, oldest first.
        foreign_commands: the topics on which somebody else commanded this arm since the last poll.
        errors: the arm's own error texts since the last poll.
    """

    measured_cp: Received[PoseStamped] | None = None
    setpoint_cp: Received[PoseStamped] | None = None
    measured_js: Received[JointState] | None = None
    jaw: Received[JointState] | None = None
    operating_state: Received[OperatingState] | None = None
    measured_poses: list[Received[PoseStamped]] = field(default_factory=list)
    foreign_commands: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Arm(Protocol):
    """One arm behind some transport; used from one thread only."""

    name: str

    def poll(self) -> ArmInputs:
        """Takes all that has arrived and returns the arm's inputs; never blocks."""

    def servo_cp(self, pose: PoseStamped) -> None:
        """Sends one setpoint. Only the safety filter calls this."""

    def state_command(self, command: str, stamp_ns: int) -> None:
        """Sends a CRTK state command: enable, home, pause, resume, disable, unhome."""
