"""Between the plain records of `control.records` and ROS 2 messages, whichever library's classes those are.

Cyclonedds dataclasses, rclpy's messages and those read from a recording have the same attributes (header.stamp.sec, pose.position.x).
"""

from collections.abc import Callable
from typing import Any, get_args

from l0_surgical.control import records
from l0_surgical.control.records import Quaternion, Record, Vector

NANOSECONDS = 1_000_000_000

RECORD_TYPES: dict[str, type[Record]] = {record_type.TYPE: record_type for record_type in get_args(Record)}
"""The record type of each message by its full name."""

MessageClass = Callable[[str], Callable[..., Any]]
"""From a full message name to its class, which is called with the fields by name."""


def to_message(record: Record, message_class: MessageClass) -> Any:
    """The message that says what `record` says, made of the classes that `message_class` gives.

    Numbers become Python floats and texts str, because rclpy refuses anything else; the layout of a Float64MultiArray is empty.
    """
    return _ENCODERS[type(record)](record, message_class)


def to_record(message: Any, record_type: type[Record]) -> Record:
    """The record of `record_type` that says what `message` says; the inverse of `to_message`."""
    return _DECODERS[record_type](message)


def _header(record: Any, message_class: MessageClass) -> Any:
    seconds, nanoseconds = divmod(record.stamp_ns, NANOSECONDS)
    stamp = message_class("builtin_interfaces/msg/Time")(sec=seconds, nanosec=nanoseconds)
    return message_class("std_msgs/msg/Header")(stamp=stamp, frame_id=record.frame_id)


def _vector(values: Vector, message_class: MessageClass, name: str = "Vector3") -> Any:
    x, y, z = values
    return message_class(f"geometry_msgs/msg/{name}")(x=float(x), y=float(y), z=float(z))


def _quaternion(values: Quaternion, message_class: MessageClass) -> Any:
    x, y, z, w = values
    return message_class("geometry_msgs/msg/Quaternion")(x=float(x), y=float(y), z=float(z), w=float(w))


def _pose_stamped(record: records.PoseStamped, of: MessageClass) -> Any:
    pose = of("geometry_msgs/msg/Pose")(
        position=_vector(record.position, of, "Point"),
        orientation=_quaternion(record.orientation, of),
    )
    return of(record.TYPE)(header=_header(record, of), pose=pose)


def _twist_stamped(record: records.TwistStamped, of: MessageClass) -> Any:
    twist = of("geometry_msgs/msg/Twist")(linear=_vector(record.linear, of), angular=_vector(record.angular, of))
    return of(record.TYPE)(header=_header(record, of), twist=twist)


def _wrench_stamped(record: records.WrenchStamped, of: MessageClass) -> Any:
    wrench = of("geometry_msgs/msg/Wrench")(force=_vector(record.force, of), torque=_vector(record.torque, of))
    return of(record.TYPE)(header=_header(record, of), wrench=wrench)


def _joint_state(record: records.JointState, of: MessageClass) -> Any:
    return of(record.TYPE)(
        header=_header(record, of),
        name=list(record.name),
        position=[float(value) for value in record.position],
        velocity=[float(value) for value in record.velocity],
        effort=[float(value) for value in record.effort],
    )


def _operating_state(record: records.OperatingState, of: MessageClass) -> Any:
    return of(record.TYPE)(
        header=_header(record, of),
        state=record.state,
        is_homed=bool(record.is_homed),
        is_busy=bool(record.is_busy),
    )


def _array(record: records.Float64MultiArray, of: MessageClass) -> Any:
    layout = of("std_msgs/msg/MultiArrayLayout")(dim=[], data_offset=0)
    return of(record.TYPE)(layout=layout, data=[float(value) for value in record.data])


def _empty(record: records.Empty, of: MessageClass) -> Any:
    # rclpy and cyclonedds both have the dummy member by which an empty message gets onto the wire
    return of(record.TYPE)(structure_needs_at_least_one_member=0)


_ENCODERS: dict[type, Callable[[Any, MessageClass], Any]] = {
    records.PoseStamped: _pose_stamped,
    records.TwistStamped: _twist_stamped,
    records.WrenchStamped: _wrench_stamped,
    records.JointState: _joint_state,
    records.OperatingState: _operating_state,
    records.StringStamped: lambda record, of: of(record.TYPE)(header=_header(record, of), string=record.string),
    records.String: lambda record, of: of(record.TYPE)(data=record.data),
    records.Bool: lambda record, of: of(record.TYPE)(data=bool(record.data)),
    records.Float64: lambda record, of: of(record.TYPE)(data=float(record.data)),
    records.Float64MultiArray: _array,
    records.Empty: _empty,
}


def _stamp_and_frame(message: Any) -> tuple[int, str]:
    header = message.header
    return header.stamp.sec * NANOSECONDS + header.stamp.nanosec, header.frame_id


def _xyz(vector: Any) -> Vector:
    return vector.x, vector.y, vector.z


def _to_pose(message: Any) -> records.PoseStamped:
    orientation = message.pose.orientation
    xyzw = orientation.x, orientation.y, orientation.z, orientation.w
    return records.PoseStamped(*_stamp_and_frame(message), _xyz(message.pose.position), xyzw)


def _to_twist(message: Any) -> records.TwistStamped:
    return records.TwistStamped(*_stamp_and_frame(message), _xyz(message.twist.linear), _xyz(message.twist.angular))


def _to_wrench(message: Any) -> records.WrenchStamped:
    return records.WrenchStamped(*_stamp_and_frame(message), _xyz(message.wrench.force), _xyz(message.wrench.torque))


def _to_joints(message: Any) -> records.JointState:
    numbers = (tuple(message.position), tuple(message.velocity), tuple(message.effort))
    return records.JointState(*_stamp_and_frame(message), tuple(message.name), *numbers)


def _to_operating_state(message: Any) -> records.OperatingState:
    return records.OperatingState(*_stamp_and_frame(message), message.state, message.is_homed, message.is_busy)


_DECODERS: dict[type, Callable[[Any], Record]] = {
    records.PoseStamped: _to_pose,
    records.TwistStamped: _to_twist,
    records.WrenchStamped: _to_wrench,
    records.JointState: _to_joints,
    records.OperatingState: _to_operating_state,
    records.StringStamped: lambda message: records.StringStamped(*_stamp_and_frame(message), message.string),
    records.String: lambda message: records.String(message.data),
    records.Bool: lambda message: records.Bool(message.data),
    records.Float64: lambda message: records.Float64(message.data),
    records.Float64MultiArray: lambda message: records.Float64MultiArray(tuple(message.data)),
    records.Empty: lambda message: records.Empty(),
}
