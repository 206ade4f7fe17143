import itertools

import pytest
from kinematic_arm import HOME
from rig import TASK

from l0_surgical.robot.control.limits import load_limits
from l0_surgical.robot.control.motion import Segment, approach, policy_step, start_pose
from l0_surgical.robot.control.poses import Pose
from l0_surgical.surgical.kinematics import forward_kinematics

START_POSE = start_pose(TASK)
HOME_POSE = Pose.from_matrix(forward_kinematics(HOME))


def way(segment: Segment) -> list[Pose]:
    poses = [segment.start]
    while not segment.is_over:
        poses.append(segment.next_pose())
    return poses


def test_the_approach_is_straight_rests_at_both_ends_and_keeps_its_speed() -> None:
    limits = load_limits()
    poses = way(approach(HOME_POSE, START_POSE, limits, 200))
    assert poses[-1].distance_to(START_POSE) < 1e-12
    assert poses[-1].angle_to(START_POSE) < 1e-7
    whole = HOME_POSE.distance_to(START_POSE)
    for pose in poses:
        assert HOME_POSE.distance_to(pose) + pose.distance_to(START_POSE) == pytest.approx(whole)
    steps = [a.distance_to(b) for a, b in itertools.pairwise(poses)]
    turns = [a.angle_to(b) for a, b in itertools.pairwise(poses)]
    fastest = (
        max(max(steps) / limits.approach_speed_m_per_s, max(turns) / limits.approach_speed_rad_per_s) * 200
    )
    assert 0.95 < fastest <= 1 + 1e-9
    assert steps[0] < 0.01 * max(steps)
    assert steps[-1] < 0.01 * max(steps)


def test_a_policy_step_is_even_and_lasts_a_fifth_of_a_second_at_full_speed() -> None:
    target = HOME_POSE.towards(START_POSE, 0.1)
    assert len(way(policy_step(HOME_POSE, target, 200, TASK.step_s / 0.25))) == 161
    poses = way(policy_step(HOME_POSE, target, 200, TASK.step_s))
    assert len(poses) == 41
    steps = [a.distance_to(b) for a, b in itertools.pairwise(poses)]
    assert steps == pytest.approx([HOME_POSE.distance_to(target) / 40] * 40)


def test_an_approach_from_the_start_pose_is_one_tick() -> None:
    segment = approach(START_POSE, START_POSE, load_limits(), 200)
    assert segment.ticks == 1
    assert segment.next_pose().distance_to(START_POSE) == 0
    assert segment.next_pose().distance_to(START_POSE) == 0
