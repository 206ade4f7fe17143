"""A tool pose as plain floats, and the little geometry that the controller needs between two of them."""

import math
from dataclasses import dataclass

import numpy as np

from l0_surgical.robot.control.records import PoseStamped, Quaternion
from l0_surgical.surgical.kinematics import WRIST_YAW_TO_TIP_M, Vector


@dataclass(frozen=True, slots=True)
class Pose:
    """The tool in the arm's base frame: position (m) of its origin, orientation as a unit quaternion xyzw."""

    position: Vector
    orientation: Quaternion

    @classmethod
    def of(cls, record: PoseStamped) -> "Pose":
        """The pose of a message; its orientation is normalised, so that rounding on the wire does not
        matter."""
        length = math.sqrt(sum(part * part for part in record.orientation))
        x, y, z, w = record.orientation
        return cls(record.position, (x / length, y / length, z / length, w / length))

    @classmethod
    def from_matrix(cls, base_T_tool: np.ndarray) -> "Pose":
        """The pose of a homogeneous matrix (4, 4), metres."""
        (xx, xy, xz, px), (yx, yy, yz, py), (zx, zy, zz, pz) = base_T_tool[:3].tolist()
        # of the four ways to the same quaternion, the one that divides by its largest part
        squares = (1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz)
        largest = squares.index(max(squares))
        rows = (
            (squares[0], yx + xy, xz + zx, zy - yz),
            (yx + xy, squares[1], zy + yz, xz - zx),
            (xz + zx, zy + yz, squares[2], yx - xy),
            (zy - yz, xz - zx, yx - xy, squares[3]),
        )
        x, y, z, w = (part / (2 * math.sqrt(squares[largest])) for part in rows[largest])
        return cls((px, py, pz), (x, y, z, w))

    def matrix(self) -> np.ndarray:
        """`base_T_tool` (4, 4), metres."""
        x, y, z, w = self.orientation
        return np.array(
            (
                (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w), self.position[0]),
                (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w), self.position[1]),
                (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y), self.position[2]),
                (0.0, 0.0, 0.0, 1.0),
            )
        )

    def tip(self) -> Vector:
        """The jaw tip's position (m) in the arm's base frame: it lies 10.2 mm along the tool's z axis."""
        x, y, z, w = self.orientation
        px, py, pz = self.position
        length = WRIST_YAW_TO_TIP_M
        return (
            px + length * 2 * (x * z + y * w),
            py + length * 2 * (y * z - x * w),
            pz + length * (1 - 2 * (x * x + y * y)),
        )

    def distance_to(self, other: "Pose") -> float:
        """Between the two positions, in metres."""
        return math.dist(self.position, other.position)

    def angle_to(self, other: "Pose") -> float:
        """By which one is turned against the other, in rad, 0 to pi."""
        # the sine of half the angle keeps its digits where the cosine is flat
        difference, total = 0.0, 0.0
        for a, b in zip(self.orientation, other.orientation, strict=True):
            difference += (a - b) ** 2
            total += (a + b) ** 2
        return 4 * math.asin(min(1.0, math.sqrt(min(difference, total)) / 2))

    def towards(self, other: "Pose", fraction: float, turn_fraction: float | None = None) -> "Pose":
        """The pose at `fraction` (0 to 1) of the way to `other`: straight, and turning about one axis at
        constant rate.

        `turn_fraction` is that of the turn where it is to differ.
        """
        position = tuple(a + fraction * (b - a) for a, b in zip(self.position, other.position, strict=True))
        return Pose(
            position,
            _slerp(self.orientation, other.orientation, fraction if turn_fraction is None else turn_fraction),
        )


def _slerp(start: Quaternion, end: Quaternion, fraction: float) -> Quaternion:
    cosine = sum(a * b for a, b in zip(start, end, strict=True))
    sign = 1.0 if cosine >= 0 else -1.0
    angle = math.acos(min(1.0, abs(cosine)))
    sine = math.sin(angle)
    # below a millionth of a radian the weights of a straight line are the same to the last digit
    weight_start, weight_end = (
        (1 - fraction, fraction)
        if sine < 1e-6
        else (math.sin((1 - fraction) * angle) / sine, math.sin(fraction * angle) / sine)
    )
    x, y, z, w = (weight_start * a + sign * weight_end * b for a, b in zip(start, end, strict=True))
    length = math.sqrt(x * x + y * y + z * z + w * w)
    return x / length, y / length, z / length, w / length
