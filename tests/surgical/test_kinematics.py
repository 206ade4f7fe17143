"""The PSM's kinematics: against the recorded poses, against themselves, and at their limits."""

from pathlib import Path

import numpy as np
import pytest

from l0_surgical.surgical import kinematics
from l0_surgical.surgical.kinematics import (
    JOINT_LOWER,
    JOINT_UPPER,
    SURROL_WORLD,
    UnreachablePoseError,
    axes_from_euler_xyz,
    euler_xyz,
    forward_kinematics,
    inverse_kinematics,
    jacobian,
)
from l0_surgical.system.errors import BadInputError

DATA = Path(__file__).parent.parent / "data"


def random_joints(count: int) -> np.ndarray:
    """Joint positions (count, 6) within the limits, with the wrist past the RCM."""
    lower = np.array(JOINT_LOWER)
    lower[2] = 0.02
    return np.random.default_rng(3).uniform(lower, JOINT_UPPER, size=(count, 6))


def matrix_from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def test_agrees_with_the_recorded_poses() -> None:
    recorded = np.load(DATA / "psm_fk.npz")
    np.testing.assert_allclose(SURROL_WORLD.world_T_rcm, recorded["world_T_rcm"], atol=1e-6)
    for joints, eef, tip in zip(
        recorded["joint_position"], recorded["eef_pose_world"], recorded["tip_pose_world"], strict=True
    ):
        position, axes = SURROL_WORLD.eef_from_joints(joints)
        np.testing.assert_allclose(position, eef[:3], atol=1e-4)
        np.testing.assert_allclose(np.transpose(axes), matrix_from_quaternion(eef[3:]), atol=1e-4)
        np.testing.assert_allclose(SURROL_WORLD.tip_from_eef(position, axes), tip[:3], atol=1e-4)


def test_agrees_with_the_denavit_hartenberg_chain() -> None:
    half = np.pi / 2
    alphas, lengths = (half, -half, half, 0, -half, -half), (0, 0, 0, 0, 0, 0.0091)
    tool = np.array([[0, -1, 0, 0], [0, 0, 1, 0], [-1, 0, 0, 0], [0, 0, 0, 1.0]])
    for joints in random_joints(50):
        thetas = joints + np.array([half, -half, 0, 0, -half, -half])
        thetas[2] = 0
        pose = np.eye(4)
        for alpha, length, theta, offset in zip(
            alphas, lengths, thetas, (0, 0, joints[2] - 0.4318, 0.4162, 0, 0), strict=True
        ):
            ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
            pose = pose @ np.array(
                [
                    [ct, -st, 0, length],
                    [st * ca, ct * ca, -sa, -offset * sa],
                    [st * sa, ct * sa, ca, offset * ca],
                    [0, 0, 0, 1],
                ]
            )
        np.testing.assert_allclose(forward_kinematics(joints), pose @ tool, atol=1e-12)


def test_home_pose_of_the_dvrk() -> None:
    home = forward_kinematics((0, 0, 0.12, 0, 0, 0))
    np.testing.assert_allclose(home[:3, 3], (0, 0, -0.1135), atol=1e-12)
    np.testing.assert_allclose(home[:3, :3], [[0, 1, 0], [1, 0, 0], [0, 0, -1]], atol=1e-12)


def test_inverse_is_the_inverse() -> None:
    for joints in random_joints(500):
        np.testing.assert_allclose(
            inverse_kinematics(forward_kinematics(joints), near_roll=joints[3]), joints, atol=1e-9
        )


def test_roll_is_the_nearest_full_turn() -> None:
    pose = forward_kinematics((0.1, -0.2, 0.1, 2.5, 0.3, -0.4))
    assert inverse_kinematics(pose)[3] == pytest.approx(2.5)
    assert inverse_kinematics(pose, near_roll=-3.0)[3] == pytest.approx(2.5 - 2 * np.pi)


@pytest.mark.parametrize("joint", range(6))
@pytest.mark.parametrize("side", [-1, 1])
def test_broken_limits_are_refused(joint: int, side: int) -> None:
    joints = np.array([0.1, -0.2, 0.1, 0.4, 0.3, -0.4])
    joints[joint] = (JOINT_LOWER, JOINT_UPPER)[side > 0][joint] + side * 1e-3
    if joint == 2 and side < 0:
        joints[joint] = -1e-3
        with pytest.raises(UnreachablePoseError, match="insertion"):
            kinematics.check_limits(joints)
        return
    with pytest.raises(UnreachablePoseError, match=kinematics.JOINT_NAMES[joint]):
        inverse_kinematics(forward_kinematics(joints), near_roll=joints[3])


def test_poses_without_a_solution() -> None:
    with pytest.raises(UnreachablePoseError, match="remote centre"):
        inverse_kinematics(forward_kinematics((0, 0, 0.0159, 0, 0, 0)))
    sideways = np.eye(4)
    sideways[:3, 3] = (0.1, 0, 0)
    with pytest.raises(UnreachablePoseError, match="points at the remote centre"):
        inverse_kinematics(sideways)


@pytest.mark.parametrize("pose", [np.full((4, 4), np.nan), np.eye(3), np.diag([1, 1, 1, np.inf])])
def test_bad_poses(pose: np.ndarray) -> None:
    with pytest.raises(BadInputError, match=r"finite \(4, 4\)"):
        inverse_kinematics(pose)


def test_scaled_world_round_trips() -> None:
    for joints in random_joints(100):
        position, axes = SURROL_WORLD.eef_from_joints(joints)
        np.testing.assert_allclose(
            SURROL_WORLD.joints_from_eef(position, axes, near_roll=joints[3]), joints, atol=1e-9
        )
        pose = SURROL_WORLD.tool_from_eef(position, axes)
        np.testing.assert_allclose(pose, forward_kinematics(joints), atol=1e-12)
        again, turned = SURROL_WORLD.eef_from_tool(pose)
        np.testing.assert_allclose(again, position, atol=1e-12)
        np.testing.assert_allclose(turned, axes, atol=1e-12)
        np.testing.assert_allclose(axes_from_euler_xyz(*euler_xyz(axes)), axes, atol=1e-9)


def test_the_jacobian_is_the_derivative_of_the_pose():
    generator = np.random.default_rng(3)
    step = 1e-6
    for _ in range(50):
        joints = generator.uniform(JOINT_LOWER, JOINT_UPPER)
        rotation = forward_kinematics(joints)[:3, :3]
        for index, column in enumerate(jacobian(joints).T):
            after, before = (forward_kinematics(joints + sign * step * np.eye(6)[index]) for sign in (1, -1))
            np.testing.assert_allclose(column[:3], (after - before)[:3, 3] / (2 * step), atol=1e-8)
            spin = (after - before)[:3, :3] / (2 * step) @ rotation.T
            np.testing.assert_allclose(column[3:], (spin[2, 1], spin[0, 2], spin[1, 0]), atol=1e-8)


def test_without_the_check_joints_beyond_their_limits_are_given():
    pose = forward_kinematics((0.1, -1.2, 0.1, 0, 0, 0))
    with pytest.raises(UnreachablePoseError, match="pitch"):
        inverse_kinematics(pose)
    np.testing.assert_allclose(inverse_kinematics(pose, check=False), (0.1, -1.2, 0.1, 0, 0, 0), atol=1e-9)
