"""Connect, enable, home, a slow move, goals, and the safe end."""

import numpy as np
from bench import TASK, Bench, wait_until

from l0_surgical.robot.control.controller import State
from l0_surgical.robot.control.motion import start_pose
from l0_surgical.robot.control.poses import Pose

START_POSE = start_pose(TASK)
GOALS = 3


def test_the_topics_find_their_peers(bench: Bench) -> None:
    assert bench.call(lambda: bench.arm.wait_for_peers(10.0))
    assert "topics have found their peer" in bench.arm.describe_peers()
    assert "nobody on" not in bench.arm.describe_peers()


def test_enable_and_home(bench: Bench) -> None:
    assert bench.session([]).failure is None
    inputs = bench.call(lambda: bench.controller.inputs)
    state = inputs.operating_state.record
    assert (state.state, state.is_homed, state.is_busy) == ("ENABLED", True, False)
    assert inputs.measured_cp.record.frame_id == f"{bench.setup.arm}_base"
    assert inputs.measured_cp.record.stamp_ns > 0
    assert len(inputs.measured_js.record.position) == 6
    assert bench.witness.listen() == 0


def test_a_slow_move_to_the_start_pose(bench: Bench) -> None:
    assert bench.session([]).failure is None
    bench.call(bench.controller.arm)
    bench.call(bench.controller.go_to_start)
    bench.wait_for(State.HOLDING, State.FAULT)
    assert bench.controller.fault is None
    wait_until(
        lambda: bench.measured().distance_to(START_POSE) < 0.002, 5.0, "the arm to be at the start pose"
    )
    assert bench.measured().angle_to(START_POSE) < 0.05
    bench.close()
    found = bench.witness.audit(bench.setup.limits())
    # by steps: a stalled computer sends two of them closer together in time
    assert found.fastest_m_per_s <= 1.05 * bench.controller.limits.approach_speed_m_per_s


def test_goals(bench: Bench) -> None:
    goals = bench.setup.goals(GOALS)
    session = bench.session(goals)
    assert session.failure is None
    assert [outcome.is_reached for outcome in session.outcomes] == [True] * GOALS
    assert all(outcome.final_distance_mm < 5 for outcome in session.outcomes)
    assert np.linalg.norm(np.subtract(bench.measured().tip(), goals[-1])) < 0.006
    assert bench.controller.state is State.DISARMED


def test_the_safe_end(bench: Bench) -> None:
    bench.reaching()
    bench.call(bench.controller.disarm)
    wait_until(lambda: bench.witness.listen() == bench.controller.status().sent, 2.0, "the last setpoint")
    sent = bench.witness.listen()
    last = Pose.of(bench.witness.heard[-1])
    wait_until(lambda: bench.measured().distance_to(last) < 0.002, 2.0, "the arm to be at its last setpoint")
    assert bench.witness.listen() == sent
