"""Each fault at an arm in motion: the stream ends, the arm holds, a reset is needed, and no command has
broken a limit."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bench import POLICY, Bench, Setup, ShiftedClock

from l0_surgical.policy import Dense, Layer, Normalizer, Policy, find_policy, load_policy
from l0_surgical.robot.control.controller import State
from l0_surgical.robot.control.records import PoseStamped
from l0_surgical.robot.messaging.arm_client import CrtkArm
from l0_surgical.system.errors import BadInputError, L0SurgicalError


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("stop_telemetry", "measured_cp stopped"),
        ("stale", "the stamp of measured_cp is"),
        ("jump", "measured_cp jumped by"),
        ("nan", "measured_cp is not finite"),
        ("wrong_frame", "in the frame 'ECM'"),
        ("not_valid", "measured_cp is not valid yet"),
    ],
)
def test_what_measured_cp_says(bench: Bench, fault: str, words: str) -> None:
    bench.reaching()
    bench.cause(fault)
    bench.assert_fault(words)
    with pytest.raises(L0SurgicalError, match="reset it first"):
        bench.call(bench.controller.arm)
    bench.assert_recovers()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("pause", "is PAUSED, not ENABLED"),
        ("fault", "is FAULT, not ENABLED"),
        ("unhome", "is not homed"),
    ],
)
def test_what_the_arm_does(bench: Bench, fault: str, words: str) -> None:
    if bench.setup.is_real and fault != "pause":
        pytest.skip("a real arm is not broken for a test")
    bench.reaching()
    bench.cause(fault)
    bench.assert_fault(words)
    bench.assert_recovers()


def test_a_measured_cp_that_stands_still_while_the_arm_moves(bench: Bench) -> None:
    if bench.setup.is_real:
        pytest.skip("a real arm is not broken for a test")
    bench.reaching()
    bench.witness.wait_for(120)
    bench.call(bench.controller.go_to_start)
    bench.cause("freeze")
    bench.assert_fault("from where the joints (measured_js) put the tool")
    bench.assert_recovers()


def test_a_second_controller(bench: Bench) -> None:
    bench.reaching()
    transport = bench.setup.open("other")
    other = CrtkArm(transport, bench.setup.arm)
    assert other.wait_for_peers(10.0)
    if bench.controller.state is not State.REACHING:  # finding the peers took longer than the way
        bench.call(lambda: bench.controller.set_goal(bench.setup.goals(2)[1]))
    bench.witness.wait_for(20)
    last = bench.witness.heard[-1]
    # it asks for where the arm is already
    bench.foreign_commands = 1
    other.servo_cp(PoseStamped(time.time_ns(), last.frame_id, last.position, last.orientation))
    bench.assert_fault("somebody else commands")
    assert f"/{bench.setup.arm}/servo_cp" in bench.controller.fault
    transport.close()
    bench.assert_recovers()


def test_a_goal_outside_the_workspace_is_refused_and_the_motion_goes_on(bench: Bench) -> None:
    bench.reaching()
    for goal in ((0.06, 0.07, -0.25), (0.5, 0.0, -0.16), (float("nan"), 0.0, -0.16)):
        with pytest.raises(BadInputError, match="the goal"):
            bench.call(lambda goal=goal: bench.controller.set_goal(goal))
    bench.wait_for(State.HOLDING, State.FAULT)
    assert bench.controller.status().is_reached


def test_the_loop_overruns(bench: Bench) -> None:
    bench.reaching()
    bench.call(lambda: time.sleep(1.2 * bench.setup.limits().max_loop_gap_s))
    bench.assert_fault("the servo loop stood still")
    bench.assert_recovers()


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
def shifted_bench(setup: Setup, tmp_path: Path, clock: ShiftedClock) -> Iterator[Bench]:
    bench = Bench(setup, tmp_path, clock=clock)
    yield bench
    bench.close()
    bench.assert_no_limit_was_broken()


def test_the_clock_is_set(shifted_bench: Bench, clock: ShiftedClock) -> None:
    shifted_bench.reaching()
    clock.shift_ns = 1_000_000_000
    shifted_bench.assert_fault("this computer's clock was set by +1.0")
    clock.shift_ns = 0
    shifted_bench.assert_recovers()


def corner_policy() -> Policy:
    """A policy that always moves along +x, +z and a little -y of its world, to where the arm's pitch joint
    cannot follow."""
    shipped = load_policy(find_policy(POLICY))
    size, actions = shipped.observation_size, 5
    weight, bias = np.full((actions, size), 1e-9), np.array((20.0, -0.2, 20.0, 0.0, 0.0))
    return Policy(
        task=shipped.task,
        inputs=shipped.inputs,
        outputs=shipped.outputs,
        normalizer=Normalizer(np.zeros(size), np.ones(size)),
        layers=(Layer(Dense(weight), bias, "tanh"),),
        trained_parameters=weight.size + bias.size,
        gate_seed=0,
        provenance={},
        evaluation={},
    )


@pytest.fixture
def corner_bench(setup: Setup, tmp_path: Path) -> Iterator[Bench]:
    if setup.is_real:
        pytest.skip("this policy has no place at a real arm")
    bench = Bench(setup, tmp_path, policy=corner_policy())
    yield bench
    bench.close()
    bench.assert_no_limit_was_broken()


def test_inverse_kinematics_without_solution(corner_bench: Bench) -> None:
    corner_bench.reaching()
    corner_bench.assert_fault("the setpoint cannot be reached: the pitch joint would be at")
    corner_bench.assert_recovers()
