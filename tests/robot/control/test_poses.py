import math

import numpy as np
import pytest

from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import PoseStamped
from l0_surgical.surgical.kinematics import JOINT_LOWER, JOINT_UPPER, forward_kinematics


def random_poses(count: int) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [forward_kinematics(generator.uniform(JOINT_LOWER, JOINT_UPPER)) for _ in range(count)]


def test_a_matrix_becomes_a_unit_quaternion_and_the_same_matrix_again() -> None:
    half_turns = [np.diag((*signs, 1.0)) for signs in ((1, -1, -1), (-1, 1, -1), (-1, -1, 1))]
    for matrix in (*random_poses(200), np.eye(4), *half_turns):
        pose = Pose.from_matrix(matrix)
        assert math.isclose(math.hypot(*pose.orientation), 1, abs_tol=1e-12)
        np.testing.assert_allclose(pose.matrix(), matrix, atol=1e-12)


def test_home_is_the_pose_that_the_arm_documents() -> None:
    pose = Pose.from_matrix(forward_kinematics((0, 0, 0.12, 0, 0, 0)))
    np.testing.assert_allclose(pose.position, (0, 0, -0.1135), atol=1e-12)
    np.testing.assert_allclose(np.abs(pose.orientation), (math.sqrt(0.5), math.sqrt(0.5), 0, 0), atol=1e-12)
    np.testing.assert_allclose(pose.tip(), (0, 0, -0.1237), atol=1e-12)


def test_a_message_with_a_rounded_quaternion_is_normalised() -> None:
    pose = Pose.of(PoseStamped(1, "PSM1_base", (1.0, 2.0, 3.0), (0.7072, 0.7072, 0.0, 0.0)))
    np.testing.assert_allclose(pose.orientation, (math.sqrt(0.5), math.sqrt(0.5), 0, 0), atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 0.3, 2.0, math.pi])
def test_angle_between_two_orientations_whatever_the_sign_of_the_quaternion(angle: float) -> None:
    start = Pose((0, 0, 0), (0.0, 0.0, 0.0, 1.0))
    end = Pose((0, 3e-3, 4e-3), (math.sin(angle / 2), 0.0, 0.0, math.cos(angle / 2)))
    negative = Pose(end.position, tuple(-part for part in end.orientation))
    assert start.angle_to(end) == pytest.approx(angle, abs=1e-12)
    assert start.angle_to(negative) == pytest.approx(angle, abs=1e-12)
    assert start.distance_to(end) == pytest.approx(5e-3)


def test_the_way_between_two_poses_is_straight_and_turns_evenly() -> None:
    start, end = (Pose.from_matrix(matrix) for matrix in random_poses(2))
    whole = start.angle_to(end)
    for fraction in (0.0, 0.25, 0.5, 1.0):
        between = start.towards(end, fraction)
        assert start.distance_to(between) == pytest.approx(fraction * start.distance_to(end))
        assert start.angle_to(between) == pytest.approx(fraction * whole)
        assert between.angle_to(end) == pytest.approx((1 - fraction) * whole)
    assert start.angle_to(start.towards(end, 1.0, 0.1)) == pytest.approx(0.1 * whole)
    assert start.towards(start, 0.5).angle_to(start) < 1e-15
