"""Motion within the limits of speed and acceleration, from rest and from any velocity."""

import numpy as np
import pytest

from l0_surgical.robot.simulated_arm.trajectory import MAX_ACCELERATION, MAX_SPEED, Trajectory

RANGE = np.array((1, 0.9, 0.12, 3, 1, 1, 1))


def sampled(trajectory: Trajectory, count: int = 4001) -> tuple[float, np.ndarray, np.ndarray]:
    """The step between samples (s), positions and velocities (count, n)."""
    times = np.linspace(0, trajectory.duration_s, count)
    positions, velocities = zip(*(trajectory.at(seconds) for seconds in times), strict=True)
    return times[1], np.array(positions), np.array(velocities)


@pytest.mark.parametrize("ratio", [1.0, 0.3])
@pytest.mark.parametrize("scale", [1e-3, 0.05, 1.0])
def test_from_rest_it_arrives_at_rest_and_uses_but_keeps_a_limit(scale: float, ratio: float) -> None:
    generator = np.random.default_rng(1)
    start, end = scale * generator.uniform(-1, 1, (2, 7)) * RANGE
    trajectory = Trajectory(start, end, np.multiply(ratio, MAX_SPEED), np.multiply(ratio, MAX_ACCELERATION))
    step, positions, velocities = sampled(trajectory)
    speeds = np.diff(positions, axis=0) / step
    accelerations = np.diff(speeds, axis=0) / step
    np.testing.assert_allclose(positions[0], start)
    np.testing.assert_allclose(positions[-1], end)
    np.testing.assert_allclose(velocities[:-1], speeds, atol=2 * step * np.max(MAX_ACCELERATION))
    assert (np.abs(speeds) <= np.multiply(ratio * 1.001, MAX_SPEED)).all()
    assert (np.abs(accelerations) <= np.multiply(ratio * 1.01, MAX_ACCELERATION)).all()
    fastest = np.max(np.abs(speeds) / np.multiply(ratio, MAX_SPEED))
    hardest = np.max(np.abs(accelerations) / np.multiply(ratio, MAX_ACCELERATION))
    assert max(fastest, hardest) == pytest.approx(1, rel=0.01)
    # all joints cover the same fraction at the same time
    np.testing.assert_allclose((positions[2000] - start) / (end - start), 0.5, atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_from_any_velocity_it_arrives_at_rest_within_the_limits(seed: int) -> None:
    generator = np.random.default_rng(seed)
    start, end = generator.uniform(-1, 1, (2, 7)) * RANGE
    velocity = generator.uniform(-1, 1, 7) * MAX_SPEED
    trajectory = Trajectory(start, end, MAX_SPEED, MAX_ACCELERATION, velocity)
    step, positions, velocities = sampled(trajectory)
    np.testing.assert_allclose(positions[0], start)
    np.testing.assert_allclose(velocities[0], velocity)
    # nothing leaps, the last sample neither
    assert (np.abs(np.diff(positions, axis=0)) <= np.multiply(1.001 * step, MAX_SPEED)).all()
    assert (np.abs(np.diff(velocities, axis=0)) <= np.multiply(1.001 * step, MAX_ACCELERATION) + 1e-9).all()
    np.testing.assert_allclose(positions[-1], end)
    np.testing.assert_allclose(velocities[-1], 0, atol=1e-12)
    # the slowest alone could not have done it sooner
    joints = zip(start, end, MAX_SPEED, MAX_ACCELERATION, velocity, strict=True)
    assert trajectory.duration_s == pytest.approx(
        max(Trajectory(*((value,) for value in joint)).duration_s for joint in joints)
    )


def test_a_velocity_along_the_way_stays_on_it() -> None:
    start, end = np.zeros(2), np.array((0.4, 0.1))
    _, positions, _ = sampled(Trajectory(start, end, (1, 1), (1, 1), (0.2, 0.05)))
    np.testing.assert_allclose(positions[:, 1], positions[:, 0] / 4, atol=1e-12)


def test_one_that_must_turn_back_brakes_first() -> None:
    """From 1 unit/s away from the goal: 0.5 units to stop, then the way back and those."""
    trajectory = Trajectory((0.0,), (-0.5,), (10,), (1,), (1.0,))
    assert trajectory.duration_s == pytest.approx(1 + 2 * np.sqrt(1.0))
    assert trajectory.at(1.0)[0] == pytest.approx(0.5)


def test_a_velocity_above_the_limit_comes_down_to_it() -> None:
    trajectory = Trajectory((0.0,), (10.0,), (1,), (1,), (2.0,))
    assert trajectory.at(1.0)[1] == pytest.approx(1.0)
    assert trajectory.duration_s == pytest.approx(1 + (10 - 1.5 - 0.5) + 1)


def test_no_way_takes_no_time() -> None:
    trajectory = Trajectory((1.0, 2.0), (1.0, 2.0), (1, 1), (1, 1))
    assert trajectory.duration_s == 0
    np.testing.assert_array_equal(trajectory.at(0)[0], (1.0, 2.0))
