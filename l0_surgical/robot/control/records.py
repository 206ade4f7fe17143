"""Plain records of what a robot arm says and hears: ROS 2's messages without ROS, so that the controller
depends on no transport.

Metres, radians, newtons; quaternions are x, y, z, w. `stamp_ns` is the sender's wall clock in nanoseconds
since 1970, 0 where the data is not valid yet (the dVRK's convention). `TYPE` is the message's ROS 2 name.
Field order is that of the message.
"""

from dataclasses import dataclass
from typing import ClassVar

from l0_surgical.surgical.kinematics import Vector

Quaternion = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PoseStamped:
    """A pose of the tool in the frame `frame_id`: position (m) and orientation (quaternion xyzw)."""

    TYPE: ClassVar[str] = "geometry_msgs/msg/PoseStamped"
    stamp_ns: int
    frame_id: str
    position: Vector
    orientation: Quaternion


@dataclass(frozen=True, slots=True)
class TwistStamped:
    """A velocity: linear (m/s) and angular (rad/s)."""

    TYPE: ClassVar[str] = "geometry_msgs/msg/TwistStamped"
    stamp_ns: int
    frame_id: str
    linear: Vector
    angular: Vector


@dataclass(frozen=True, slots=True)
class WrenchStamped:
    """A force (N) and a torque (N m)."""

    TYPE: ClassVar[str] = "geometry_msgs/msg/WrenchStamped"
    stamp_ns: int
    frame_id: str
    force: Vector
    torque: Vector


@dataclass(frozen=True, slots=True)
class JointState:
    """Joint names, positions (rad or m), velocities and efforts; an empty tuple where there is nothing to
    say."""

    TYPE: ClassVar[str] = "sensor_msgs/msg/JointState"
    stamp_ns: int
    frame_id: str
    name: tuple[str, ...]
    position: tuple[float, ...]
    velocity: tuple[float, ...] = ()
    effort: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class CartesianState:
    """A pose, a velocity (m/s, rad/s) and a force (N, N m) of the tool; only those that are said to be valid
    count."""

    TYPE: ClassVar[str] = "crtk_msgs/msg/CartesianState"
    stamp_ns: int
    frame_id: str
    position: Vector
    orientation: Quaternion
    pose_is_valid: bool
    linear: Vector
    angular: Vector
    twist_is_valid: bool
    force: Vector
    torque: Vector
    wrench_is_valid: bool


@dataclass(frozen=True, slots=True)
class HalfPlaneGains:
    """How stiff the tool is on one side of a virtual fixture, for each of its axes: stiffness, damping, bias
    and dead band."""

    p: Vector
    d: Vector
    bias: Vector
    deadband: Vector


@dataclass(frozen=True, slots=True)
class CartesianImpedance:
    """A virtual fixture: its place, its orientations for forces and for torques, and gains on either side of
    it."""

    TYPE: ClassVar[str] = "crtk_msgs/msg/CartesianImpedance"
    stamp_ns: int
    frame_id: str
    force_orientation: Quaternion
    force_position: Vector
    torque_orientation: Quaternion
    position_positive: HalfPlaneGains
    position_negative: HalfPlaneGains
    orientation_positive: HalfPlaneGains
    orientation_negative: HalfPlaneGains


@dataclass(frozen=True, slots=True)
class OperatingState:
    """CRTK's state of an arm: DISABLED, ENABLED, PAUSED or FAULT."""

    TYPE: ClassVar[str] = "crtk_msgs/msg/OperatingState"
    stamp_ns: int
    frame_id: str
    state: str
    is_homed: bool
    is_busy: bool


@dataclass(frozen=True, slots=True)
class StringStamped:
    """CRTK's stamped text, e.g. a state_command."""

    TYPE: ClassVar[str] = "crtk_msgs/msg/StringStamped"
    stamp_ns: int
    frame_id: str
    string: str


@dataclass(frozen=True, slots=True)
class Joy:
    """Buttons and axes; of a dVRK's button the only number in `buttons` is 1 when it was pressed, 0 released,
    2 clicked."""

    TYPE: ClassVar[str] = "sensor_msgs/msg/Joy"
    stamp_ns: int
    frame_id: str
    axes: tuple[float, ...]
    buttons: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class String:
    TYPE: ClassVar[str] = "std_msgs/msg/String"
    data: str


@dataclass(frozen=True, slots=True)
class Bool:
    TYPE: ClassVar[str] = "std_msgs/msg/Bool"
    data: bool


@dataclass(frozen=True, slots=True)
class Float64:
    TYPE: ClassVar[str] = "std_msgs/msg/Float64"
    data: float


@dataclass(frozen=True, slots=True)
class Float64MultiArray:
    """Numbers in row-major order; of a matrix also `shape`, its rows and columns. Without a shape the
    message's layout is empty."""

    TYPE: ClassVar[str] = "std_msgs/msg/Float64MultiArray"
    data: tuple[float, ...]
    shape: tuple[int, int] | tuple[()] = ()


@dataclass(frozen=True, slots=True)
class Empty:
    TYPE: ClassVar[str] = "std_msgs/msg/Empty"


Record = (
    PoseStamped
    | TwistStamped
    | WrenchStamped
    | JointState
    | CartesianState
    | CartesianImpedance
    | Joy
    | OperatingState
    | StringStamped
    | String
    | Bool
    | Float64
    | Float64MultiArray
    | Empty
)
