"""What each command does to the arm, and how it moves."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from arm_bench import INSIDE, Bench, joints, pose_of

from l0_surgical.control.kinematics import JOINT_LOWER, JOINT_UPPER, forward_kinematics
from l0_surgical.control.poses import Pose
from l0_surgical.control.records import (
    Bool,
    CartesianState,
    Empty,
    Float64,
    PoseStamped,
    WrenchStamped,
)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench().homed()
    yield bench
    bench.sim.close()


def test_before_homing_nothing_is_valid_and_nothing_moves() -> None:
    bench = Bench()
    bench.pass_time(0.1)
    for name in ("measured_js", "setpoint_js", "measured_cp", "setpoint_cp", "local/measured_cp", "jaw/measured_js", "measured_cv"):
        assert {record.stamp_ns for record in bench.heard(name)} == {0}
    bench.say("servo_jp", joints(INSIDE))
    bench.command("home")
    bench.pass_time(0.1)
    assert [record.data for record in bench.heard("warning")] == [
        "'home' is not accepted while DISABLED",
        "servo_jp is ignored while DISABLED, homed: False",
    ]
    assert bench.heard("measured_js")[-1].position == (0.0,) * 6
    assert bench.heard("tool_type")[0].data.startswith("LARGE_NEEDLE_DRIVER")


def test_servo_cp_and_move_cp_reach_the_pose_in_the_base_frame(bench: Bench) -> None:
    for name in ("servo_cp", "move_cp"):
        bench.say(name, pose_of(INSIDE))
        bench.pass_time(0.0025 if name == "servo_cp" else 4)
        np.testing.assert_allclose(bench.sim.arm.measured, INSIDE, atol=1e-9)
        bench.say("servo_jp", joints((0, 0, 0.12, 0, 0, 0)))
        bench.pass_time(0.1)


def test_servo_cs_obeys_its_pose(bench: Bench) -> None:
    pose, nothing = pose_of(INSIDE), (0.0, 0.0, 0.0)
    for is_valid in (False, True):
        state = CartesianState(1, "", pose.position, pose.orientation, is_valid, nothing, nothing, False, nothing, nothing, False)
        bench.say("servo_cs", state)
        bench.pass_time(0.0025)
        np.testing.assert_allclose(bench.sim.arm.measured, INSIDE if is_valid else (0, 0, 0.12, 0, 0, 0), atol=1e-9)
    assert [record.data for record in bench.heard("warning")] == ["servo_cs without a pose is not simulated"]


def test_a_move_is_busy_then_not_and_says_that_it_has_arrived(bench: Bench) -> None:
    bench.say("move_jp", joints(INSIDE))
    bench.pass_time(4)
    said = [record.is_busy for record in bench.heard("operating_state")]
    assert said[0] is True
    assert said[-1] is False
    assert [record.data for record in bench.heard("goal_reached")] == [True]
    np.testing.assert_allclose(bench.sim.arm.measured, INSIDE, atol=1e-12)
    # one of no length, too
    bench.say("move_jp", joints(INSIDE))
    bench.pass_time(0.0025)
    assert [record.is_busy for record in bench.heard("operating_state")] == [True, False]


def test_a_servo_command_ends_a_move_and_relative_ones_add(bench: Bench) -> None:
    bench.say("move_jr", joints((0.5, 0, 0, 0, 0, 0)))
    bench.pass_time(0.2)
    assert bench.sim.arm.is_busy
    here = bench.sim.arm.measured[0]
    assert 0 < here < 0.5
    bench.say("servo_jr", joints((0.01, 0, 0, 0, 0, 0)))
    bench.pass_time(0.1)
    assert not bench.sim.arm.is_busy
    assert bench.sim.arm.measured[0] == pytest.approx(here + 0.01, abs=0.01)
    bench.say("move_jp", joints(INSIDE))
    bench.pass_time(0.2)
    bench.say("hold", Empty())
    bench.pass_time(0.01)
    held = bench.sim.arm.measured.copy()
    bench.pass_time(1)
    np.testing.assert_array_equal(bench.sim.arm.measured, held)


@pytest.mark.parametrize("ending", ["servo_jp", "servo_cp", "hold", "free", "pause", "disable", "unhome"])
def test_what_ends_a_move_says_that_its_goal_was_not_reached(bench: Bench, ending: str) -> None:
    bench.say("move_jp", joints(INSIDE))
    bench.pass_time(0.2)
    if ending in ("pause", "disable", "unhome"):
        bench.command(ending)
    else:
        bench.say(ending, {"servo_jp": joints(INSIDE), "servo_cp": pose_of(INSIDE)}.get(ending, Empty()))
    bench.pass_time(0.0025)
    assert [record.data for record in bench.heard("goal_reached")] == [False]
    assert bench.heard("operating_state")[-1].is_busy is False
    bench.pass_time(4)
    assert bench.heard("goal_reached") == []


def test_a_homing_that_is_interrupted_is_no_move() -> None:
    bench = Bench()
    bench.command("enable")
    bench.pass_time(0.01)
    bench.command("home")
    bench.pass_time(0.2)
    bench.command("pause")
    bench.pass_time(0.01)
    state = bench.heard("operating_state")[-1]
    assert (state.state, state.is_homed, state.is_busy) == ("PAUSED", False, False)
    assert bench.heard("goal_reached") == []


def test_move_cp_without_solution_says_so_and_servo_cp_without_one_ends_a_move(bench: Bench) -> None:
    nowhere = PoseStamped(1, "", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
    bench.say("move_cp", nowhere)
    bench.pass_time(0.0025)
    assert [record.data for record in bench.heard("goal_reached")] == [False]
    bench.say("move_jp", joints(INSIDE))
    bench.pass_time(0.2)
    bench.say("servo_cp", nowhere)
    bench.pass_time(0.0025)
    assert [record.data for record in bench.heard("goal_reached")] == [False]
    assert len(bench.heard("error")) == 2


def test_relative_moves_add_to_the_goal_of_the_one_under_way(bench: Bench) -> None:
    for _ in range(3):
        bench.say("move_jr", joints((0.05, 0, 0.01, 0, 0, 0)))
        bench.pass_time(0.05)
    bench.pass_time(3)
    np.testing.assert_allclose(bench.sim.arm.measured, (0.15, 0, 0.15, 0, 0, 0), atol=1e-12)
    # beyond a limit the goal is the limit, and the next one counts from there
    for change in (9, -0.5):
        bench.say("move_jr", joints((change, 0, 0, 0, 0, 0)))
        bench.pass_time(0.05)
    bench.pass_time(5)
    assert bench.sim.arm.measured[0] == pytest.approx(JOINT_UPPER[0] - 0.5)


def test_cartesian_commands_wait_for_the_instrument_to_be_past_the_cannula(bench: Bench) -> None:
    outside = (0.1, 0, 0.05, 0, 0, 0)
    bench.say("servo_jp", joints(outside))
    bench.pass_time(0.01)
    bench.say("servo_cp", pose_of(INSIDE))
    bench.say("move_cp", pose_of(INSIDE))
    bench.pass_time(0.01)
    np.testing.assert_allclose(bench.sim.arm.measured, outside, atol=1e-12)
    assert [record.data for record in bench.heard("warning")] == [
        "a Cartesian command is ignored until the instrument is inserted by 60 mm"
    ]
    # under Cartesian control it may be retracted further
    for depth in (0.07, 0.05, 0.04):
        bench.say("servo_jp" if depth == 0.07 else "servo_cp", (joints if depth == 0.07 else pose_of)((0, 0, depth, 0, 0, 0)))
        bench.pass_time(0.01)
    np.testing.assert_allclose(bench.sim.arm.measured, (0, 0, 0.04, 0, 0, 0), atol=1e-9)


def test_a_stream_of_refused_commands_is_one_warning_in_two_seconds(bench: Bench) -> None:
    bench.command("pause")
    bench.pass_time(0.01)
    for _ in range(1000):
        bench.say("servo_cp", pose_of(INSIDE))
        bench.pass_time(0.005)
    # at 0, 2 and 4 of 5 s
    assert [record.data for record in bench.heard("warning")] == ["servo_cp is ignored while PAUSED, homed: True"] * 3


def test_joint_limits_are_clipped_silently_and_a_pose_without_solution_is_dropped(bench: Bench) -> None:
    bench.say("servo_jp", joints((9, -9, 9, 9, -9, 9)))
    bench.pass_time(0.01)
    clipped = np.clip((9, -9, 9, 9, -9, 9), JOINT_LOWER, JOINT_UPPER)
    np.testing.assert_allclose(bench.sim.arm.measured, clipped, atol=1e-12)
    assert bench.heard("error") == []
    bench.say("servo_cp", PoseStamped(1, "", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    bench.say("servo_jp", joints((math.nan,) * 6))
    bench.pass_time(0.01)
    bench.say("move_cp", PoseStamped(1, "", (math.nan, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    bench.say("servo_jr", joints((0.1,)))
    bench.pass_time(0.01)
    texts = " | ".join(record.data for record in bench.heard("error"))
    assert "inverse kinematics failed" in texts
    assert "a pose is not finite" in texts
    assert texts.count("6 finite ones are needed") == 2
    np.testing.assert_allclose(bench.sim.arm.measured, clipped, atol=1e-12)


def test_the_base_frame_moves_cartesian_data_and_their_name(bench: Bench) -> None:
    turn = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))
    bench.say("set_base_frame", PoseStamped(1, "table", (0.1, 0.2, 0.3), turn))
    bench.say("servo_jp", joints(INSIDE))
    bench.pass_time(0.1)
    base = Pose((0.1, 0.2, 0.3), turn).matrix()
    measured, local = bench.heard("measured_cp")[-1], bench.heard("local/measured_cp")[-1]
    assert (measured.frame_id, local.frame_id) == ("table", "PSM1_base")
    np.testing.assert_allclose(Pose.of(measured).matrix(), base @ forward_kinematics(INSIDE), atol=1e-9)
    np.testing.assert_allclose(Pose.of(local).matrix(), forward_kinematics(INSIDE), atol=1e-9)
    bench.say("servo_jp", joints((0, 0, 0.12, 0, 0, 0)))
    bench.pass_time(0.1)
    bench.say("servo_cp", measured)
    bench.pass_time(0.1)
    np.testing.assert_allclose(bench.sim.arm.measured, INSIDE, atol=1e-9)


def test_jaw_ratio_and_what_is_not_simulated(bench: Bench) -> None:
    bench.say("jaw/servo_jp", joints((0.5,)))
    bench.pass_time(0.1)
    assert bench.heard("jaw/measured_js")[-1].position == pytest.approx((0.5,))
    bench.say("jaw/move_jp", joints((9.0,)))
    bench.pass_time(1)
    assert bench.heard("jaw/measured_js")[-1].position == pytest.approx((1.396,))
    bench.say("trajectory_j/set_ratio", Float64(0.25))
    bench.say("body/servo_cf", WrenchStamped(1, "", (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)))
    bench.say("use_gravity_compensation", Bool(True))
    bench.pass_time(0.1)
    assert [bench.heard(f"trajectory_j/{name}")[-1].data for name in ("ratio", "ratio_v", "ratio_a")] == [0.25] * 3
    # the one of both is 0 while they differ
    bench.say("trajectory_j/set_ratio_v", Float64(0.5))
    bench.pass_time(0.01)
    assert [bench.heard(f"trajectory_j/{name}")[-1].data for name in ("ratio", "ratio_v", "ratio_a")] == [0.0, 0.5, 0.25]
    bench.say("trajectory_j/set_ratio_a", Float64(0.5))
    bench.say("trajectory_j/set_ratio_v", Float64(1.5))
    bench.pass_time(0.01)
    assert [bench.heard(f"trajectory_j/{name}")[-1].data for name in ("ratio", "ratio_v", "ratio_a")] == [0.5, 0.5, 0.5]
    warnings = [record.data for record in bench.heard("warning")]
    assert "body/servo_cf is not simulated" in warnings
    assert "use_gravity_compensation is not simulated" in warnings


def test_paused_ignores_motion_and_resumes(bench: Bench) -> None:
    bench.command("pause")
    bench.pass_time(0.01)
    bench.say("servo_jp", joints(INSIDE))
    bench.pass_time(0.1)
    np.testing.assert_allclose(bench.sim.arm.measured, (0, 0, 0.12, 0, 0, 0), atol=1e-12)
    bench.command("resume")
    bench.pass_time(0.01)
    bench.say("servo_jp", joints(INSIDE))
    bench.pass_time(0.1)
    np.testing.assert_allclose(bench.sim.arm.measured, INSIDE, atol=1e-12)


def test_motors_follow_a_slow_way_closely_and_a_leap_is_a_fault() -> None:
    bench = Bench("physical").homed()
    errors = []
    for number in range(400):
        goal = (0.2 * number / 400, 0, 0.12 + 0.02 * number / 400, 0, 0, 0)
        bench.say("servo_jp", joints(goal))
        bench.pass_time(0.005)
        errors.append(np.abs(bench.sim.arm.measured - bench.sim.arm.setpoint))
    # at 0.1 rad/s and 10 mm/s: speed times the motors' time constant of 40 ms
    assert np.max(errors, axis=0)[0] == pytest.approx(0.1 * 0.038, rel=0.25)
    assert np.max(errors, axis=0)[2] == pytest.approx(0.01 * 0.038, rel=0.25)
    assert np.max(errors, axis=0)[[1, 3, 4, 5]].max() < 1e-3
    assert bench.heard("operating_state")[-1].state == "ENABLED"
    bench.say("servo_jp", joints((-0.3, 0, 0.12, 0, 0, 0)))
    bench.pass_time(0.01)
    assert bench.heard("operating_state")[-1].state == "FAULT"
    assert bench.heard("error")[-1].data == "tracking error too large, PID disabled"
    bench.sim.close()


@pytest.mark.parametrize("ending", ["hold", "pause"])
def test_motors_go_on_to_the_setpoint_when_a_motion_is_ended(ending: str) -> None:
    bench = Bench("physical").homed()
    bench.say("move_jp", joints((0.3, 0, 0.12, 0, 0, 0)))
    bench.pass_time(0.4)
    behind = bench.sim.arm.setpoint[0] - bench.sim.arm.measured[0]
    assert behind > 0.01
    if ending == "pause":
        bench.command("pause")
    else:
        bench.say("hold", Empty())
    setpoint = bench.sim.arm.setpoint.copy()
    bench.pass_time(0.0025)
    held = bench.sim.arm.setpoint.copy()
    assert np.abs(held - setpoint).max() < 0.005
    bench.pass_time(1)
    np.testing.assert_array_equal(bench.sim.arm.setpoint, held)
    np.testing.assert_allclose(bench.sim.arm.measured, held, atol=1e-3)
    bench.sim.close()


def test_what_is_disabled_is_where_it_is() -> None:
    bench = Bench("physical").homed()
    bench.say("move_jp", joints((0.3, 0, 0.12, 0, 0, 0)))
    bench.say("jaw/move_jp", joints((0.5,)))
    bench.pass_time(0.2)
    bench.command("disable")
    bench.pass_time(0.0025)
    np.testing.assert_allclose(bench.sim.arm.setpoint, bench.sim.arm.measured, atol=5e-3)
    assert bench.sim.arm.jaw_setpoint == pytest.approx(bench.sim.arm.jaw_measured, abs=0.02)
    assert 0 < bench.sim.arm.measured[0] < 0.3
    bench.sim.close()
