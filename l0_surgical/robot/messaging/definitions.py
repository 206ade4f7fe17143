"""The ROS 2 definitions of the messages that CRTK uses, in one table; wire types, recordings' schemas and
type hashes are derived from it.

Field lists are those of builtin_interfaces, std_msgs, geometry_msgs, sensor_msgs (the same in Humble and
Jazzy) and crtk_msgs (1.3.0).
"""

import functools
import hashlib
import json
from dataclasses import dataclass

_SEPARATOR = "=" * 80

DEFINITIONS: dict[str, str] = {
    "builtin_interfaces/msg/Time": "int32 sec; uint32 nanosec",
    "std_msgs/msg/Header": "builtin_interfaces/Time stamp; string frame_id",
    "std_msgs/msg/String": "string data",
    "std_msgs/msg/Bool": "bool data",
    "std_msgs/msg/Float64": "float64 data",
    "std_msgs/msg/Empty": "",
    "std_msgs/msg/MultiArrayDimension": "string label; uint32 size; uint32 stride",
    "std_msgs/msg/MultiArrayLayout": "std_msgs/MultiArrayDimension[] dim; uint32 data_offset",
    "std_msgs/msg/Float64MultiArray": "std_msgs/MultiArrayLayout layout; float64[] data",
    "geometry_msgs/msg/Point": "float64 x; float64 y; float64 z",
    "geometry_msgs/msg/Vector3": "float64 x; float64 y; float64 z",
    "geometry_msgs/msg/Quaternion": "float64 x; float64 y; float64 z; float64 w",
    "geometry_msgs/msg/Pose": "geometry_msgs/Point position; geometry_msgs/Quaternion orientation",
    "geometry_msgs/msg/Twist": "geometry_msgs/Vector3 linear; geometry_msgs/Vector3 angular",
    "geometry_msgs/msg/Wrench": "geometry_msgs/Vector3 force; geometry_msgs/Vector3 torque",
    "geometry_msgs/msg/PoseStamped": "std_msgs/Header header; geometry_msgs/Pose pose",
    "geometry_msgs/msg/TwistStamped": "std_msgs/Header header; geometry_msgs/Twist twist",
    "geometry_msgs/msg/WrenchStamped": "std_msgs/Header header; geometry_msgs/Wrench wrench",
    "sensor_msgs/msg/JointState": "std_msgs/Header header; string[] name; float64[] position; "
    "float64[] velocity; float64[] effort",
    "sensor_msgs/msg/Joy": "std_msgs/Header header; float32[] axes; int32[] buttons",
    "crtk_msgs/msg/CartesianState": (
        "std_msgs/Header header; geometry_msgs/Pose pose; std_msgs/Bool pose_is_valid; geometry_msgs/Twist "
        "twist; std_msgs/Bool twist_is_valid; geometry_msgs/Wrench wrench; std_msgs/Bool wrench_is_valid"
    ),
    "crtk_msgs/msg/CartesianImpedanceHalfPlaneGains": (
        "geometry_msgs/Vector3 p; geometry_msgs/Vector3 d; geometry_msgs/Vector3 bias; "
        "geometry_msgs/Vector3 deadband"
    ),
    "crtk_msgs/msg/CartesianImpedance": (
        "std_msgs/Header header; geometry_msgs/Quaternion force_orientation; geometry_msgs/Vector3 "
        "force_position; "
        "geometry_msgs/Quaternion torque_orientation; crtk_msgs/CartesianImpedanceHalfPlaneGains "
        "position_positive; crtk_msgs/CartesianImpedanceHalfPlaneGains position_negative; "
        "crtk_msgs/CartesianImpedanceHalfPlaneGains orientation_positive; "
        "crtk_msgs/CartesianImpedanceHalfPlaneGains orientation_negative"
    ),
    "crtk_msgs/msg/OperatingState": "std_msgs/Header header; string state; bool is_homed; bool is_busy",
    "crtk_msgs/msg/StringStamped": "std_msgs/Header header; string string",
}
"""Full message name to its fields, `type name` joined by "; ", in the order of the .msg file."""

# type_description_interfaces/msg/FieldType: a nested type is 1, an unbounded sequence adds 144
_TYPE_IDS = {"uint8": 3, "int32": 6, "uint32": 7, "float32": 10, "float64": 11, "bool": 15, "string": 17}
_NESTED, _SEQUENCE = 1, 144


@dataclass(frozen=True)
class Field:
    """One field: a primitive (`type` is "float64", "string", ...) or a message (`type` is a key of
    DEFINITIONS), or a sequence of those."""

    name: str
    type: str
    is_sequence: bool

    @property
    def is_message(self) -> bool:
        return self.type in DEFINITIONS


@functools.cache
def fields(message: str) -> tuple[Field, ...]:
    """The fields of a message, e.g. "geometry_msgs/msg/Pose", as they lie on the wire.

    A message without fields has one dummy byte there, because an IDL structure cannot be empty.
    """
    parsed = []
    for text in filter(None, DEFINITIONS[message].split("; ")):
        kind, name = text.split(" ")
        base = kind.removesuffix("[]")
        parsed.append(Field(name, base.replace("/", "/msg/"), kind != base))
    return tuple(parsed) or (Field("structure_needs_at_least_one_member", "uint8", False),)


@functools.cache
def nested(message: str) -> tuple[str, ...]:
    """The names of all messages inside a message, at any depth, in the order in which they first appear."""
    found: dict[str, None] = {}
    for field in fields(message):
        if field.is_message:
            found.update(dict.fromkeys((field.type, *nested(field.type))))
    return tuple(found)


@functools.cache
def schema(message: str) -> str:
    """The definition with those of all nested messages behind it: an MCAP schema of encoding "ros2msg"."""
    parts = [
        _lines(message),
        *(f"{_SEPARATOR}\nMSG: {name.replace('/msg/', '/')}\n{_lines(name)}" for name in nested(message)),
    ]
    return "\n".join(parts)


@functools.cache
def type_hash(message: str) -> str:
    """ROS 2's hash of the type ("RIHS01_" and 64 hex digits), by which nodes from Iron on tell versions of a
    message apart.

    It is the SHA-256 of the JSON of type_description_interfaces/msg/TypeDescription (REP 2011), default
    values left out.
    """
    description = {
        "type_description": _type_description(message),
        "referenced_type_descriptions": [_type_description(name) for name in sorted(nested(message))],
    }
    return "RIHS01_" + hashlib.sha256(json.dumps(description, separators=(", ", ": ")).encode()).hexdigest()


def _lines(message: str) -> str:
    return DEFINITIONS[message].replace("; ", "\n")


def _type_description(message: str) -> dict:
    return {
        "type_name": message,
        "fields": [
            {
                "name": field.name,
                "type": {
                    "type_id": (_NESTED if field.is_message else _TYPE_IDS[field.type])
                    + _SEQUENCE * field.is_sequence,
                    "capacity": 0,
                    "string_capacity": 0,
                    "nested_type_name": field.type if field.is_message else "",
                },
            }
            for field in fields(message)
        ],
    }
