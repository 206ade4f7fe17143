import numpy as np
import pytest

from l0_surgical.simulated_arm.trajectory import MAX_ACCELERATION, MAX_SPEED, Trajectory


@pytest.mark.parametrize("ratio", [1.0, 0.3])
@pytest.mark.parametrize("scale", [1e-3, 0.05, 1.0])
def test_it_arrives_at_rest_and_uses_but_keeps_a_limit(scale: float, ratio: float) -> None:
    generator = np.random.default_rng(1)
    start, end = scale * generator.uniform(-1, 1, (2, 6)) * (1, 0.9, 0.12, 3, 1, 1)
    trajectory = Trajectory(start, end, MAX_SPEED, MAX_ACCELERATION, ratio, ratio)
    times = np.linspace(0, trajectory.duration_s, 4001)
    positions = np.array([trajectory.at(seconds) for seconds in times])
    step = times[1]
    speeds = np.diff(positions, axis=0) / step
    accelerations = np.diff(speeds, axis=0) / step
    np.testing.assert_allclose(positions[0], start)
    np.testing.assert_allclose(positions[-1], end)
    assert (np.abs(speeds) <= np.multiply(ratio * 1.001, MAX_SPEED)).all()
    assert (np.abs(accelerations) <= np.multiply(ratio * 1.01, MAX_ACCELERATION)).all()
    fastest = np.max(np.abs(speeds) / np.multiply(ratio, MAX_SPEED))
    hardest = np.max(np.abs(accelerations) / np.multiply(ratio, MAX_ACCELERATION))
    assert max(fastest, hardest) == pytest.approx(1, rel=0.01)
    # all joints cover the same fraction at the same time
    np.testing.assert_allclose((positions[2000] - start) / (end - start), 0.5, atol=1e-9)


def test_no_way_takes_no_time() -> None:
    trajectory = Trajectory((1.0, 2.0), (1.0, 2.0), (1, 1), (1, 1))
    assert trajectory.duration_s == 0
    np.testing.assert_array_equal(trajectory.at(0), (1.0, 2.0))


def test_speed_and_acceleration_have_ratios_of_their_own() -> None:
    """One joint from 0 to 1 by a trapezoid: the way over the speed, and the speed over the acceleration."""
    for speed_ratio, acceleration_ratio in ((0.5, 1.0), (1.0, 0.5)):
        trajectory = Trajectory((0.0,), (1.0,), (0.5,), (1.0,), speed_ratio, acceleration_ratio)
        speed, acceleration = 0.5 * speed_ratio, 1.0 * acceleration_ratio
        assert trajectory.duration_s == pytest.approx(1 / speed + speed / acceleration)
