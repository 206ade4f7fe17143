"""Setpoints within limits of speed, acceleration and jerk, whatever is wanted of them."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l0_surgical.robot.control.jerk_limit import JerkLimiter
from l0_surgical.robot.control.limits import load_limits
from l0_surgical.robot.control.poses import Pose

PERIOD_S = 0.005
LIMITS = load_limits()
ORIGIN = Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def about(axis: tuple[float, float, float], angle: float) -> tuple[float, float, float, float]:
    x, y, z = (math.sin(angle / 2) * part for part in axis)
    return x, y, z, math.cos(angle / 2)


def led(wanted: list[Pose], periods: list[float] | None = None) -> list[Pose]:
    limiter, poses = JerkLimiter(LIMITS, PERIOD_S), [ORIGIN]
    for pose, period in zip(wanted, periods or [PERIOD_S] * len(wanted), strict=True):
        poses.append(limiter.next(poses[-1], pose, period))
    return poses


def strongest(poses: list[Pose], periods: list[float] | None = None) -> tuple[float, float, float]:
    """The largest speed, acceleration and jerk of the positions, by divided differences, from rest."""
    times = np.array([PERIOD_S] * 3 + (periods or [PERIOD_S] * (len(poses) - 1)))
    positions = np.array([ORIGIN.position] * 3 + [pose.position for pose in poses])
    speeds = np.diff(positions, axis=0) / times[:, None]
    accelerations = np.diff(speeds, axis=0) / ((times[1:] + times[:-1]) / 2)[:, None]
    jerks = np.diff(accelerations, axis=0) / ((times[2:] + times[1:-1] + times[:-2]) / 3)[:, None]
    return tuple(float(np.linalg.norm(values, axis=1).max()) for values in (speeds, accelerations, jerks))


def assert_within_limits(poses: list[Pose], periods: list[float] | None = None) -> None:
    speed, acceleration, jerk = strongest(poses, periods)
    assert speed <= LIMITS.max_speed_m_per_s * (1 + 1e-9)
    assert acceleration <= LIMITS.max_acceleration_m_per_s2 * (1 + 1e-6)
    assert jerk <= LIMITS.max_jerk_m_per_s3 * (1 + 1e-6)


def test_a_leap_becomes_the_fastest_way_that_the_limits_allow() -> None:
    target = Pose((0.01, 0.0, 0.0), ORIGIN.orientation)
    poses = led([target] * 80)
    assert_within_limits(poses)
    ways = [pose.position[0] for pose in poses]
    assert all(a <= b + 1e-15 for a, b in itertools.pairwise(ways))
    assert ways[-1] == pytest.approx(0.01, abs=1e-6)
    # at full speed it needs 0.17 s, and to reach that and to leave it again as long as a trapezoid of the
    # acceleration does
    speed, acceleration, jerk = (
        limit / math.sqrt(3)
        for limit in (LIMITS.max_speed_m_per_s, LIMITS.max_acceleration_m_per_s2, LIMITS.max_jerk_m_per_s3)
    )
    best_s = 0.01 / speed + speed / acceleration + acceleration / jerk
    arrived_s = PERIOD_S * next(number for number, way in enumerate(ways) if way > 0.01 - 1e-5)
    assert best_s - 0.03 < arrived_s < best_s + 0.01


def test_a_policys_even_way_is_followed_close_behind() -> None:
    way = [
        Pose((0.05 * PERIOD_S * tick, -0.05 * PERIOD_S * tick, 0.0), ORIGIN.orientation)
        for tick in range(1, 121)
    ]
    poses = led(way)
    assert_within_limits(poses)
    behind = [pose.position[0] - wanted.position[0] for pose, wanted in zip(poses[1:], way, strict=True)]
    assert min(behind) > -0.0018 and max(behind) <= 0


def test_a_turn_arrives_within_its_own_limits() -> None:
    axis = (0.6, 0.0, 0.8)
    poses = led([Pose(ORIGIN.position, about(axis, 1.0))] * 500)
    angles = np.array([pose.angle_to(ORIGIN) for pose in poses])
    assert angles[-1] == pytest.approx(1.0, abs=1e-5)
    assert poses[-1].angle_to(Pose(ORIGIN.position, about(axis, 1.0))) < 1e-5
    speeds = np.diff(angles) / PERIOD_S
    assert speeds.max() <= LIMITS.max_speed_rad_per_s
    assert np.abs(np.diff(speeds) / PERIOD_S).max() <= LIMITS.max_acceleration_rad_per_s2


def test_the_shorter_way_round_is_taken() -> None:
    x, y, z, w = about((0.0, 0.0, 1.0), 0.1)
    for same in ((x, y, z, w), (-x, -y, -z, -w)):
        poses = led([Pose(ORIGIN.position, same)] * 100)
        assert max(pose.angle_to(ORIGIN) for pose in poses) < 0.1 + 1e-5
        assert poses[-1].angle_to(Pose(ORIGIN.position, same)) < 1e-5


def test_at_rest_nothing_moves() -> None:
    assert {pose.position for pose in led([ORIGIN] * 50)} == {(0.0, 0.0, 0.0)}


def test_a_shorter_step_limit_holds_too() -> None:
    limits = dataclasses.replace(LIMITS, max_step_m=0.0001, max_setpoint_error_m=0.0001)
    limiter, poses = JerkLimiter(limits, PERIOD_S), [ORIGIN]
    for _ in range(100):
        poses.append(limiter.next(poses[-1], Pose((0.02, 0.02, -0.02), ORIGIN.orientation), PERIOD_S))
    assert max(a.distance_to(b) for a, b in itertools.pairwise(poses)) <= 0.0001


coordinates = st.floats(-0.01, 0.01)
leaps = st.lists(
    st.tuples(st.tuples(coordinates, coordinates, coordinates), st.integers(1, 60)), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(leaps, st.lists(st.floats(0.003, 0.01), min_size=8, max_size=8))
def test_whatever_is_wanted_the_setpoints_keep_the_limits_and_stay_in_the_box(
    wanted: list[tuple[tuple[float, float, float], int]], jitter: list[float]
) -> None:
    """The box of all that was ever wanted and the start: a safety filter's workspace."""
    poses = [Pose(position, ORIGIN.orientation) for position, ticks in wanted for _ in range(ticks)]
    periods = [jitter[number % len(jitter)] for number in range(len(poses))]
    found = led(poses, periods)
    assert_within_limits(found, periods)
    for axis in range(3):
        reach = [0.0, *(position[axis] for position, _ in wanted)]
        assert all(min(reach) - 1e-12 <= pose.position[axis] <= max(reach) + 1e-12 for pose in found)


@settings(max_examples=30, deadline=None)
@given(leaps)
def test_it_always_comes_to_rest_at_what_is_wanted_last(
    wanted: list[tuple[tuple[float, float, float], int]],
) -> None:
    last = Pose(wanted[-1][0], ORIGIN.orientation)
    found = led(
        [
            *(Pose(position, ORIGIN.orientation) for position, ticks in wanted for _ in range(ticks)),
            *[last] * 300,
        ]
    )
    assert found[-1].distance_to(last) < 2e-6
    assert found[-1] == found[-2]
