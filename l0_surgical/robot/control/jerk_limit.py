"""Setpoints that follow a wanted pose within limits of speed, acceleration and jerk, and can always stop
where it is.

Each of six axes (three of the position, three of the turn) is led by itself: of the jerks that it may have
until the next setpoint it takes the largest towards the wanted pose from which it can still come to rest
there. So an axis never passes the farther of the wanted pose and the place at which it would have stopped
anyway: as long as wanted poses lie in a box, so do the setpoints, whatever the wanted pose does. What is
limited is the whole motion; an axis has 1 / sqrt(3) of it.
"""

import math

import numpy as np

from l0_surgical.robot.control.limits import Limits
from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import Quaternion
from l0_surgical.system.compiled import cached_njit

_BISECTIONS = 40
# metres or radians: from there an axis stops on its shortest way instead of looking for a better one
_AT_REST = 1e-6
_ROUNDING = 1 - 1e-9  # of what three axes at their limits come to in all


class JerkLimiter:
    """Leads setpoints towards wanted poses.

    Args:
        limits: `max_speed_*`, `max_acceleration_*`, `max_jerk_*`, and `max_step_*` for a whole period.
        period_s: between two setpoints.

    Attributes:
        longest_s: after a longer time the motion goes on as if it were this: at full speed it is a whole
            step.
    """

    def __init__(self, limits: Limits, period_s: float) -> None:
        self.longest_s = max(period_s, limits.longest_step_s)
        speeds = (
            min(limits.max_speed_m_per_s, limits.max_step_m / period_s),
            min(limits.max_speed_rad_per_s, limits.max_step_rad / period_s),
        )
        accelerations = (limits.max_acceleration_m_per_s2, limits.max_acceleration_rad_per_s2)
        jerks = (limits.max_jerk_m_per_s3, limits.max_jerk_rad_per_s3)
        self._limits = np.repeat(np.array((speeds, accelerations, jerks)), 3, axis=1) / math.sqrt(3)
        self._limits *= _ROUNDING
        self._motion = np.zeros((2, 6))
        # compiles, which must not happen in the loop
        _advance(np.zeros(6), self._motion, self._limits, period_s)

    def restart(self) -> None:
        """The arm stands still."""
        self._motion[:] = 0.0

    def next(self, here: Pose, wanted: Pose, seconds: float) -> Pose:
        """The setpoint that follows `here` after so many seconds, of which `longest_s` count."""
        distances = np.array(
            (
                *(b - a for a, b in zip(here.position, wanted.position, strict=True)),
                *_turn_between(here, wanted),
            )
        )
        x, y, z, *turn = _advance(
            distances, self._motion, self._limits, min(seconds, self.longest_s)
        ).tolist()
        px, py, pz = here.position
        return Pose((px + x, py + y, pz + z), _turned(here.orientation, turn))


def _turn_between(here: Pose, wanted: Pose) -> tuple[float, float, float]:
    """The turn (rad, about the three axes of the base frame) that leads from one orientation to the other, at
    most half a turn."""
    x, y, z, w = _product(
        wanted.orientation,
        (-here.orientation[0], -here.orientation[1], -here.orientation[2], here.orientation[3]),
    )
    sine = math.sqrt(x * x + y * y + z * z)
    factor = 2.0 * math.atan2(math.copysign(sine, w), abs(w)) / sine if sine > 0 else 0.0
    return factor * x, factor * y, factor * z


def _turned(orientation: Quaternion, turn: list[float]) -> Quaternion:
    angle = math.sqrt(sum(part * part for part in turn))
    if angle == 0:
        return orientation
    factor = math.sin(angle / 2) / angle
    x, y, z, w = _product(
        (factor * turn[0], factor * turn[1], factor * turn[2], math.cos(angle / 2)), orientation
    )
    length = math.sqrt(x * x + y * y + z * z + w * w)
    return x / length, y / length, z / length, w / length


def _product(a: Quaternion, b: Quaternion) -> Quaternion:
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


@cached_njit()
def _under_jerk(jerk: float, speed: float, acceleration: float, seconds: float) -> tuple[float, float, float]:
    """The way, speed and acceleration after so many seconds under a constant jerk."""
    return (
        speed * seconds + acceleration * seconds**2 / 2 + jerk * seconds**3 / 6,
        speed + acceleration * seconds + jerk * seconds**2 / 2,
        acceleration + jerk * seconds,
    )


@cached_njit()
def _stopping(
    speed: float, acceleration: float, most_acceleration: float, most_jerk: float, seconds: float
) -> tuple[float, float, float]:
    """The way, speed and acceleration after so many seconds of stopping as fast as the limits allow.

    The acceleration falls to the strongest braking that is needed, stays there, and ends when the speed does.
    Where the acceleration alone already reverses the speed, all of it is mirrored.
    """
    sign = 1.0 if speed + acceleration * abs(acceleration) / (2 * most_jerk) >= 0 else -1.0
    speed, acceleration = sign * speed, sign * acceleration
    braking = min(most_acceleration, math.sqrt(max(0.0, most_jerk * speed + acceleration**2 / 2)))
    at_most = (
        max(0.0, speed + acceleration**2 / (2 * most_jerk) - braking**2 / most_jerk) / braking
        if braking > 0
        else 0.0
    )
    whole_way = 0.0
    for duration, jerk in (
        ((acceleration + braking) / most_jerk, -most_jerk),
        (at_most, 0.0),
        (braking / most_jerk, most_jerk),
    ):
        part = min(duration, seconds)
        seconds -= part
        way, speed, acceleration = _under_jerk(jerk, speed, acceleration, part)
        whole_way += way
    if seconds > 0:
        speed = acceleration = 0.0
    return sign * whole_way, sign * speed, sign * acceleration


@cached_njit()
def _top_speed(speed: float, acceleration: float, jerk: float, seconds: float, most_jerk: float) -> float:
    """The largest speed, not its magnitude, under a jerk for `seconds` and afterwards, when the acceleration
    ends as fast as it can."""
    _, later_speed, later_acceleration = _under_jerk(jerk, speed, acceleration, seconds)
    top = later_speed + max(later_acceleration, 0.0) ** 2 / (2 * most_jerk)
    if acceleration > 0 > later_acceleration:
        top = max(top, speed - acceleration**2 / (2 * jerk))
    return top


@cached_njit()
def _may_have(
    jerk: float,
    speed: float,
    acceleration: float,
    distance: float,
    limits: tuple[float, float, float],
    seconds: float,
) -> bool:
    """Whether an axis under that jerk keeps its limits and can still come to rest before `distance`."""
    most_speed, most_acceleration, most_jerk = limits
    way, later_speed, later_acceleration = _under_jerk(jerk, speed, acceleration, seconds)
    return (
        later_acceleration <= most_acceleration
        and _top_speed(speed, acceleration, jerk, seconds, most_jerk) <= most_speed
        and way + _stopping(later_speed, later_acceleration, most_acceleration, most_jerk, math.inf)[0]
        <= distance
    )


@cached_njit()
def _advance_axis(
    distance: float, speed: float, acceleration: float, limits: tuple[float, float, float], seconds: float
) -> tuple[float, float, float]:
    """The way, speed and acceleration of one axis after `seconds` on its way to `distance`."""
    most_speed, most_acceleration, most_jerk = limits
    stop = _stopping(speed, acceleration, most_acceleration, most_jerk, math.inf)[0]
    sign = (
        1.0 if stop <= distance else -1.0
    )  # where it would stop beyond, everything is seen from the other side
    stop, distance, speed, acceleration = sign * stop, sign * distance, sign * speed, sign * acceleration
    low, high = max(-most_jerk, (-most_acceleration - acceleration) / seconds), most_jerk
    is_leading = distance - stop > _AT_REST and _may_have(low, speed, acceleration, distance, limits, seconds)
    if is_leading:
        for number in range(_BISECTIONS):
            jerk = high if number == 0 else (low + high) / 2
            if _may_have(jerk, speed, acceleration, distance, limits, seconds):
                low = jerk
            else:
                high = jerk
    motion = _under_jerk(low, speed, acceleration, seconds)
    # a jerk is constant between two setpoints, where that of the fastest stop may change: where this costs
    # more, the stop is taken
    if (
        not is_leading
        or motion[0] + _stopping(motion[1], motion[2], most_acceleration, most_jerk, math.inf)[0] < stop
        or _top_speed(-speed, -acceleration, -low, seconds, most_jerk) > most_speed
    ):
        motion = _stopping(speed, acceleration, most_acceleration, most_jerk, seconds)
    return sign * motion[0], sign * motion[1], sign * motion[2]


@cached_njit()
def _advance(distances: np.ndarray, motion: np.ndarray, limits: np.ndarray, seconds: float) -> np.ndarray:
    """How far each axis has come (6,) after `seconds`.

    Args:
        distances: of the wanted pose (6,).
        motion: speeds and accelerations (2, 6); changed to those at the end.
        limits: of speed, acceleration and jerk (3, 6).
        seconds: how long.
    """
    way = np.empty_like(distances)
    for axis in range(distances.size):
        axis_limits = (limits[0, axis], limits[1, axis], limits[2, axis])
        way[axis], motion[0, axis], motion[1, axis] = _advance_axis(
            distances[axis], motion[0, axis], motion[1, axis], axis_limits, seconds
        )
    return way
