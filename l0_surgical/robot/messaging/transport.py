"""What the library asks of a transport. `dds.DdsTransport` needs no ROS; `ros2.Ros2Transport` wraps an rclpy
node.

Topics are ROS names ("/PSM1/measured_cp"); records are those of `control.records`. Everything is RELIABLE, as
on the dVRK. Subscriptions are polled, so that a real-time loop takes its inputs when it wants them and no
callback runs beside it. Anybody may speak on a network without authentication: what comes from it is bounded
in number and size (`cdr.decode_received`), and it is told who sent it.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from l0_surgical.robot.control.arm import Received
from l0_surgical.robot.control.records import Record


@dataclass(frozen=True)
class Qos:
    """Reliable, keep-last `depth`; transient local keeps the last samples for late joiners, volatile does
    not."""

    depth: int
    transient_local: bool = False


TELEMETRY = Qos(100)
EVENT = Qos(100, transient_local=True)
COMMAND = Qos(1)


class Publisher(Protocol):
    """One topic's sender.

    Attributes:
        writer: as which `Received.writer` of a subscription of this process tells of it; None where the
            transport cannot tell.
    """

    topic: str
    writer: Hashable

    def publish(self, record: Record) -> None:
        """Sends one record of the publisher's type; never blocks for longer than the middleware's write."""

    def peers(self) -> int:
        """How many subscriptions (of any process, this one too) are matched."""

    def refusal(self) -> str | None:
        """In what somebody on this topic differed so that the two could not be matched, e.g. "reliability";
        None where nobody did."""


class Subscription(Protocol):
    topic: str

    def take(self) -> list[Received]:
        """What has arrived since the last call, oldest first, with the time it was taken; never blocks.

        At most as many as the depth, so that no flood can hold the caller; what is left comes with the next
        call.
        """

    def writers(self) -> frozenset[Hashable]:
        """Those that are matched now (of any process, this one too), as in `Received.writer`.

        A writer is matched before its first message can be taken: whoever asks after `take` hears of all that
        have spoken, unless they have left since.
        """

    def peers(self) -> int:
        """How many publishers (of any process, this one too) are matched."""

    def refusal(self) -> str | None:
        """See `Publisher`."""


class Transport(Protocol):
    def publisher(self, topic: str, record_type: type[Record], qos: Qos) -> Publisher: ...

    def subscription(self, topic: str, record_type: type[Record], qos: Qos) -> Subscription: ...

    def supports(self, record_type: type[Record]) -> bool:
        """False where the message package is missing (a ROS installation without crtk_msgs)."""

    def serialize(self, record: Record) -> bytes:
        """The record's CDR bytes, with the 4-byte encapsulation header: what ROS 2 puts on the wire and into
        a bag."""

    def close(self) -> None:
        """Leaves the network; harmless when it has been left already."""
