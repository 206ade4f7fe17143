"""Opening the transport that a name stands for; the package behind it is loaded only then."""

from typing import Literal

from l0_surgical.robot.messaging.network import Discovery
from l0_surgical.robot.messaging.transport import Transport
from l0_surgical.system.errors import BadInputError

TransportName = Literal["dds", "ros2"]


def open_transport(
    name: TransportName,
    domain: int | None,
    discovery: Discovery,
    node_name: str,
    interface: str | None = None,
) -> Transport:
    """The transport of that name; raises as its constructor does, and BadInputError where ros2 is given an
    interface."""
    if name == "ros2":
        if interface is not None:
            raise BadInputError(
                f"the interface {interface!r} is for dds; for ros2 name it in CYCLONEDDS_URI: "
                "docs/messaging.md"
            )
        from l0_surgical.robot.messaging.ros2 import Ros2Transport

        return Ros2Transport.open(node_name, domain)
    from l0_surgical.robot.messaging.dds import DdsTransport

    return DdsTransport(domain, discovery, interface)
