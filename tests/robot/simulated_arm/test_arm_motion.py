"""What each command does to the arm, and how it moves."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
from arm_bench import INSIDE, Bench, joints, pose_of

from l0_surgical.robot.control.poses import Pose
from l0_surgical.robot.control.records import (
    Bool,
    CartesianImpedance,
    CartesianState,
    Empty,
    Float64,
    JointState,
    PoseStamped,
    Record,
    String,
    WrenchStamped,
)
from l0_surgical.robot.messaging import crtk
from l0_surgical.robot.simulated_arm import tool
from l0_surgical.surgical.kinematics import forward_kinematics
from tests.robot.messaging.examples import EXAMPLES

HOME = (0.0, 0.0, 0.12, 0.0, 0.0, 0.0)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench().homed()
    yield bench
    bench.sim.close()


def test_before_homing_nothing_is_valid_and_nothing_moves() -> None:
    bench = Bench()
    bench.pass_time(0.1)
    for name in (
        "measured_js",
        "setpoint_js",
        "measured_cp",
        "setpoint_cp",
        "local/measured_cp",
        "jaw/measured_js",
        "measured_cv",
    ):
        assert {record.stamp_ns for record in bench.heard(name)} == {0}
    bench.say("servo_jp", joints(INSIDE))
    bench.command("home")
    bench.pass_time(0.1)
    assert [record.data for record in bench.heard("warning")] == [
        "'home' is not accepted while DISABLED",
        "servo_jp is ignored while DISABLED, homed: False",
    ]
    assert not bench.sim.arm.measured.any()
    assert bench.heard("tool_type") == []


def test_before_the_tool_is_engaged_there_are_seven_joints_and_no_pose() -> None:
    bench = Bench()
    bench.command("enable")
    bench.pass_time(0.1)
    bench.heard("measured_js")
    bench.command("home")
    bench.pass_time(1.0)
    measured = bench.heard("measured_js")[-1]
    assert measured.stamp_ns > 0
    assert measured.name == ("yaw", "pitch", "insertion", "disc_1", "disc_2", "disc_3", "disc_4")
    assert len(measured.position) == 7
    assert bench.heard("measured_cp")[-1].stamp_ns == 0
    assert bench.heard("jaw/measured_js")[-1].position == ()
    bench.pass_time(1.0)
    assert len(bench.heard("measured_js")[-1].position) == 6
    assert bench.heard("measured_cp")[-1].stamp_ns > 0
    assert [record.data for record in bench.heard("tool_type")] == ["LARGE_NEEDLE_DRIVER:400006[..]"]


def test_servo_cp_and_move_cp_reach_the_pose_in_the_base_frame(bench: Bench) -> None:
    for name in ("servo_cp", "move_cp"):
        bench.say(name, pose_of(INSIDE))
        bench.pass_time(0.0025 if name == "servo_cp" else 4)
        np.testing.assert_allclose(bench.sim.arm.measured, INSIDE, atol=1e-9)
        bench.say("servo_jp", joints((0, 0, 0.12, 0, 0, 0)))
        bench.pass_time(0.1)


@pytest.mark.parametrize(
    ("valid", "joints_then", "state"),
    [
        ((True, False, False), INSIDE, "ENABLED"),
        ((True, True, True), INSIDE, "ENABLED"),
        # what has a velocity stays, what has nothing is a force of zero
        ((False, True, False), HOME, "ENABLED"),
        ((False, False, False), HOME, "ENABLED"),
        # and with nothing but a force the dVRK goes to joints of 0, here too far for its motors
        ((False, False, True), (0.0,) * 6, "FAULT"),
    ],
)
def test_servo_cs_obeys_its_pose(
    bench: Bench, valid: tuple[bool, bool, bool], joints_then: tuple[float, ...], state: str
) -> None:
    pose, nothing = pose_of(INSIDE), (0.0, 0.0, 0.0)
    has_pose, has_twist, has_wrench = valid
    record = CartesianState(
        1,
        "",
        pose.position,
        pose.orientation,
        has_pose,
        nothing,
        nothing,
        has_twist,
        nothing,
        nothing,
        has_wrench,
    )
    bench.say("servo_cs", record)
    bench.pass_time(0.01)
    np.testing.assert_allclose(bench.sim.arm.measured, joints_then, atol=1e-9)
    assert bench.sim.arm.machine.state == state
    assert bench.heard("warning") == []


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
    assert bench.sim.arm.machine.is_busy
    here = bench.sim.arm.measured[0]
    assert 0 < here < 0.5
    bench.say("servo_jr", joints((0.01, 0, 0, 0, 0, 0)))
    bench.pass_time(0.1)
    assert not bench.sim.arm.machine.is_busy
    assert bench.sim.arm.measured[0] == pytest.approx(here + 0.01, abs=0.01)
    bench.say("move_jp", joints(INSIDE))
    bench.pass_time(0.2)
    bench.say("hold", Empty())
    bench.pass_time(0.01)
    held = bench.sim.arm.measured.copy()
    bench.pass_time(1)
    np.testing.assert_array_equal(bench.sim.arm.measured, held)


@pytest.mark.parametrize("ending", ["servo_jp", "servo_cp", "hold", "free", "servo_jf", "pause", "disable"])
def test_what_ends_a_move_says_that_its_goal_was_not_reached(bench: Bench, ending: str) -> None:
    bench.say("move_jp", joints(INSIDE))
    bench.pass_time(0.2)
    if ending in ("pause", "disable"):
        bench.command(ending)
    else:
        bench.say(
            ending,
            {"servo_jp": joints(INSIDE), "servo_jf": joints(()), "servo_cp": pose_of(INSIDE)}.get(
                ending, Empty()
            ),
        )
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
    assert (state.state, state.is_homed, state.is_busy) == ("PAUSED", True, False)
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
    # the goal may lie beyond a limit, where the arm stops; the next one counts from beyond it, or, once that
    # is over, from the limit
    for change in (2.5, -0.5):
        bench.say("move_jr", joints((change, 0, 0, 0, 0, 0)))
        bench.pass_time(0.05)
    bench.pass_time(5)
    assert bench.sim.arm.measured[0] == pytest.approx(tool.UPPER[0])
    bench.say("move_jr", joints((-0.5, 0, 0, 0, 0, 0)))
    bench.pass_time(3)
    assert bench.sim.arm.measured[0] == pytest.approx(tool.UPPER[0] - 0.5)


def retracted(bench: Bench, insertion: float) -> None:
    for depth in np.arange(0.12, insertion - 1e-6, -0.01):
        bench.say("servo_jp", joints((0, 0, depth, 0, 0, 0)))
        bench.pass_time(0.01)


def test_cartesian_commands_wait_for_the_instrument_to_be_past_the_cannula(bench: Bench) -> None:
    retracted(bench, 0.05)
    bench.say("servo_cp", pose_of((0, 0, 0.07, 0, 0, 0)))
    bench.pass_time(0.01)
    assert bench.sim.arm.measured[2] == pytest.approx(0.05)
    assert "past the cannula" in bench.heard("warning")[-1].data
    # as at the dVRK, a move_cp is busy for good then: until a move ends
    bench.say("move_cp", pose_of((0, 0, 0.07, 0, 0, 0)))
    bench.pass_time(2)
    assert bench.sim.arm.measured[2] == pytest.approx(0.05)
    assert bench.heard("operating_state")[-1].is_busy
    bench.say("move_jp", joints((0, 0, 0.06, 0, 0, 0)))
    bench.pass_time(2)
    assert not bench.heard("operating_state")[-1].is_busy
    bench.say("servo_cp", pose_of((0, 0, 0.07, 0, 0, 0)))
    bench.pass_time(0.01)
    assert bench.sim.arm.measured[2] == pytest.approx(0.07)


def test_the_shaft_is_kept_45_mm_from_the_remote_centre_of_motion(bench: Bench) -> None:
    for depth in (0.1, 0.08, 0.06, 0.05, 0.03):
        bench.say("servo_cp", pose_of((0, 0, depth, 0, 0, 0)))
        bench.pass_time(0.01)
    # its end is 15.6 mm further up than the insertion says
    assert bench.sim.arm.measured[2] == pytest.approx(0.0606)
    assert bench.sim.arm.machine.state == "ENABLED"


def test_a_shaft_that_is_nearer_already_is_not_brought_nearer(bench: Bench) -> None:
    retracted(bench, 0.06)
    bench.say("servo_cp", pose_of((0, 0, 0.05, 0, 0, 0)))
    bench.pass_time(0.01)
    assert bench.sim.arm.measured[2] == pytest.approx(0.06)


def test_a_stream_of_refused_commands_is_one_warning_in_two_seconds(bench: Bench) -> None:
    bench.command("pause")
    bench.pass_time(0.01)
    for _ in range(1000):
        bench.say("servo_cp", pose_of(INSIDE))
        bench.pass_time(0.005)
    # at 0, 2 and 4 of 5 s
    assert [record.data for record in bench.heard("warning")] == [
        "servo_cp is ignored while PAUSED, homed: True"
    ] * 3


def test_joint_limits_are_clipped_silently(bench: Bench) -> None:
    for fraction in np.linspace(0, 1, 50):
        bench.say("servo_jp", joints(tuple(np.array(HOME) + np.array((2, -2, 0.3, 9, -2, 2)) * fraction)))
        bench.pass_time(0.01)
    np.testing.assert_allclose(bench.sim.arm.measured, (1.588, -0.925025, 0.24, 4.53786, -1.39626, 1.39626))
    assert bench.heard("error") == bench.heard("warning") == []
    assert bench.sim.arm.machine.state == "ENABLED"


@pytest.mark.parametrize("command", ["servo_cp", "move_cp"])
def test_a_pose_without_solution_is_dropped(bench: Bench, command: str) -> None:
    bench.say(command, PoseStamped(1, "", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)))
    bench.pass_time(0.1)
    assert "inverse kinematics failed" in bench.heard("error")[-1].data
    assert "remote centre of motion" in bench.heard("warning")[-1].data
    np.testing.assert_allclose(bench.sim.arm.measured, HOME, atol=1e-12)
    assert bench.sim.arm.machine.state == "ENABLED"


@pytest.mark.parametrize(
    ("command", "record"),
    [
        ("servo_jp", joints((0.1,) * 5)),
        ("servo_jr", joints(())),
        ("jaw/servo_jp", joints(())),
        # the dVRK drops what has no orientation before it reaches the arm
        ("servo_cp", PoseStamped(1, "", (0.01, 0.0, -0.12), (0.0, 0.0, 0.0, 0.0))),
        ("move_cp", PoseStamped(1, "", (0.01, 0.0, -0.12), (math.nan, 0.0, 0.0, 1.0))),
    ],
)
def test_what_is_incomplete_is_dropped_without_a_word(bench: Bench, command: str, record: Record) -> None:
    bench.say(command, record)
    bench.pass_time(0.1)
    np.testing.assert_allclose(bench.sim.arm.measured, HOME, atol=1e-12)
    assert bench.heard("error") == bench.heard("warning") == bench.heard("operating_state") == []


@pytest.mark.parametrize(
    ("leap", "state"),
    [
        ((0.49, 0, 0.12, 0, 0, 0), "ENABLED"),
        ((0, -0.51, 0.12, 0, 0, 0), "FAULT"),
        ((0, 0, 0.169, 0, 0, 0), "ENABLED"),
        ((0, 0, 0.171, 0, 0, 0), "FAULT"),
        # of the disc: 0.6 rad times 1.5632
        ((0, 0, 0.12, 0.93, 0, 0), "ENABLED"),
        ((0, 0, 0.12, 0.95, 0, 0), "FAULT"),
        ((math.inf, 0, 0.12, 0, 0, 0), "FAULT"),
    ],
)
def test_a_leap_beyond_the_tracking_tolerances_is_a_fault_at_its_end(
    bench: Bench, leap: tuple[float, ...], state: str
) -> None:
    bench.say("servo_jp", joints(leap))
    bench.pass_time(0.1)
    np.testing.assert_allclose(
        bench.sim.arm.measured, np.clip(leap, tool.LOWER[:6], tool.UPPER[:6]), atol=1e-12
    )
    if state == "ENABLED":
        assert bench.heard("error") == bench.heard("operating_state") == []
        return
    assert bench.heard("error")[-1].data == "tracking error too large, PID disabled"
    last = bench.heard("operating_state")[-1]
    assert (last.state, last.is_homed, last.is_busy) == ("FAULT", True, False)
    bench.say("servo_jp", joints(HOME))
    bench.pass_time(0.1)
    assert "servo_jp is ignored while FAULT" in bench.heard("warning")[-1].data


def test_a_pose_out_of_reach_is_clipped_and_ends_in_fault(bench: Bench) -> None:
    bench.say("servo_cp", PoseStamped(1, "", (0.0, 0.0, -0.3), pose_of(HOME).orientation))
    bench.pass_time(0.1)
    assert bench.sim.arm.measured[2] == pytest.approx(0.24)
    assert bench.heard("operating_state")[-1].state == "FAULT"


@pytest.mark.parametrize("command", ["move_jp", "move_jr"])
@pytest.mark.parametrize("count", [0, 5, 7])
def test_a_move_of_another_number_of_joints_is_ignored(bench: Bench, command: str, count: int) -> None:
    bench.pass_time(0.1)
    before = bench.heard("measured_js")[-1].position
    bench.say(command, joints((0.01,) * count))
    bench.pass_time(0.5)
    assert bench.heard("error")[-1].data == f"{command} has {count} joints, not 6; it is ignored"
    assert bench.heard("measured_js")[-1].position == before
    bench.say("move_jp", joints(INSIDE))
    bench.pass_time(5.0)
    np.testing.assert_allclose(bench.heard("measured_js")[-1].position, INSIDE, atol=1e-9)


@pytest.mark.parametrize(
    ("command", "record"),
    [
        ("servo_cp", PoseStamped(1, "", (math.nan, 0.0, -0.12), (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0))),
        ("servo_jp", joints((math.nan, 0, 0.12, 0, 0, 0))),
        ("jaw/servo_jp", joints((math.nan,))),
        ("move_jp", joints((0, math.nan, 0.12, 0, 0, 0))),
        ("move_cp", PoseStamped(1, "", (0.0, math.inf, -0.12), (math.sqrt(0.5), math.sqrt(0.5), 0.0, 0.0))),
    ],
)
def test_what_is_no_number_powers_the_arm_off(bench: Bench, command: str, record: Record) -> None:
    bench.say(command, record)
    bench.pass_time(0.1)
    assert "is no number" in bench.heard("error")[-1].data
    assert bench.heard("operating_state")[-1].state == "DISABLED"
    assert bench.heard("measured_js")[-1].stamp_ns == bench.heard("measured_cp")[-1].stamp_ns == 0
    assert [record.data for record in bench.heard("goal_reached")] == (
        [False] if command.startswith("move") else []
    )
    # and all is well when it has been homed again
    bench.homed()
    bench.say("servo_jp", joints(INSIDE))
    bench.pass_time(0.1)
    np.testing.assert_allclose(bench.heard("measured_js")[-1].position, INSIDE, atol=1e-12)


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


def jaw_of(bench: Bench) -> float:
    (angle,) = bench.heard("jaw/measured_js")[-1].position
    return angle


def test_the_jaw_is_clipped_under_joint_control_alone(bench: Bench) -> None:
    bench.say("jaw/servo_jp", joints((-0.9,)))
    bench.pass_time(0.1)
    assert jaw_of(bench) == pytest.approx(-0.698132)
    bench.say("servo_cp", pose_of(HOME))
    bench.pass_time(0.1)
    bench.say("jaw/servo_jp", joints((-0.9,)))
    bench.pass_time(0.1)
    assert jaw_of(bench) == pytest.approx(-0.9)
    np.testing.assert_allclose(bench.sim.arm.measured, HOME, atol=1e-9)


def test_a_leap_of_the_jaw_is_a_fault(bench: Bench) -> None:
    for angle in (1.2, -0.5):
        bench.say("jaw/servo_jp", joints((angle,)))
        bench.pass_time(0.1)
        assert jaw_of(bench) == pytest.approx(angle)
        assert bench.sim.arm.machine.state == ("ENABLED" if angle > 0 else "FAULT")


def test_a_move_of_the_jaw_is_a_move_and_ended_by_the_next_servo_cp(bench: Bench) -> None:
    bench.say("jaw/move_jp", joints((0.8,)))
    bench.pass_time(0.1)
    assert bench.heard("operating_state")[-1].is_busy
    bench.pass_time(1)
    assert jaw_of(bench) == pytest.approx(0.8)
    assert [record.data for record in bench.heard("goal_reached")] == [True]
    bench.say("servo_cp", pose_of(HOME))
    bench.pass_time(0.1)
    assert jaw_of(bench) == pytest.approx(0.8)
    bench.say("jaw/move_jp", joints((1.2,)))
    bench.pass_time(0.01)
    at_its_end = bench.sim.arm.control.measured[6]
    bench.say("servo_cp", pose_of(HOME))
    bench.pass_time(0.1)
    assert [record.data for record in bench.heard("goal_reached")] == [False]
    # and it is then where its fourth disc is: an oddity of the original
    assert jaw_of(bench) == pytest.approx(at_its_end / 2 / 1.2177, abs=1e-6)


def test_a_move_of_the_joints_takes_the_jaw_to_the_goal_of_its_own_last_move(bench: Bench) -> None:
    bench.say("jaw/servo_jp", joints((0.5,)))
    bench.pass_time(0.1)
    bench.say("move_jp", joints((0.1, 0, 0.12, 0, 0, 0)))
    bench.pass_time(2)
    assert jaw_of(bench) == pytest.approx(0.0, abs=1e-9)


def test_ratios_and_what_is_not_simulated(bench: Bench) -> None:
    def ratios() -> list[list[float]]:
        bench.pass_time(0.01)
        return [
            [record.data for record in bench.heard(f"trajectory_j/{name}")]
            for name in ("ratio", "ratio_v", "ratio_a")
        ]

    bench.say("trajectory_j/set_ratio", Float64(0.25))
    assert ratios() == [[0.25]] * 3
    # the one of both is 0 while they differ
    bench.say("trajectory_j/set_ratio_v", Float64(0.5))
    assert ratios() == [[0.0], [0.5], []]
    bench.say("trajectory_j/set_ratio_a", Float64(0.5))
    assert ratios() == [[0.5], [], [0.5]]
    bench.say("trajectory_j/set_ratio", Float64(1.5))
    bench.say("use_gravity_compensation", Bool(True))
    bench.say("emulate_tool_present", Bool(False))
    assert ratios() == [[], [], []]
    assert {record.data for record in bench.heard("warning")} == {
        "the trajectory ratio 1.5 is not in (0, 1]",
        "no gravity compensation is loaded",
        "emulate_tool_present is not simulated",
    }
    bench.say("set_tool_type", String("SCALPEL:1"))
    bench.pass_time(0.01)
    assert [record.data for record in bench.heard("tool_type")] == ["ERROR"]


def test_a_ratio_slows_a_move_that_is_under_way(bench: Bench) -> None:
    bench.say("move_jp", joints((1.0, 0, 0.12, 0, 0, 0)))
    bench.pass_time(0.5)
    bench.say("trajectory_j/set_ratio_v", Float64(0.1))
    bench.pass_time(1.0)
    assert bench.sim.arm.control.velocity[0] == pytest.approx(0.1571)
    bench.pass_time(4.0)
    assert [record.data for record in bench.heard("goal_reached")] == [True]


@pytest.mark.parametrize(
    "command", ["free", "servo_jf", "body/servo_cf", "spatial/servo_cf", "servo_ci", "jaw/servo_jf"]
)
def test_forces_move_nothing_and_the_next_servo_command_counts(bench: Bench, command: str) -> None:
    record = {
        Empty: Empty(),
        JointState: JointState(1, "", (), (), (), (0.1,) * 6),
        WrenchStamped: WrenchStamped(1, "", (1.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        CartesianImpedance: EXAMPLES["CartesianImpedance"][0],
    }[crtk.SUBSCRIBED[command].record]
    bench.say(command, record)
    bench.pass_time(0.5)
    np.testing.assert_allclose(bench.sim.arm.measured, HOME, atol=1e-12)
    bench.say("servo_cp", pose_of(INSIDE))
    bench.pass_time(0.1)
    np.testing.assert_allclose(bench.sim.arm.measured, INSIDE, atol=1e-9)
    assert bench.heard("warning") == []


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
    assert bench.sim.arm.machine.state == "ENABLED"
    bench.say("servo_jp", joints((-0.4, 0, 0.12, 0, 0, 0)))
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
    control = bench.sim.arm.control
    np.testing.assert_allclose(control.setpoint[:6], control.measured[:6], atol=5e-3)
    assert control.setpoint[6] == pytest.approx(control.measured[6], abs=0.02)
    there = control.measured[0]
    assert 0 < there < 0.3
    # a real arm is there still when it has power again, the dVRK's kinematic simulation at joints of 0
    bench.command("enable")
    bench.pass_time(0.5)
    assert control.measured[0] == pytest.approx(there, abs=0.01)
    bench.sim.close()


def test_the_kinematic_simulation_begins_at_joints_of_zero_again(bench: Bench) -> None:
    for command in ("disable", "enable"):
        bench.command(command)
        bench.pass_time(0.1)
    assert bench.heard("measured_js")[-1].position == (0.0,) * 6
    assert bench.heard("measured_cp")[-1].stamp_ns > 0
    assert bench.heard("operating_state")[-1].is_homed is False
    # nothing is obeyed before it is homed, and nothing is said
    bench.say("servo_jp", joints(INSIDE))
    bench.pass_time(0.1)
    assert bench.heard("measured_js")[-1].position == (0.0,) * 6
    assert bench.heard("warning") == []
