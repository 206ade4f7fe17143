"""Kinematics of the da Vinci Patient Side Manipulator (PSM), shared by the simulated task and the real arm.

Frames: `rcm` is the arm's base, whose origin is the remote centre of motion; `tool` is the frame that the
dVRK reports as measured_cp (origin on the wrist-yaw axis, z towards the jaw tips); `eef` is the same origin
with the axes of the sixth link, which the policy observes. The policy lives in a world whose lengths are a
multiple of the real ones: `ScaledWorld` converts.

Everything works on plain floats, because a pose is handled at a time and a scalar formula beats 4x4 matrix
products ten times. Source of the constants: dVRK, psm-large-needle-driver (modified Denavit-Hartenberg
parameters).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from l0_surgical.system.errors import BadInputError, L0SurgicalError

JOINT_NAMES = ("yaw", "pitch", "insertion", "roll", "wrist_pitch", "wrist_yaw")
JOINT_UNITS = ("rad", "rad", "m", "rad", "rad", "rad")
JOINT_LOWER = (
    -math.radians(91),
    -math.radians(53),
    0.0,
    -math.radians(260),
    -math.radians(80),
    -math.radians(80),
)
JOINT_UPPER = (
    math.radians(91),
    math.radians(53),
    0.24,
    math.radians(260),
    math.radians(80),
    math.radians(80),
)
RCM_TO_WRIST_M = 0.4162 - 0.4318
WRIST_PITCH_TO_YAW_M = 0.0091
WRIST_YAW_TO_TIP_M = 0.0102
MIN_DEPTH_M = 1e-3

Vector = tuple[float, float, float]
Axes = tuple[Vector, Vector, Vector]


class UnreachablePoseError(L0SurgicalError):
    """No joint position within the limits brings the tool to the pose; the arm should stay where it is."""


def forward_kinematics(joints: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns `rcm_T_tool` (4, 4), in metres, for joint positions (6,) in rad and metres (`JOINT_NAMES`);
    limits are not checked."""
    position, (x, y, z) = eef_in_rcm(joints)
    return np.array(
        [
            [-z[0], -x[0], y[0], position[0]],
            [-z[1], -x[1], y[1], position[1]],
            [-z[2], -x[2], y[2], position[2]],
            [0.0, 0.0, 0.0, 1.0],
        ]
    )


def eef_in_rcm(joints: Sequence[float] | np.ndarray) -> tuple[Vector, Axes]:
    """Returns the position (m) and the three axes of the eef frame, expressed in the RCM frame.

    The axes follow from the chain of modified-DH frames by inserting its right angles: each joint turns two
    unit vectors.
    """
    yaw, pitch, insertion, roll, wrist_pitch, wrist_yaw = map(float, joints)
    s1, c1, s2, c2 = math.sin(yaw), math.cos(yaw), math.sin(pitch), math.cos(pitch)
    s4, c4, s5, c5 = math.sin(roll), math.cos(roll), math.sin(wrist_pitch), math.cos(wrist_pitch)
    shaft = (c2 * s1, -s2, -c2 * c1)
    pitch_axis = _mix(-s4, (-s1 * s2, -c2, c1 * s2), c4, (-c1, 0.0, -s1))
    side = _cross(pitch_axis, shaft)
    forward = _mix(s5, side, c5, shaft)
    yaw_axis = _mix(c5, side, -s5, shaft)
    s6, c6 = math.sin(wrist_yaw), math.cos(wrist_yaw)
    position = _mix(insertion + RCM_TO_WRIST_M, shaft, WRIST_PITCH_TO_YAW_M, forward)
    return position, (_mix(s6, forward, c6, pitch_axis), _mix(c6, forward, -s6, pitch_axis), yaw_axis)


def inverse_kinematics(rcm_T_tool: np.ndarray, near_roll: float = 0.0, *, check: bool = True) -> np.ndarray:
    """Returns the joint positions (6,), rad and metres, that bring the tool to `rcm_T_tool` (4, 4), metres.

    The solution is unique but for full turns of the roll joint: the one nearest to `near_roll` (rad) is
    taken, so a controller passes the measured roll, and 0 gives a roll within half a turn. Without `check`
    the joints' limits do not count.

    Raises:
        BadInputError: the pose is not a finite (4, 4) matrix.
        UnreachablePoseError: the wrist would be less than 1 mm past the remote centre of motion, or a joint
        limit is broken.
    """
    if np.shape(rcm_T_tool) != (4, 4) or not np.isfinite(rcm_T_tool).all():
        raise BadInputError(
            f"a tool pose must be a finite (4, 4) matrix, got {np.asarray(rcm_T_tool).tolist()}; check the "
            "sender"
        )
    (xx, xy, xz, px), (yx, yy, yz, py), (zx, zy, zz, pz) = np.asarray(rcm_T_tool, dtype=np.float64)[
        :3
    ].tolist()
    axes = ((-xy, -yy, -zy), (xz, yz, zz), (-xx, -yx, -zx))
    return np.array(joints_from_eef((px, py, pz), axes, near_roll, check=check))


def joints_from_eef(
    position: Vector, axes: Axes, near_roll: float = 0.0, *, check: bool = True
) -> tuple[float, ...]:
    """`inverse_kinematics` for a position (m) and the three axes of the eef frame, expressed in the RCM
    frame.

    The wrist-pitch axis is perpendicular to the wrist-yaw axis and to the line from the RCM to the wrist (the
    shaft and the link between the two wrist axes span a plane that holds that line), which leaves one
    solution with the wrist bent by less than 90 degrees.

    Raises:
        UnreachablePoseError: as `inverse_kinematics`.
    """
    x_axis, _, yaw_axis = axes
    normal = _cross(position, yaw_axis)
    length = math.sqrt(_dot(normal, normal))
    if length < MIN_DEPTH_M:
        raise UnreachablePoseError(
            f"the tool's wrist-yaw axis points at the remote centre of motion (off by {1000 * length:.2f} "
            "mm); turn it"
        )
    pitch_axis = (normal[0] / length, normal[1] / length, normal[2] / length)
    forward = _cross(yaw_axis, pitch_axis)
    wrist = _mix(1.0, position, -WRIST_PITCH_TO_YAW_M, forward)
    depth = math.sqrt(_dot(wrist, wrist))
    if depth < MIN_DEPTH_M:
        raise UnreachablePoseError(
            f"the wrist is {1000 * depth:.2f} mm from the remote centre of motion; stay 1 mm or more away"
        )
    shaft = (wrist[0] / depth, wrist[1] / depth, wrist[2] / depth)
    yaw = math.atan2(shaft[0], -shaft[2])
    pitch = math.asin(max(-1.0, min(1.0, -shaft[1])))
    s1, c1, s2, c2 = math.sin(yaw), math.cos(yaw), math.sin(pitch), math.cos(pitch)
    roll = math.atan2(-_dot(pitch_axis, (-s1 * s2, -c2, c1 * s2)), _dot(pitch_axis, (-c1, 0.0, -s1)))
    roll += math.tau * round((near_roll - roll) / math.tau)
    wrist_pitch = math.atan2(_dot(forward, _cross(pitch_axis, shaft)), _dot(forward, shaft))
    wrist_yaw = math.atan2(_dot(x_axis, forward), _dot(x_axis, pitch_axis))
    joints = (yaw, pitch, depth - RCM_TO_WRIST_M, roll, wrist_pitch, wrist_yaw)
    if check:
        check_limits(joints)
    return joints


def jacobian(joints: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns the geometric Jacobian (6, 6) of the tool in the RCM frame for joint positions (6,) in rad and
    metres.

    Rows: the velocity (m/s) of the tool's origin, then its angular velocity (rad/s); columns: per unit of
    each joint's speed.
    """
    yaw, pitch, insertion, roll = map(float, joints[:4])
    s1, c1, s2, c2 = math.sin(yaw), math.cos(yaw), math.sin(pitch), math.cos(pitch)
    shaft = (c2 * s1, -s2, -c2 * c1)
    across = (-c1, 0.0, -s1)
    pitch_axis = _mix(-math.sin(roll), (-s1 * s2, -c2, c1 * s2), math.cos(roll), across)
    position, (_, _, yaw_axis) = eef_in_rcm(joints)
    wrist = _mix(insertion + RCM_TO_WRIST_M, shaft, 0.0, shaft)
    turning = (
        ((0.0, -1.0, 0.0), (0.0, 0.0, 0.0)),
        (across, (0.0, 0.0, 0.0)),
        (shaft, wrist),
        (pitch_axis, wrist),
        (yaw_axis, position),
    )
    columns = [(*_cross(axis, _mix(1.0, position, -1.0, origin)), *axis) for axis, origin in turning]
    columns.insert(2, (*shaft, 0.0, 0.0, 0.0))
    return np.array(columns).T


def check_limits(joints: Sequence[float] | np.ndarray) -> None:
    """Refuses joint positions (6,), rad and metres, that are not finite or outside the arm's limits.

    Raises:
        UnreachablePoseError: names the first joint that breaks its limits.
    """
    for name, unit, value, lower, upper in zip(
        JOINT_NAMES, JOINT_UNITS, joints, JOINT_LOWER, JOINT_UPPER, strict=True
    ):
        if not lower <= value <= upper:
            raise UnreachablePoseError(
                f"the {name} joint would be at {value:.4f} {unit}, its limits are {lower:.4f} .. "
                f"{upper:.4f} {unit}"
            )


def euler_xyz(axes: Axes) -> Vector:
    """Returns roll, pitch, yaw (rad, about the fixed x, y, z axes) of a frame given by its three axes; pitch
    lies in [-pi/2, pi/2]."""
    x_axis, y_axis, z_axis = axes
    return (
        math.atan2(y_axis[2], z_axis[2]),
        math.asin(max(-1.0, min(1.0, -x_axis[2]))),
        math.atan2(x_axis[1], x_axis[0]),
    )


def axes_from_euler_xyz(roll: float, pitch: float, yaw: float) -> Axes:
    """Returns the three axes of the frame turned by roll, pitch, yaw (rad) about the fixed x, y, z axes;
    inverse of `euler_xyz`."""
    sr, cr, sp, cp, sy, cy = (
        math.sin(roll),
        math.cos(roll),
        math.sin(pitch),
        math.cos(pitch),
        math.sin(yaw),
        math.cos(yaw),
    )
    return (
        (cp * cy, cp * sy, -sp),
        (sr * sp * cy - cr * sy, sr * sp * sy + cr * cy, sr * cp),
        (cr * sp * cy + sr * sy, cr * sp * sy - sr * cy, cr * cp),
    )


@dataclass(frozen=True)
class ScaledWorld:
    """A world turned about the vertical from the RCM frame, with every length `scale` times the real one.

    Attributes:
        rcm_position: the remote centre of motion in this world, in scaled metres.
        rcm_yaw_rad: the RCM frame's rotation about this world's z axis.
        scale: scaled metres per real metre.
    """

    rcm_position: Vector
    rcm_yaw_rad: float
    scale: float

    @property
    def world_T_rcm(self) -> np.ndarray:
        """The RCM frame's pose (4, 4) in this world; its translation in scaled metres."""
        pose = np.eye(4)
        cosine, sine = math.cos(self.rcm_yaw_rad), math.sin(self.rcm_yaw_rad)
        pose[:2, :2] = ((cosine, -sine), (sine, cosine))
        pose[:3, 3] = self.rcm_position
        return pose

    def eef_from_joints(self, joints: Sequence[float] | np.ndarray) -> tuple[Vector, Axes]:
        """Returns the eef's position (scaled m) and axes in this world for joint positions (6,) in rad and
        real metres."""
        position, (x, y, z) = eef_in_rcm(joints)
        return self.point_from_rcm(position), (self._turn(x, 1.0), self._turn(y, 1.0), self._turn(z, 1.0))

    def joints_from_eef(self, position: Vector, axes: Axes, near_roll: float = 0.0) -> tuple[float, ...]:
        """Returns the joint positions (6,), rad and real metres, for an eef position (scaled m) and axes in
        this world.

        Raises:
            UnreachablePoseError: as `inverse_kinematics`.
        """
        x, y, z = (self._turn(axis, -1.0) for axis in axes)
        return joints_from_eef(self.point_in_rcm(position), (x, y, z), near_roll)

    def eef_from_tool(self, rcm_T_tool: np.ndarray) -> tuple[Vector, Axes]:
        """Returns the eef's position (scaled m) and axes in this world for a tool pose (4, 4) in the RCM
        frame, metres."""
        (xx, xy, xz, px), (yx, yy, yz, py), (zx, zy, zz, pz) = np.asarray(rcm_T_tool, dtype=np.float64)[
            :3
        ].tolist()
        axes = (
            self._turn((-xy, -yy, -zy), 1.0),
            self._turn((xz, yz, zz), 1.0),
            self._turn((-xx, -yx, -zx), 1.0),
        )
        return self.point_from_rcm((px, py, pz)), axes

    def tool_from_eef(self, position: Vector, axes: Axes) -> np.ndarray:
        """Returns `rcm_T_tool` (4, 4), metres, for an eef position (scaled m) and axes in this world; inverse
        of `eef_from_tool`."""
        x, y, z = (self._turn(axis, -1.0) for axis in axes)
        pose = np.eye(4)
        pose[:3, 0], pose[:3, 1], pose[:3, 2] = np.negative(z), np.negative(x), y
        pose[:3, 3] = self.point_in_rcm(position)
        return pose

    def tip_from_eef(self, position: Vector, axes: Axes) -> Vector:
        """Returns the jaw tip's position (scaled m) in this world: it lies 10.2 mm (real) along the eef's y
        axis."""
        return _mix(1.0, position, self.scale * WRIST_YAW_TO_TIP_M, axes[1])

    def point_from_rcm(self, point: Vector) -> Vector:
        """Returns a point of the RCM frame (m) in this world (scaled m)."""
        return _mix(1.0, self._turn(point, 1.0, self.scale), 1.0, self.rcm_position)

    def point_in_rcm(self, point: Vector) -> Vector:
        """Returns a point of this world (scaled m) in the RCM frame (m); inverse of `point_from_rcm`."""
        return self._turn(_mix(1.0, point, -1.0, self.rcm_position), -1.0, 1 / self.scale)

    def _turn(self, vector: Vector, sign: float, factor: float = 1.0) -> Vector:
        cosine, sine = math.cos(self.rcm_yaw_rad), sign * math.sin(self.rcm_yaw_rad)
        return (
            factor * (cosine * vector[0] - sine * vector[1]),
            factor * (sine * vector[0] + cosine * vector[1]),
            factor * vector[2],
        )


def _surrol_world() -> ScaledWorld:
    yaw, reach = math.radians(-110), 5 * 0.4864
    return ScaledWorld((0.25 - reach * math.sin(yaw), 1.2 + reach * math.cos(yaw), 4.262), yaw, 5.0)


SURROL_WORLD = _surrol_world()
"""The world of SurRoL's PSM tasks and of our NeedleReach: five times life size, the arm's base turned by -110
degrees."""


def _dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: Vector, b: Vector) -> Vector:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


def _mix(s: float, a: Vector, t: float, b: Vector) -> Vector:
    return s * a[0] + t * b[0], s * a[1] + t * b[1], s * a[2] + t * b[2]
