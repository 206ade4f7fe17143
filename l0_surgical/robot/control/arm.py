"""What the controller needs of an arm: what it said, who says it, and two ways to speak to it. Each transport
provides one."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from l0_surgical.robot.control.records import JointState, OperatingState, PoseStamped, Record

T = TypeVar("T")

STREAMS = ("measured_js", "setpoint_js", "jaw/measured_js", "measured_cp", "local/measured_cp", "setpoint_cp")
"""What an arm must say all the time to be commanded, by CRTK's names; the joints first, by which the poses
are judged."""
TEXTS = ("error", "warning", "status")


@dataclass(frozen=True, slots=True)
class Received(Generic[T]):
    """A record and when this process took it, on the monotonic clock in nanoseconds.

    `writer` tells who sent it: equal for the messages of one publisher, different for those of two; None
        where the transport cannot tell.
    """

    record: T
    received_ns: int
    writer: Hashable = None


@dataclass(slots=True)
class ArmInputs:
    """What an arm has said. The newest of each topic, ever, is None until the first.

    Attributes:
        measured_cp: where the tool is, in the arm's base frame (`frame_id`), metres.
        local_measured_cp: the same by the arm's joints alone, whatever `set_base_frame` has done.
        setpoint_cp: where the arm was last told to be, in the base frame.
        measured_js: the joints (6,).
        setpoint_js: where they were last told to be (6,).
        jaw: the jaw's joint (1,).
        operating_state: CRTK's state; None where the transport cannot know it yet.
        news: what came since the last poll, oldest first, by topic: `STREAMS`, operating_state and `TEXTS`.
            Nothing in it may be missed.
        foreign_commands: the topics on which somebody else commanded this arm since the last poll.
        writers: who publishes each topic of `STREAMS` and operating_state now, as the transport tells
            publishers apart.
    """

    measured_cp: Received[PoseStamped] | None = None
    local_measured_cp: Received[PoseStamped] | None = None
    setpoint_cp: Received[PoseStamped] | None = None
    measured_js: Received[JointState] | None = None
    setpoint_js: Received[JointState] | None = None
    jaw: Received[JointState] | None = None
    operating_state: Received[OperatingState] | None = None
    news: dict[str, list[Received[Record]]] = field(default_factory=dict)
    foreign_commands: list[str] = field(default_factory=list)
    writers: dict[str, frozenset[Hashable]] = field(default_factory=dict)

    def newest(self, topic: str) -> Received | None:
        """The newest of a topic of `STREAMS` or operating_state."""
        return getattr(self, FIELDS[topic])


FIELDS = {topic: topic.replace("/", "_") for topic in STREAMS} | {
    "jaw/measured_js": "jaw",
    "operating_state": "operating_state",
}
"""The field of `ArmInputs` in which the newest of a topic is."""


class Arm(Protocol):
    """One arm behind some transport; used from one thread only."""

    name: str

    def poll(self) -> ArmInputs:
        """Takes all that has arrived and returns the arm's inputs; never blocks."""

    def servo_cp(self, pose: PoseStamped) -> None:
        """Sends one setpoint. Only the safety filter calls this."""

    def state_command(self, command: str, stamp_ns: int) -> None:
        """Sends a CRTK state command: enable, home, pause, resume, disable, unhome."""
